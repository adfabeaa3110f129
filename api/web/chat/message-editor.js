/** Changing what one said, in its place. */

import { make } from "./dom.js";
import { texts } from "../texts.js";

export class MessageEditor {
  #field = make("textarea", { dir: "auto", rows: 1, "aria-label": texts.editMessage, maxlength: 100_000 });
  #before;
  #done;
  element;

  /**
   * @param {string} text
   * @param {(text: string | null) => void} done null where nothing is to change
   */
  constructor(text, done) {
    this.#before = this.#field.value = text;
    this.#done = done;
    this.#field.addEventListener("input", () => this.#fit());
    this.#field.addEventListener("keydown", (event) => this.#pressed(event));
    this.element = make(
      "form",
      { class: "message-editor", onsubmit: (/** @type {Event} */ event) => this.#submitted(event) },
      this.#field,
      make(
        "div",
        { class: "note" },
        make("button", { type: "button", onclick: () => done(null) }, texts.cancel),
        make("button", { type: "submit" }, texts.sendAnew),
      ),
    );
  }

  /** Once it is in the page. */
  focus() {
    this.#fit();
    this.#field.focus();
    this.#field.setSelectionRange(this.#before.length, this.#before.length);
  }

  /** As high as its text, up to what the style allows. */
  #fit() {
    this.#field.style.blockSize = "auto";
    this.#field.style.blockSize = `${this.#field.scrollHeight}px`;
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key === "Escape") {
      event.stopPropagation();
      this.#done(null);
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
      event.preventDefault();
      this.element.requestSubmit();
    }
  }

  /** @param {Event} event */
  #submitted(event) {
    event.preventDefault();
    const text = this.#field.value;
    this.#done(text.trim() === "" || text === this.#before ? null : text);
  }
}
