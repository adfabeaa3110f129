/** The messages of the open conversation: a scrolling window that stays where the user reads. */

import { iconButton, make } from "./dom.js";
import { MessageView } from "./message.js";
import { texts } from "../texts.js";

/**
 * @import { Actions } from "./message.js"
 * @import { Item } from "../model/items.js"
 * @import { Thread } from "../model/thread.js"
 */

/** Closer to an edge than this (in pixels), the next page is loaded. */
const NEAR_EDGE = 800;
/** Closer to the end than this, the user reads what comes in: the view follows it. */
const NEAR_END = 80;

export class MessageList {
  #list = make("ol", { class: "messages" });
  #hint = make("div", { class: "hint" });
  #scroller;
  #jump;
  /** @type {Map<string, MessageView>} */
  #views = new Map();
  /** @type {Thread | null} */
  #thread = null;
  #actions;
  #follows = true;
  /** @type {{element: HTMLElement, top: number} | null} what stays where it is while the rest grows */
  #kept = null;
  #isPaging = false;
  /** Whether its user has no conversation yet. */
  #isFirst = false;

  /** @param {Actions & {toLatest: () => void, suggest: (text: string) => void, import: () => void}} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#scroller = make(
      "div",
      { class: "scroller", role: "region", "aria-label": texts.messages, tabindex: 0 },
      this.#hint,
      make("p", { class: "only-print" }, texts.printedPart),
      this.#list,
    );
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#jump = iconButton("down", texts.jumpToEnd, () => this.toEnd(), { class: "jump", hidden: true });
    this.element = make("div", { class: "reader" }, this.#scroller, this.#jump);
    // A composer that grows, or a keyboard that slides in, must not hide the end.
    new ResizeObserver(() => this.#keepEnd()).observe(this.#scroller);
    // An answer above may be formatted some frames later than what is looked at.
    new ResizeObserver(() => this.#keepPlace()).observe(this.#list);
  }

  /** @param {Thread | null} thread */
  open(thread) {
    this.#thread = thread;
    this.#views.clear();
    this.#list.replaceChildren();
    this.#follows = true;
    this.update();
  }

  /** @param {boolean} isFirst whether its user has no conversation yet, and is shown how to begin */
  greet(isFirst) {
    if (isFirst === this.#isFirst) return;
    this.#isFirst = isFirst;
    this.#showHint(this.#thread?.items ?? []);
  }

  /** Change what the user said last, if that is possible now. */
  editLast() {
    this.#thread?.items.map(({ key }) => this.#views.get(key)).findLast((view) => view?.canEdit)?.edit();
  }

  /** Follow the end again: the user sent something. */
  follow() {
    this.#follows = true;
    this.#keepEnd();
  }

  /** Show what the thread holds now; what the user looks at stays where it is. */
  update() {
    const items = this.#thread?.items ?? [];
    this.#showHint(items);
    const { hasOlder = false, isAtEnd = true } = this.#thread ?? {};
    this.element.classList.toggle("partial", hasOlder || !isAtEnd);
    this.#keepPlace();
    this.#kept = this.#anchor(items);
    this.#reconcile(items);
    this.#reveal(items);
    this.#keepPlace();
    this.#noteEnd();
    this.#page();
  }

  /**
   * Show what changed about the messages of one turn.
   * @param {Item["turn"]} turn
   */
  updateTurn(turn) {
    const items = this.#thread?.items ?? [];
    const mine = items.filter((item) => item.turn === turn);
    if (mine.some((item) => !this.#views.has(item.key))) return this.update();
    for (const item of mine) this.#views.get(item.key)?.show(item);
  }

  /** @param {Item[]} items */
  #reconcile(items) {
    const wanted = new Set(items.map((item) => item.key));
    for (const [key, view] of this.#views) {
      if (wanted.has(key)) continue;
      view.element.remove();
      this.#views.delete(key);
    }
    /** @type {Element | null} */
    let next = this.#list.firstElementChild;
    // The last ones first: they are looked at, and each frame has time for some.
    const views = items.toReversed().map((item) => this.#viewOf(item)).reverse();
    for (const view of views) {
      if (view.element === next) next = next.nextElementSibling;
      else this.#list.insertBefore(view.element, next);
    }
  }

  /** @param {Item} item */
  #viewOf(item) {
    const known = this.#views.get(item.key);
    if (known) {
      known.show(item);
      return known;
    }
    const view = new MessageView(item, this.#actions);
    this.#views.set(item.key, view);
    return view;
  }

  /**
   * Bring the message that is sought into the middle, mark it, and give it the focus. One that is not
   * shown (a tool's, say) is looked for after it.
   * @param {Item[]} items
   */
  #reveal(items) {
    const thread = this.#thread;
    const sought = thread?.sought ?? null;
    const item = items.find(({ row }) => row !== null && sought !== null && row.position >= sought);
    const element = item && this.#views.get(item.key)?.element;
    if (!thread || !element) return;
    thread.sought = null;
    for (const marked of this.#list.querySelectorAll("[data-sought]")) marked.removeAttribute("data-sought");
    element.setAttribute("data-sought", "");
    element.tabIndex = -1;
    element.focus({ preventScroll: true });
    const { clientHeight } = this.#scroller;
    this.#scroller.scrollTop = element.offsetTop - Math.max(0, (clientHeight - element.offsetHeight) / 2);
    this.#follows = false;
    this.#kept = { element, top: element.offsetTop };
  }

  /**
   * The first message in sight that will still be there, and where it is.
   * @param {Item[]} items
   */
  #anchor(items) {
    const { scrollTop } = this.#scroller;
    for (const { key } of items) {
      const element = this.#views.get(key)?.element;
      if (element && element.offsetTop + element.offsetHeight > scrollTop) {
        return { element, top: element.offsetTop };
      }
    }
    return null;
  }

  #keepEnd() {
    if (this.#follows) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #keepPlace() {
    if (this.#follows) return this.#keepEnd();
    if (!this.#kept) return;
    const { element, top } = this.#kept;
    if (!element.isConnected) return;
    this.#kept.top = element.offsetTop;
    this.#scroller.scrollTop += element.offsetTop - top;
  }

  #scrolled() {
    // What has grown or shrunk since is made up for before another place is kept.
    if (!this.#follows) this.#keepPlace();
    this.#follows = this.#isNearEnd;
    this.#kept = this.#anchor(this.#thread?.items ?? []);
    this.#noteEnd();
    this.#page();
  }

  get #isNearEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    return (this.#thread?.isAtEnd ?? true) && scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  #noteEnd() {
    this.#jump.hidden = this.#follows || this.#isNearEnd;
  }

  /** Load the next page in the direction of an edge that is near. */
  async #page() {
    const thread = this.#thread;
    if (!thread || thread.state !== "ready" || this.#isPaging) return;
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const wantsOlder = thread.hasOlder && scrollTop < NEAR_EDGE;
    const wantsNewer = !thread.isAtEnd && scrollHeight - scrollTop - clientHeight < NEAR_EDGE;
    if (!wantsOlder && !wantsNewer) return;
    this.#isPaging = true;
    const problem = await (wantsOlder ? thread.older() : thread.newer());
    this.#isPaging = false;
    // What failed is tried again by the next scroll.
    if (!problem && thread === this.#thread) void this.#page();
  }

  /** Show the end of the conversation. */
  async toEnd() {
    this.#follows = true;
    if (!this.#thread?.isAtEnd) await this.#thread?.latest().catch(() => {});
    this.#keepEnd();
    this.#noteEnd();
    this.#scroller.focus({ preventScroll: true });
  }

  /** @param {Item[]} items */
  #showHint(items) {
    const thread = this.#thread;
    const state = !thread
      ? "none"
      : thread.state === "missing"
        ? "missing"
        : thread.state === "loading"
          ? thread.problem
            ? "away"
            : "loading"
          : items.length === 0 && thread.id === null
            ? this.#isFirst
              ? "first"
              : "greeting"
            : "none";
    if (this.#hint.dataset["state"] === state) return;
    this.#hint.dataset["state"] = state;
    this.#hint.replaceChildren(...this.#hintOf(state));
  }

  /** Ways to begin. */
  #beginnings() {
    const { suggest } = this.#actions;
    const said = texts.suggestions.map((text) =>
      make("button", { type: "button", onclick: () => suggest(text) }, text),
    );
    const brought = make("button", { type: "button", onclick: () => this.#actions.import() }, texts.firstImport);
    return make("div", { class: "beginnings" }, ...said, brought);
  }

  /**
   * @param {string} state
   * @returns {Node[]}
   */
  #hintOf(state) {
    switch (state) {
      case "greeting":
        return [make("h2", {}, texts.greeting), make("p", {}, texts.greetingHint)];
      case "first":
        return [make("h2", {}, texts.greeting), make("p", {}, texts.firstHint), this.#beginnings()];
      case "missing":
        return [
          make("p", {}, texts.missing),
          make("button", { type: "button", onclick: () => this.#actions.toLatest() }, texts.toLatest),
        ];
      case "away":
        return [make("p", {}, texts.historyAway)];
      case "loading":
        return [make("p", { class: "late" }, texts.loading)];
      default:
        return [];
    }
  }
}
