/** A dialog for the tags of one conversation, or of several: which all of them are to have. */

import { iconButton, make } from "./dom.js";
import { texts } from "../texts.js";

/** The API takes tags up to this length. */
const TAG_MOST = 64;

export class TagEditor {
  #heading = make("h2", { id: "tags-heading" });
  #list = make("ul", { class: "tag-choices" });
  #name = make("input", { name: "tag", maxlength: TAG_MOST, autocomplete: "off", dir: "auto" });
  /** @type {(add: Set<string>, remove: Set<string>) => void} */
  #save = () => {};
  /** @type {() => void} */
  #closed = () => {};
  element;

  constructor() {
    this.element = make(
      "dialog",
      { class: "panel", "aria-labelledby": "tags-heading", onclose: () => this.#closed() },
      make("header", {}, this.#heading, iconButton("close", texts.close, () => this.close())),
      make(
        "form",
        { onsubmit: (/** @type {Event} */ event) => this.#submitted(event) },
        this.#list,
        make("label", { class: "key-name" }, make("span", {}, texts.newTag), this.#name),
        make("button", { type: "submit", class: "primary" }, texts.save),
      ),
    );
  }

  /**
   * @param {(string[] | null)[]} tagsOfEach
   * @param {string[]} known
   * @param {(add: Set<string>, remove: Set<string>) => void} save
   * @param {() => void} closed
   */
  open(tagsOfEach, known, save, closed) {
    this.#save = save;
    this.#closed = closed;
    this.#heading.textContent = texts.tagsOf(tagsOfEach.length);
    const all = [...new Set([...known, ...tagsOfEach.flatMap((tags) => tags ?? [])])];
    const rows = all.map((tag) => choice(tag, tagsOfEach.filter((tags) => tags?.includes(tag)).length, tagsOfEach.length));
    const none = make("li", { class: "list-hint" }, texts.noTags);
    this.#list.replaceChildren(...(rows.length ? rows : [none]));
    this.#name.value = "";
    this.element.showModal();
    this.#name.focus();
  }

  close() {
    this.element.close();
  }

  /** @param {Event} event */
  #submitted(event) {
    event.preventDefault();
    const boxes = [...this.#list.querySelectorAll("input")].filter((box) => !box.indeterminate);
    const name = this.#name.value.trim();
    const wanted = boxes.filter((box) => box.checked).map((box) => box.value);
    const unwanted = boxes.filter((box) => !box.checked && box.value !== name).map((box) => box.value);
    this.#save(new Set(name ? [...wanted, name] : wanted), new Set(unwanted));
    this.close();
  }
}

/**
 * @param {string} tag
 * @param {number} count so many have it
 * @param {number} of
 */
function choice(tag, count, of) {
  const box = make("input", { type: "checkbox", value: tag });
  box.checked = count === of;
  // Some have it: it stays so until the box is pressed.
  box.indeterminate = count > 0 && count < of;
  return make("li", {}, make("label", { class: "check" }, box, make("span", { dir: "auto" }, tag)));
}
