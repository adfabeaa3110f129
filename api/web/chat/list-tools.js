/** What is chosen above the list: its order, the archive, a tag, and whether several are selected. */

import { iconButton, make } from "./dom.js";
import { number } from "../formats.js";
import { texts } from "../texts.js";

/**
 * @import { Tags } from "../model/tags.js"
 * @import { Sort, View } from "../model/view.js"
 */

export class ListTools {
  #sort = make("select", { "aria-label": texts.sort });
  #archive;
  #select;
  #folders = make("ul");
  #summary = make("summary", {}, texts.tags);
  #details;
  #look;
  /** @type {View | null} */
  #view = null;
  /** @type {Tags | null} */
  #tags = null;
  element;

  /** @param {{look: (part: Partial<View>) => void, select: () => void}} actions */
  constructor({ look, select }) {
    this.#look = look;
    const sorts = /** @type {[Sort, string][]} */ (Object.entries(texts.sorts));
    this.#sort.append(...sorts.map(([sort, words]) => make("option", { value: sort }, words)));
    this.#sort.addEventListener("change", () => look({ sort: /** @type {Sort} */ (this.#sort.value) }));
    this.#archive = iconButton("archive", texts.showArchive, () => look({ isArchived: !this.#view?.isArchived }), {
      "aria-pressed": "false",
    });
    this.#select = iconButton("select", texts.select, select, { "aria-pressed": "false" });
    this.#details = make("details", { class: "folders", hidden: true }, this.#summary, this.#folders);
    this.element = make(
      "div",
      {},
      make("div", { class: "list-tools" }, this.#sort, this.#archive, this.#select),
      this.#details,
    );
  }

  /** @param {Tags} tags */
  use(tags) {
    this.#tags = tags;
    tags.addEventListener("change", () => this.#showTags());
    this.#showTags();
  }

  /** @param {View} view */
  show(view) {
    if (view === this.#view) return;
    this.#view = view;
    this.#sort.value = view.sort;
    this.#archive.setAttribute("aria-pressed", String(view.isArchived));
    this.#showTags();
  }

  /** @param {boolean} isSelecting */
  showSelecting(isSelecting) {
    this.#select.setAttribute("aria-pressed", String(isSelecting));
  }

  focusSelect() {
    this.#select.focus();
  }

  #showTags() {
    const chosen = this.#view?.tag ?? null;
    const known = this.#tags?.known ?? [];
    const isKnown = chosen === null || known.some(({ tag }) => tag === chosen);
    const shown = isKnown ? known : [...known, { tag: chosen, conversations: 0 }];
    const focused = this.#folders.querySelector("button:focus")?.getAttribute("data-tag");
    const buttons = shown.map(({ tag, conversations }) => this.#folderOf(tag, conversations, tag === chosen));
    this.#folders.replaceChildren(...buttons.map((button) => make("li", {}, button)));
    buttons.find((button) => button.dataset["tag"] === focused)?.focus();
    this.#summary.textContent = chosen === null ? texts.tags : texts.tagged(chosen);
    this.#details.hidden = shown.length === 0;
  }

  /**
   * @param {string} tag
   * @param {number} conversations
   * @param {boolean} isChosen
   */
  #folderOf(tag, conversations, isChosen) {
    return make(
      "button",
      {
        type: "button",
        "data-tag": tag,
        "aria-pressed": String(isChosen),
        onclick: () => this.#look({ tag: isChosen ? null : tag }),
      },
      make("span", { dir: "auto" }, tag),
      make("span", { class: "many" }, number(conversations)),
    );
  }
}
