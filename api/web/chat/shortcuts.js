/**
 * What the keyboard can do, as a sheet: Ctrl+/ opens it from anywhere, `?` outside of fields, and then one
 * letter does something. No other combination is free in all browsers, screen readers and keyboard layouts.
 */

import { iconButton, make } from "./dom.js";
import { texts } from "../texts.js";

/**
 * @typedef {object} Command
 * @property {string} letter
 * @property {string} label
 * @property {() => void} act
 * @property {() => boolean} [can] whether there is something to do now
 */

/** What takes letters itself. */
const FIELDS = "input, textarea, select";

export class Shortcuts {
  #commands;
  #list = make("ul", { class: "commands" });
  element = make("dialog", { class: "panel shortcuts", "aria-labelledby": "shortcuts-heading" });

  /** @param {Command[]} commands */
  constructor(commands) {
    this.#commands = commands;
    const { enter, shift, up, down, space, delete: del } = texts.keyNames;
    this.element.append(
      make(
        "header",
        {},
        make("h2", { id: "shortcuts-heading" }, texts.shortcuts),
        iconButton("close", texts.close, () => this.element.close()),
      ),
      make("p", { class: "list-hint" }, texts.shortcutsHint),
      this.#list,
      make("h3", {}, texts.keysOfComposer),
      keys([
        [enter, texts.send],
        [`${shift}+${enter}`, texts.newLine],
        [up, texts.editLast],
      ]),
      make("h3", {}, texts.keysOfList),
      keys([
        [`${up} ${down}`, texts.goThrough],
        ["F2", texts.rename],
        [del, texts.delete],
        [space, texts.selectSeveral],
      ]),
    );
    this.element.addEventListener("keydown", (event) => this.#pressed(event));
  }

  open() {
    const buttons = this.#commands.map((command) => this.#buttonOf(command));
    this.#list.replaceChildren(...buttons.map((button) => make("li", {}, button)));
    this.element.showModal();
    buttons[0]?.focus();
  }

  close() {
    this.element.close();
  }

  /**
   * Whether keys that were pressed ask for the sheet.
   * @param {KeyboardEvent} event
   * @param {HTMLElement} host
   */
  static isAskedFor(event, host) {
    const [target] = event.composedPath();
    const isOurs = event.target === host;
    if (event.isComposing || event.altKey || event.metaKey) return false;
    // In a page of others the keys of their own fields are theirs.
    if (event.key === "/" && event.ctrlKey) return isOurs || event.target === document.body;
    return event.key === "?" && !event.ctrlKey && isOurs && target instanceof Element && !target.matches(FIELDS);
  }

  /** @param {Command} command */
  #buttonOf(command) {
    const { letter, label, can } = command;
    const isIdle = can !== undefined && !can();
    const attributes = { type: "button", "aria-disabled": String(isIdle), onclick: () => this.#run(command) };
    return make("button", attributes, make("span", {}, label), " ", make("kbd", {}, letter));
  }

  /** @param {Command} command */
  #run({ act, can }) {
    if (can && !can()) return;
    this.element.close();
    act();
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const command = this.#commands.find(({ letter }) => letter === event.key.toUpperCase());
    if (!command) return;
    event.preventDefault();
    event.stopPropagation();
    this.#run(command);
  }
}

/** @param {string[][]} rows keys, and what they do */
function keys(rows) {
  const pairs = rows.map(([key = "", what = ""]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)]);
  return make("dl", {}, ...pairs.flat());
}
