/** Several conversations at once: which are selected, and the bar of what can be done with them. */

import { iconButton, make } from "./dom.js";
import { texts } from "../texts.js";

/**
 * @typedef {object} SelectionActions
 * @property {(ids: number[], isArchived: boolean) => void} archive
 * @property {(ids: number[]) => void} tag
 * @property {(ids: number[]) => void} remove
 * @property {(hadFocus: boolean) => void} changed `hadFocus`: the focus was in the bar that is gone
 */

export class Selection {
  /** @type {Set<number> | null} null: nothing can be selected now */
  ids = null;
  /** What is archived can be taken out of the archive. */
  isInArchive = false;

  #actions;
  #count = make("span", { role: "status" });
  #archive = make("button");
  #acts;
  /** @type {() => number[]} */
  #shown;
  /** @type {number | null} the last one that was selected: a range begins there */
  #last = null;
  element;

  /**
   * @param {SelectionActions} actions
   * @param {() => number[]} shown the ids in the list, in order
   */
  constructor(actions, shown) {
    this.#actions = actions;
    this.#shown = shown;
    this.#archive = iconButton("archive", texts.archive, () =>
      this.#act((ids) => actions.archive(ids, !this.isInArchive)),
    );
    this.#acts = [
      iconButton("tag", texts.editTags, () => this.#act(actions.tag)),
      this.#archive,
      iconButton("bin", texts.delete, () => this.#act(actions.remove)),
    ];
    this.element = make(
      "div",
      { class: "selection", role: "group", "aria-label": texts.select, hidden: true },
      this.#count,
      make("button", { type: "button", class: "link", onclick: () => this.#selectAll() }, texts.selectAll),
      ...this.#acts,
      iconButton("close", texts.done, () => this.end()),
    );
  }

  toggle() {
    if (this.ids) this.end();
    else this.#set(new Set());
  }

  end() {
    if (!this.ids) return;
    this.#last = null;
    this.#set(null);
  }

  /** Leave out what is shown no longer. */
  keepShown() {
    const { ids } = this;
    if (!ids?.size) return;
    const shown = new Set(this.#shown());
    for (const id of ids) if (!shown.has(id)) ids.delete(id);
    this.#show();
  }

  /**
   * @param {number} id
   * @param {boolean} isSelected
   * @param {boolean} isRange with all between it and the last one
   */
  select(id, isSelected, isRange) {
    const shown = this.#shown();
    const [from, to] = [shown.indexOf(this.#last ?? id), shown.indexOf(id)];
    const range = isRange && from >= 0 ? shown.slice(Math.min(from, to), Math.max(from, to) + 1) : [id];
    for (const one of range) {
      if (isSelected) this.ids?.add(one);
      else this.ids?.delete(one);
    }
    this.#last = id;
    this.#set(this.ids);
  }

  #selectAll() {
    this.#set(new Set(this.#shown()));
  }

  /** @param {(ids: number[]) => void} act */
  #act(act) {
    const ids = [...(this.ids ?? [])];
    if (!ids.length) return;
    this.end();
    act(ids);
  }

  /** @param {Set<number> | null} ids */
  #set(ids) {
    this.ids = ids;
    const hadFocus = ids === null && this.element.matches(":focus-within");
    this.#show();
    this.#actions.changed(hadFocus);
  }

  #show() {
    const { ids } = this;
    this.element.hidden = ids === null;
    this.#count.textContent = ids ? texts.selected(ids.size) : "";
    const words = this.isInArchive ? texts.unarchive : texts.archive;
    this.#archive.setAttribute("aria-label", words);
    this.#archive.title = words;
    // Not `disabled`: that would take the focus away.
    for (const button of this.#acts) button.setAttribute("aria-disabled", String(!ids?.size));
  }
}
