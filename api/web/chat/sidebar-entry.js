/** One conversation in the sidebar: a link, with a box to select it, and buttons for what can be done. */

import { iconButton, make } from "./dom.js";
import { texts } from "../texts.js";

/** The API takes titles up to this length. */
const TITLE_MOST = 200;

/**
 * @typedef {object} SidebarEntryActions
 * @property {(id: number) => void} open
 * @property {(id: number, title: string) => void} rename
 * @property {(id: number) => void} remove
 * @property {(id: number, opener: HTMLElement) => void} more
 * @property {(id: number, isSelected: boolean, isRange: boolean) => void} select
 */

export class SidebarEntry {
  #id;
  #actions;
  #title = "";
  #isCurrent = false;
  /** @type {boolean | null} */
  #isReachable = null;
  #link;
  #box = make("input", { type: "checkbox", hidden: true });
  #rename;
  #remove;
  #more;
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
    this.#more = iconButton("more", texts.more, () => actions.more(id, this.#more), {
      "aria-haspopup": "menu",
      "aria-expanded": "false",
    });
    this.#box.addEventListener("click", (event) => actions.select(id, this.#box.checked, event.shiftKey));
    this.#tools = make("div", { class: "tools" }, this.#rename, this.#remove, this.#more);
    this.element = make("li", { "data-id": id }, this.#box, this.#link, this.#tools);
  }

  /**
   * @param {string} title
   * @param {{isCurrent: boolean, isReachable: boolean, isSelected: boolean | null}} state
   *   null: nothing can be selected
   */
  show(title, { isCurrent, isReachable, isSelected }) {
    if (title !== this.#title) {
      this.#title = title;
      this.#link.textContent = title;
      this.#link.title = title;
      this.#rename.setAttribute("aria-label", `${texts.rename}: ${title}`);
      this.#remove.setAttribute("aria-label", `${texts.delete}: ${title}`);
      this.#more.setAttribute("aria-label", `${texts.more}: ${title}`);
      this.#box.setAttribute("aria-label", texts.selectOne(title));
    }
    if (isCurrent !== this.#isCurrent) {
      this.#isCurrent = isCurrent;
      this.element.classList.toggle("current", isCurrent);
      if (isCurrent) this.#link.setAttribute("aria-current", "page");
      else this.#link.removeAttribute("aria-current");
    }
    if (isSelected === null && this.#box.matches(":focus")) this.#link.focus();
    this.#box.hidden = isSelected === null;
    this.#box.checked = isSelected ?? false;
    this.#tools.hidden = isSelected !== null;
    this.setReachable(isReachable);
  }

  /** @param {boolean} isReachable Tab stops at one entry; the arrow keys reach the others */
  setReachable(isReachable) {
    if (isReachable === this.#isReachable) return;
    this.#isReachable = isReachable;
    for (const element of [this.#box, this.#link, this.#rename, this.#remove, this.#more]) {
      element.tabIndex = isReachable ? 0 : -1;
    }
  }

  /** Give the focus to the button that opens the menu; it is there while the focus is near. */
  focusMore() {
    this.#link.focus();
    this.#more.focus();
  }

  /** Select it, or no longer; where that is possible. */
  toggle() {
    if (!this.#box.hidden) this.#box.click();
  }

  remove() {
    this.#actions.remove(this.#id);
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
