/** One conversation in the sidebar: a link, with buttons to rename and delete it. */

import { iconButton, make } from "./dom.js";
import { texts } from "../texts.js";

/** The API takes titles up to this length. */
const TITLE_MOST = 200;

/**
 * @typedef {object} SidebarEntryActions
 * @property {(id: number) => void} open
 * @property {(id: number, title: string) => void} rename
 * @property {(id: number, title: string) => void} remove
 */

export class SidebarEntry {
  #id;
  #actions;
  #title = "";
  #isCurrent = false;
  /** @type {boolean | null} */
  #isReachable = null;
  #link;
  #rename;
  #remove;
  #tools;

  /**
   * @param {number} id
   * @param {string} href
   * @param {SidebarEntryActions} actions
   */
  constructor(id, href, actions) {
    this.#id = id;
    this.#actions = actions;
    this.#link = make("a", { href, dir: "auto", onclick: (/** @type {MouseEvent} */ event) => this.#clicked(event) });
    this.#rename = iconButton("pencil", texts.rename, () => this.edit());
    this.#remove = iconButton("bin", texts.delete, () => this.remove());
    this.#tools = make("div", { class: "tools" }, this.#rename, this.#remove);
    this.element = make("li", { "data-id": id }, this.#link, this.#tools);
  }

  /**
   * @param {string} title
   * @param {{isCurrent: boolean, isReachable: boolean}} state
   */
  show(title, { isCurrent, isReachable }) {
    if (title !== this.#title) {
      this.#title = title;
      this.#link.textContent = title;
      this.#link.title = title;
      this.#rename.setAttribute("aria-label", `${texts.rename}: ${title}`);
      this.#remove.setAttribute("aria-label", `${texts.delete}: ${title}`);
    }
    if (isCurrent !== this.#isCurrent) {
      this.#isCurrent = isCurrent;
      this.element.classList.toggle("current", isCurrent);
      if (isCurrent) this.#link.setAttribute("aria-current", "page");
      else this.#link.removeAttribute("aria-current");
    }
    this.setReachable(isReachable);
  }

  /** @param {boolean} isReachable Tab stops at one entry; the arrow keys reach the others */
  setReachable(isReachable) {
    if (isReachable === this.#isReachable) return;
    this.#isReachable = isReachable;
    for (const element of [this.#link, this.#rename, this.#remove]) {
      element.tabIndex = isReachable ? 0 : -1;
    }
  }

  remove() {
    this.#actions.remove(this.#id, this.#title);
  }

  /** Let the title be written anew, in its place. */
  edit() {
    const field = make("input", {
      class: "title-field",
      value: this.#title,
      maxlength: TITLE_MOST,
      dir: "auto",
      "aria-label": texts.titleOf(this.#title),
    });
    let isOver = false;
    /** @param {boolean} isWanted */
    const finish = (isWanted) => {
      if (isOver) return;
      isOver = true;
      const title = field.value.trim();
      const hadFocus = field.matches(":focus");
      field.replaceWith(this.#link);
      this.#tools.hidden = false;
      if (hadFocus) this.#link.focus();
      if (isWanted && title && title !== this.#title) this.#actions.rename(this.#id, title);
    };
    field.addEventListener("blur", () => finish(true));
    field.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter") finish(true);
      else if (event.key === "Escape") finish(false);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.#tools.hidden = true;
    this.#link.replaceWith(field);
    field.focus();
    field.select();
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    // With a modifier, or another button, it is a link like any other: a new tab.
    if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.#actions.open(this.#id);
  }
}
