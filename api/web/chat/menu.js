/** A menu beside a button: arrow keys move in it, Escape and a click elsewhere close it. */

import { make } from "./dom.js";

/** @typedef {{label: string, act: () => void}} Choice */

/** Distance from the button, and from the edges of the window (in pixels). */
const GAP = 4;

export class Menu {
  element = make("div", { class: "menu", role: "menu", popover: "auto" });
  /** @type {HTMLElement | null} */
  #opener = null;

  constructor() {
    this.element.addEventListener("keydown", (event) => this.#pressed(event));
    this.element.addEventListener("toggle", () => this.#toggled());
  }

  /**
   * @param {HTMLElement} opener which gets the focus back
   * @param {string} label
   * @param {Choice[]} choices
   */
  open(opener, label, choices) {
    this.#opener = opener;
    this.element.setAttribute("aria-label", label);
    this.element.replaceChildren(...choices.map((choice) => this.#itemOf(choice)));
    this.element.showPopover();
    // At once: what is shown with the focus only must stay, to get it back.
    opener.setAttribute("aria-expanded", "true");
    this.#place(opener.getBoundingClientRect());
    this.#items[0]?.focus();
  }

  get #items() {
    return [...this.element.querySelectorAll("button")];
  }

  /** @param {Choice} choice */
  #itemOf({ label, act }) {
    const chosen = () => {
      this.element.hidePopover();
      this.#opener?.focus();
      act();
    };
    return make("button", { type: "button", role: "menuitem", tabindex: -1, onclick: chosen }, label);
  }

  /** @param {DOMRect} beside */
  #place({ bottom, top, left, right }) {
    const { offsetWidth: width, offsetHeight: height, style } = this.element;
    const isBelow = bottom + GAP + height < innerHeight;
    style.top = `${Math.max(GAP, isBelow ? bottom + GAP : top - GAP - height)}px`;
    const wanted = this.element.matches(":dir(rtl)") ? left : right - width;
    style.left = `${Math.min(Math.max(GAP, wanted), innerWidth - width - GAP)}px`;
  }

  #toggled() {
    if (!this.element.matches(":popover-open")) this.#opener?.setAttribute("aria-expanded", "false");
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const items = this.#items;
    const at = items.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    if (event.key === "Tab") this.element.hidePopover();
    if (!(event.key in moves)) return;
    event.preventDefault();
    items.at(moves[/** @type {keyof typeof moves} */ (event.key)] % items.length)?.focus();
  }
}
