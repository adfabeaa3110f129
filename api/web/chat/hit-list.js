/** What was found in messages: each a link to its place, with the words marked. */

import { make } from "./dom.js";
import { texts } from "../texts.js";

/** @import { HitRow } from "../model/wire.js" */

export class HitList {
  #list = make("ul");
  #hint = make("p", { class: "list-hint" });
  #more;
  #actions;
  #hrefOf;

  /**
   * @param {{open: (conversation: number, position: number) => void, more: () => void}} actions
   * @param {(conversation: number, position: number) => string} hrefOf
   */
  constructor(actions, hrefOf) {
    this.#actions = actions;
    this.#hrefOf = hrefOf;
    this.#more = make("button", { type: "button", onclick: () => actions.more() }, texts.moreHits);
    this.element = make(
      "section",
      { class: "hits", "aria-label": texts.inMessages, hidden: true },
      make("h2", {}, texts.inMessages),
      this.#list,
      this.#hint,
      this.#more,
    );
  }

  /** @param {{query: string, isKnown: boolean, shown: HitRow[], hasMore: boolean}} hits */
  show({ query, isKnown, shown, hasMore }) {
    this.element.hidden = !query;
    this.#more.hidden = !hasMore;
    this.#hint.textContent = isKnown && shown.length === 0 ? `${texts.noHits} ${texts.searchHint}` : "";
    const kept = this.#list.children.length;
    // More of the same search leaves what is there, and the focus in it, alone.
    const isMore = kept > 0 && kept < shown.length && this.#isOf(shown[kept - 1]);
    if (!isMore) this.#list.replaceChildren();
    this.#list.append(...shown.slice(isMore ? kept : 0).map((hit) => this.#entryOf(hit)));
  }

  focus() {
    this.#list.querySelector("a")?.focus();
  }

  /** @param {HitRow | undefined} hit which may be the last one that is shown */
  #isOf(hit) {
    const link = this.#list.lastElementChild?.querySelector("a");
    return hit !== undefined && link?.getAttribute("href") === this.#hrefOf(hit.conversation_id, hit.position);
  }

  /** @param {HitRow} hit */
  #entryOf(hit) {
    const { conversation_id, position } = hit;
    /** @param {MouseEvent} event */
    const clicked = (event) => {
      if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      this.#actions.open(conversation_id, position);
    };
    return make(
      "li",
      {},
      make(
        "a",
        { href: this.#hrefOf(conversation_id, position), onclick: clicked },
        make("span", { class: "of", dir: "auto" }, hit.title ?? texts.untitled),
        make("span", { class: "snippet", dir: "auto" }, ...marked(hit)),
      ),
    );
  }
}

/**
 * A snippet as text and marks, which count code points.
 * @param {HitRow} hit
 */
function marked({ snippet, marks }) {
  const points = Array.from(snippet);
  /** @type {(string | Node)[]} */
  const pieces = [];
  let at = 0;
  for (const [start, end] of marks) {
    pieces.push(points.slice(at, start).join(""), make("mark", {}, points.slice(start, end).join("")));
    at = end;
  }
  return [...pieces, points.slice(at).join("")];
}
