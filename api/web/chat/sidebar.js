/** The conversations: search, list, and what can be done with each. */

import { HitList } from "./hit-list.js";
import { SidebarEntry } from "./sidebar-entry.js";
import { iconButton, icon, make } from "./dom.js";
import { Problem } from "../model/problem.js";
import { texts } from "../texts.js";

/**
 * @import { ConversationList } from "../model/conversation-list.js"
 * @import { Hits } from "../model/hits.js"
 *
 * @typedef {object} SidebarActions
 * @property {(id: number | null) => void} open null for a new one
 * @property {(id: number, position: number) => void} find a message
 * @property {(id: number, title: string) => void} rename
 * @property {(id: number, title: string) => void} remove
 * @property {(words: string) => void} announce
 * @property {() => void} close
 */

/** Closer to the end of the list than this (in pixels), the next page is loaded. */
const NEAR_END = 600;
const SEARCH_PAUSE_MS = 200;

export class Sidebar {
  #list = make("ul", { class: "entries" });
  #hint = make("p", { class: "list-hint" });
  #scroller;
  #search;
  #actions;
  #hrefOf;
  /** @type {ConversationList | null} */
  #conversations = null;
  /** @type {Hits | null} */
  #hits = null;
  #found;
  /** @type {Map<number, SidebarEntry>} */
  #entries = new Map();
  /** @type {number | null} */
  #current = null;
  /** @type {number | null} the one that Tab reaches; the arrow keys move it */
  #reachable = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #searching;

  /**
   * @param {SidebarActions} actions
   * @param {(place: string | number) => string} hrefOf of a conversation, or a message as `id:position`
   * @param {HTMLElement} footer
   */
  constructor(actions, hrefOf, footer) {
    this.#actions = actions;
    this.#hrefOf = hrefOf;
    this.#search = make("input", {
      type: "search",
      "aria-label": texts.search,
      placeholder: texts.search,
      autocomplete: "off",
      oninput: () => this.#typed(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#searchKey(event),
    });
    this.#found = new HitList(
      { open: (id, position) => actions.find(id, position), more: () => void this.#more() },
      (id, position) => hrefOf(`${id}:${position}`),
    );
    this.#scroller = make("div", { class: "entries-scroller" }, this.#list, this.#hint, this.#found.element);
    this.#scroller.addEventListener("scroll", () => this.#fill(), { passive: true });
    this.#list.addEventListener("keydown", (event) => this.#pressed(event));
    this.element = make(
      "nav",
      { class: "sidebar", "aria-label": texts.conversations },
      make(
        "div",
        { class: "brand" },
        make("span", { class: "mark", "aria-hidden": "true" }, "“"),
        make("span", { class: "name" }, texts.name),
        iconButton("close", texts.closeSidebar, () => actions.close(), { class: "icon-button only-narrow" }),
      ),
      make(
        "button",
        { type: "button", class: "new", onclick: () => actions.open(null) },
        icon("plus"),
        texts.newChat,
      ),
      make("div", { class: "search", role: "search" }, icon("search"), this.#search),
      this.#scroller,
      footer,
    );
  }

  /**
   * @param {ConversationList} conversations
   * @param {Hits} hits
   */
  use(conversations, hits) {
    this.#conversations = conversations;
    this.#hits = hits;
    this.#found.show(hits);
    this.#search.value = "";
    conversations.addEventListener("change", () => this.update());
    this.update();
  }

  /** @param {number | null} id */
  select(id) {
    this.#current = id;
    this.#reachable = id;
    this.update();
  }

  focus() {
    this.#search.focus();
  }

  update() {
    const conversations = this.#conversations;
    if (!conversations) return;
    const rows = conversations.shown;
    const wanted = new Set(rows.map((row) => row.id));
    this.#leaveGone(wanted);
    if (!wanted.has(this.#reachable ?? 0)) this.#reachable = rows[0]?.id ?? null;
    /** @type {Element | null} */
    let next = this.#list.firstElementChild;
    for (const row of rows) {
      const entry = this.#entryOf(row.id);
      entry.show(row.title ?? texts.untitled, {
        isCurrent: row.id === this.#current,
        isReachable: row.id === this.#reachable,
      });
      if (entry.element === next) next = next.nextElementSibling;
      else this.#place(entry.element, next);
    }
    this.#hint.textContent = this.#hintOf(rows.length);
    this.#fill();
  }

  /**
   * Put an entry before another one. Moved by `insertBefore` it would lose the focus, and a title
   * that is being edited would be taken for finished.
   * @param {Element} element
   * @param {Element | null} next
   */
  #place(element, next) {
    if (element.isConnected && "moveBefore" in this.#list) this.#list.moveBefore(element, next);
    else this.#list.insertBefore(element, next);
  }

  /** @param {Set<number>} wanted */
  #leaveGone(wanted) {
    for (const [id, entry] of this.#entries) {
      if (wanted.has(id)) continue;
      const { element } = entry;
      const heir = element.nextElementSibling ?? element.previousElementSibling;
      const hadFocus = element.matches(":focus-within");
      element.remove();
      this.#entries.delete(id);
      if (hadFocus) heir?.querySelector("a")?.focus();
    }
  }

  /** @param {number} id */
  #entryOf(id) {
    const known = this.#entries.get(id);
    if (known) return known;
    const { open, rename, remove } = this.#actions;
    const entry = new SidebarEntry(id, this.#hrefOf(id), { open, rename, remove });
    this.#entries.set(id, entry);
    return entry;
  }

  /** @param {number} count */
  #hintOf(count) {
    if (this.#conversations?.isLoading) return texts.loadingMore;
    if (count > 0 || !this.#conversations?.isKnown) return "";
    return this.#conversations.query ? texts.nothingFound : texts.noConversations;
  }

  /** Load more where the end of the list is near. */
  async #fill() {
    const conversations = this.#conversations;
    if (!conversations?.hasMore || conversations.isLoading) return;
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    if (scrollHeight - scrollTop - clientHeight > NEAR_END) return;
    await conversations.more().catch(() => {}); // the next scroll tries again
  }

  #typed() {
    clearTimeout(this.#searching);
    this.#searching = setTimeout(() => void this.#find(), SEARCH_PAUSE_MS);
  }

  async #find() {
    const conversations = this.#conversations;
    const hits = this.#hits;
    if (!conversations || !hits) return;
    const words = this.#search.value;
    try {
      await Promise.all([conversations.search(words), hits.search(words).catch(isNoWord)]);
      this.#found.show(hits);
      if (conversations.query) this.#actions.announce(texts.found(conversations.total, hits.shown.length));
      this.#scroller.scrollTop = 0;
    } catch {
      // The banner says why; typing on tries again.
    }
  }

  async #more() {
    await this.#hits?.more().catch(() => {}); // another click tries again
    if (this.#hits) this.#found.show(this.#hits);
  }

  /** @param {KeyboardEvent} event */
  #searchKey(event) {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      const first = this.#list.querySelector("a");
      if (first) first.focus();
      else this.#found.focus();
    } else if (event.key === "Escape" && this.#search.value) {
      event.stopPropagation();
      event.preventDefault();
      this.#search.value = "";
      void this.#find();
    }
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const target = /** @type {Element} */ (event.target);
    if (!target.matches("a")) return;
    const element = /** @type {Element} */ (target.closest("li"));
    const moves = {
      ArrowDown: element.nextElementSibling,
      ArrowUp: element.previousElementSibling,
      Home: this.#list.firstElementChild,
      End: this.#list.lastElementChild,
    };
    const id = Number(/** @type {HTMLElement} */ (element).dataset["id"]);
    if (event.key in moves) this.#reach(moves[/** @type {keyof typeof moves} */ (event.key)]);
    else if (event.key === "F2") this.#entries.get(id)?.edit();
    else if (event.key === "Delete") this.#entries.get(id)?.remove();
    else return;
    event.preventDefault();
  }

  /** @param {Element | null} element */
  #reach(element) {
    if (!(element instanceof HTMLElement)) return;
    const before = this.#entries.get(this.#reachable ?? 0);
    this.#reachable = Number(element.dataset["id"]);
    before?.setReachable(false);
    this.#entries.get(this.#reachable)?.setReachable(true);
    element.querySelector("a")?.focus();
  }
}

/**
 * What is typed need not be anything to search messages for; titles are searched all the same.
 * @param {unknown} error
 */
function isNoWord(error) {
  if (Problem.from(error).status !== 422) throw error;
}
