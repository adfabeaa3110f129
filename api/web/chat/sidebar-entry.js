/**
 * One conversation in the sidebar: a link; when it is needed, a box to select it, and buttons for what
 * can be done. There may be thousands of these, and one is looked at.
 */

import { iconButton, make } from "./dom.js";
import { texts } from "../texts.js";

/** The API takes titles up to this length. */
const TITLE_MOST = 200;

/**
 * @typedef {object} SidebarEntryActions
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
  /** @type {HTMLInputElement | null} */
  #box = null;
  /** @type {{element: HTMLElement, rename: HTMLElement, remove: HTMLElement, more: HTMLElement} | null} */
  #tools = null;

  /**
   * @param {number} id
   * @param {string} href
   * @param {SidebarEntryActions} actions
   */
  constructor(id, href, actions) {
    this.#id = id;
    this.#actions = actions;
    this.#link = make("a", { href, dir: "auto" });
    this.element = make("li", { "data-id": id }, this.#link);
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
      this.#name();
    }
    if (isCurrent !== this.#isCurrent) {
      this.#isCurrent = isCurrent;
      this.element.classList.toggle("current", isCurrent);
      if (isCurrent) this.#link.setAttribute("aria-current", "page");
      else this.#link.removeAttribute("aria-current");
      if (isCurrent) this.equip();
    }
    this.#showSelected(isSelected);
    this.setReachable(isReachable);
  }

  /** Have the buttons: it is looked at. */
  equip() {
    if (this.#tools) return;
    const rename = iconButton("pencil", texts.rename, () => this.edit());
    const remove = iconButton("bin", texts.delete, () => this.remove());
    const more = iconButton("more", texts.more, () => this.#actions.more(this.#id, more), {
      "aria-haspopup": "menu",
      "aria-expanded": "false",
    });
    const element = make("div", { class: "tools", hidden: this.#box !== null && !this.#box.hidden }, rename, remove, more);
    this.#tools = { element, rename, remove, more };
    this.#name();
    this.element.append(element);
    this.#reach();
  }

  /** Have the title in the names of what is there. */
  #name() {
    const { rename, remove, more } = this.#tools ?? {};
    rename?.setAttribute("aria-label", `${texts.rename}: ${this.#title}`);
    remove?.setAttribute("aria-label", `${texts.delete}: ${this.#title}`);
    more?.setAttribute("aria-label", `${texts.more}: ${this.#title}`);
    this.#box?.setAttribute("aria-label", texts.selectOne(this.#title));
  }

  /** @param {boolean | null} isSelected */
  #showSelected(isSelected) {
    if (isSelected !== null && !this.#box) {
      const box = (this.#box = make("input", { type: "checkbox" }));
      box.addEventListener("click", (event) => this.#actions.select(this.#id, box.checked, event.shiftKey));
      this.#name();
      this.element.prepend(box);
      this.#reach();
    }
    if (!this.#box) return;
    if (isSelected === null && this.#box.matches(":focus")) this.#link.focus();
    this.#box.hidden = isSelected === null;
    this.#box.checked = isSelected ?? false;
    if (this.#tools) this.#tools.element.hidden = isSelected !== null;
  }

  /** @param {boolean} isReachable Tab stops at one entry; the arrow keys reach the others */
  setReachable(isReachable) {
    if (isReachable === this.#isReachable) return;
    this.#isReachable = isReachable;
    this.#reach();
  }

  #reach() {
    const { rename, remove, more } = this.#tools ?? {};
    for (const element of [this.#box, this.#link, rename, remove, more]) {
      if (element) element.tabIndex = this.#isReachable ? 0 : -1;
    }
  }

  /** Give the focus to the button that opens the menu; it is there while the focus is near. */
  focusMore() {
    this.equip();
    this.#link.focus();
    this.#tools?.more.focus();
  }

  /** Select it, or no longer; where that is possible. */
  toggle() {
    if (this.#box && !this.#box.hidden) this.#box.click();
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
      if (this.#tools) this.#tools.element.hidden = false;
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
    if (this.#tools) this.#tools.element.hidden = true;
    this.#link.replaceWith(field);
    field.focus();
    field.select();
  }
}
