/** The conversations in groups: Tab reaches one of them, the arrow keys reach the others. */

import { make } from "./dom.js";
import { SidebarEntry } from "./sidebar-entry.js";
import { texts } from "../texts.js";

/**
 * @import { SidebarEntryActions } from "./sidebar-entry.js"
 * @import { Group } from "../model/date-groups.js"
 * @import { ConversationRow } from "../model/wire.js"
 *
 * @typedef {object} Shown
 * @property {Group<ConversationRow>[]} groups
 * @property {number | null} current the one that is open
 * @property {ReadonlySet<number> | null} selected null: nothing can be selected
 */

export class Entries {
  element = make("div");
  /** @type {number[]} the ids of what is shown, in order */
  order = [];

  /** @type {SidebarEntryActions & {open: (id: number) => void}} */
  #actions;
  #hrefOf;
  /** @type {Map<string, {section: HTMLElement, list: HTMLElement}>} by label */
  #groups = new Map();
  /** @type {Map<number, SidebarEntry>} */
  #entries = new Map();
  /** @type {number | null} the one that Tab reaches */
  #reachable = null;
  /** How many groups were made: their headings need names. */
  #made = 0;

  /**
   * @param {SidebarEntryActions & {open: (id: number) => void}} actions
   * @param {(id: number) => string} hrefOf
   */
  constructor(actions, hrefOf) {
    this.#actions = actions;
    this.#hrefOf = hrefOf;
    this.element.addEventListener("keydown", (event) => this.#pressed(event));
    this.element.addEventListener("click", (event) => this.#clicked(event));
    for (const name of ["pointerover", "focusin"]) this.element.addEventListener(name, (event) => this.#of(event)?.equip());
  }

  /** @param {number | null} id of the entry that Tab reaches next */
  reach(id) {
    this.#reachable = id;
  }

  /** @param {number} id */
  focusMore(id) {
    this.#entries.get(id)?.focusMore();
  }

  focus() {
    const first = this.element.querySelector("a");
    first?.focus();
    return first !== null;
  }

  /** @param {Shown} shown */
  show({ groups, current, selected }) {
    const order = groups.flatMap(({ rows }) => rows.map((row) => row.id));
    const wanted = new Set(order);
    this.#leaveGone(wanted);
    this.order = order;
    if (!wanted.has(this.#reachable ?? 0)) this.#reachable = order[0] ?? null;
    const labels = new Set(groups.map(({ label }) => label));
    let next = this.element.firstElementChild;
    for (const { label, rows } of groups) {
      const { section, list } = this.#groupOf(label);
      if (section === next) next = next.nextElementSibling;
      else place(this.element, section, next);
      this.#fill(list, rows, current, selected);
    }
    for (const [label, { section }] of this.#groups) {
      if (labels.has(label)) continue;
      section.remove();
      this.#groups.delete(label);
    }
  }

  /**
   * @param {HTMLElement} list
   * @param {ConversationRow[]} rows
   * @param {number | null} current
   * @param {ReadonlySet<number> | null} selected
   */
  #fill(list, rows, current, selected) {
    /** @type {Element | null} */
    let next = list.firstElementChild;
    for (const { id, title } of rows) {
      const entry = this.#entryOf(id);
      entry.show(title ?? texts.untitled, {
        isCurrent: id === current,
        isReachable: id === this.#reachable,
        isSelected: selected && selected.has(id),
      });
      if (entry.element === next) next = next.nextElementSibling;
      else place(list, entry.element, next);
    }
  }

  /** @param {string} label */
  #groupOf(label) {
    const known = this.#groups.get(label);
    if (known) return known;
    const heading = make("h2", { id: `group-${++this.#made}`, hidden: !label }, label);
    const list = make("ul", { class: "entries", ...(label && { "aria-labelledby": heading.id }) });
    const group = { section: make("div", { class: "group" }, heading, list), list };
    this.#groups.set(label, group);
    return group;
  }

  /** @param {Set<number>} wanted */
  #leaveGone(wanted) {
    for (const [id, entry] of this.#entries) {
      if (wanted.has(id)) continue;
      const { element } = entry;
      const hadFocus = element.matches(":focus-within");
      element.remove();
      this.#entries.delete(id);
      if (hadFocus) this.#focusHeirOf(id, wanted);
    }
  }

  /**
   * @param {number} id
   * @param {Set<number>} wanted
   */
  #focusHeirOf(id, wanted) {
    const at = this.order.indexOf(id);
    const after = this.order.slice(at + 1).find((one) => wanted.has(one));
    const heir = after ?? this.order.slice(0, at).findLast((one) => wanted.has(one));
    if (heir !== undefined) this.#move(heir);
  }

  /** @param {number} id */
  #entryOf(id) {
    const known = this.#entries.get(id);
    if (known) return known;
    const entry = new SidebarEntry(id, this.#hrefOf(id), this.#actions);
    this.#entries.set(id, entry);
    return entry;
  }

  /**
   * @param {Event} event
   * @returns {SidebarEntry | undefined} the entry in which it happened
   */
  #of({ target }) {
    return this.#entries.get(idOf(/** @type {Element} */ (target)));
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const target = /** @type {Element} */ (event.target);
    // With a modifier, or another button, it is a link like any other: a new tab.
    if (!target.closest("a") || event.button !== 0) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.#actions.open(idOf(target));
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const target = /** @type {Element} */ (event.target);
    if (!target.matches("a")) return;
    const id = idOf(target);
    const at = this.order.indexOf(id);
    const moves = {
      ArrowDown: this.order[at + 1],
      ArrowUp: this.order[at - 1],
      Home: this.order[0],
      End: this.order.at(-1),
    };
    const entry = this.#entries.get(id);
    if (event.key in moves) this.#move(moves[/** @type {keyof typeof moves} */ (event.key)]);
    else if (event.key === "F2") entry?.edit();
    else if (event.key === "Delete") entry?.remove();
    else if (event.key === " ") entry?.toggle();
    else return;
    event.preventDefault();
  }

  /** @param {number | undefined} id of the entry that gets the focus */
  #move(id) {
    if (id === undefined) return;
    this.#entries.get(this.#reachable ?? 0)?.setReachable(false);
    this.#reachable = id;
    const entry = this.#entries.get(id);
    entry?.setReachable(true);
    entry?.element.querySelector("a")?.focus();
  }
}

/** @param {Element} target within an entry */
function idOf(target) {
  return Number(target.closest("li")?.dataset["id"] ?? 0);
}

/**
 * Put an element before another one. Moved by `insertBefore` it would lose the focus, and a title
 * that is being edited would be taken for finished.
 * @param {HTMLElement} parent
 * @param {Element} element
 * @param {Element | null} next
 */
function place(parent, element, next) {
  if (!element.isConnected || !("moveBefore" in parent)) return void parent.insertBefore(element, next);
  /** @type {HTMLElement | null} */
  const focused = element.querySelector(":is(a, button):focus");
  parent.moveBefore(element, next);
  if (!focused) return;
  // It has the focus still, but what is shown for `:focus-within` is not, unless the focus comes anew.
  focused.blur();
  element.querySelector("a")?.focus();
  focused.focus();
}
