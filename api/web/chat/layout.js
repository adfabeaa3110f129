/** The layout around the messages: header, drawer, account, theme. */

import { icon, iconButton, make } from "./dom.js";
import { texts } from "../texts.js";

/** @import { Client } from "../model/client.js" */

/** @typedef {"auto" | "light" | "dark"} Theme */

/** The themes in the order in which the button goes through them. */
const THEMES = /** @type {Theme[]} */ (["auto", "light", "dark"]);

/** The header above the messages; its button opens the drawer where there is no room beside. */
export class Header {
  #title = make("h1", { dir: "auto" });
  #share;
  #more;

  /**
   * @param {() => void} openSidebar
   * @param {() => void} share
   * @param {(opener: HTMLElement) => void} more what else can be done with the conversation
   */
  constructor(openSidebar, share, more) {
    this.menu = iconButton("menu", texts.openSidebar, openSidebar, {
      class: "icon-button only-narrow",
      "aria-expanded": "false",
    });
    this.#share = iconButton("share", texts.share, share, { hidden: true });
    this.#more = iconButton("more", texts.more, () => more(this.#more), {
      hidden: true,
      "aria-haspopup": "menu",
      "aria-expanded": "false",
    });
    this.element = make("header", { class: "header" }, this.menu, this.#title, this.#share, this.#more);
  }

  /** @param {boolean} isThere whether a conversation is, with something to share, print and save */
  showTools(isThere) {
    this.#share.hidden = this.#more.hidden = !isThere;
  }

  /** @param {string} title */
  show(title) {
    if (this.#title.textContent !== title) this.#title.textContent = title;
  }
}

/** Who is signed in, their account, what the keyboard can do, the theme, and the way out. */
export class Account {
  #name = make("span", { class: "username" });
  #theme = make("button");
  element;

  /**
   * @param {Client} client
   * @param {{account: () => void, shortcuts: () => void, theme: (theme: Theme) => void, signOut: () => void}} actions
   */
  constructor(client, { account, shortcuts, theme, signOut }) {
    const next = () => {
      const index = THEMES.indexOf(/** @type {Theme} */ (this.#theme.dataset["theme"]));
      theme(THEMES[(index + 1) % THEMES.length] ?? "auto");
    };
    this.#theme = iconButton("auto", "", next);
    const open = iconButton("person", texts.account, account);
    const keys = iconButton("keyboard", texts.shortcuts, shortcuts);
    const leave = iconButton("leave", texts.signOut, signOut, { hidden: client.isGivenToken });
    this.element = make("footer", { class: "account" }, this.#name, open, keys, this.#theme, leave);
  }

  /** @param {string} name */
  showName(name) {
    this.#name.textContent = name;
  }

  /** @param {Theme} theme */
  showTheme(theme) {
    this.#theme.dataset["theme"] = theme;
    this.#theme.setAttribute("aria-label", texts.theme[theme]);
    this.#theme.title = texts.theme[theme];
    this.#theme.replaceChildren(icon(theme));
  }
}

/** @param {string | null} theme */
export function themeOf(theme) {
  return THEMES.find((known) => known === theme) ?? "auto";
}

/**
 * The sidebar: beside the messages, unless it is hidden, or over them, where there is no room for both.
 * Then it takes the focus, and gives it back.
 */
export class Drawer {
  #sidebar;
  #rest;
  #opener;

  /**
   * @param {HTMLElement} sidebar
   * @param {HTMLElement} rest
   * @param {HTMLElement} opener
   */
  constructor(sidebar, rest, opener) {
    this.#sidebar = sidebar;
    this.#rest = rest;
    this.#opener = opener;
    this.scrim = make("div", { class: "scrim", onclick: () => this.close() });
    sidebar.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
    // With room for both, there is no drawer to be open.
    new ResizeObserver(() => {
      if (this.isOpen && this.#isBeside) this.#set(false);
    }).observe(rest);
  }

  get isOpen() {
    return this.#sidebar.classList.contains("open");
  }

  open() {
    if (this.#isBeside) this.#leaveAlone(false);
    else this.#set(true);
    this.#sidebar.querySelector("button")?.focus();
  }

  /** Where it lies over the messages. */
  close() {
    if (!this.isOpen) return;
    this.#set(false);
    this.#opener.focus();
  }

  /** Wherever it is. */
  hide() {
    if (!this.#isBeside) return this.close();
    this.#leaveAlone(true);
    this.#opener.focus();
  }

  toggle() {
    if (this.#sidebar.checkVisibility({ visibilityProperty: true })) this.hide();
    else this.open();
  }

  get #isBeside() {
    return getComputedStyle(this.#sidebar).position !== "absolute";
  }

  /** @param {boolean} isAlone whether the messages have all the room */
  #leaveAlone(isAlone) {
    this.#sidebar.parentElement?.classList.toggle("alone", isAlone);
    this.#opener.setAttribute("aria-expanded", String(!isAlone));
  }

  /** @param {boolean} isOpen */
  #set(isOpen) {
    this.#sidebar.classList.toggle("open", isOpen);
    this.scrim.classList.toggle("open", isOpen);
    this.#rest.inert = isOpen;
    this.#opener.setAttribute("aria-expanded", String(isOpen));
  }
}
