/** The end of an account: its name typed and its password given, it goes with all it has. */

import { make } from "./dom.js";
import { Section, labelled } from "./section.js";
import { texts } from "../texts.js";

/** @import { Client } from "../model/client.js" */

export class Farewell {
  #client;
  #gone;
  #section;
  #username = "";
  #name = labelled(texts.typeName(""), { name: "confirmation", required: true, autocomplete: "off", spellcheck: "false" });
  #password = labelled(texts.password, {
    type: "password",
    name: "password",
    required: true,
    autocomplete: "current-password",
  });
  #submit = make("button", { type: "submit", class: "primary danger" }, texts.deleteAccount);

  /**
   * @param {Client} client
   * @param {() => void} gone
   */
  constructor(client, gone) {
    this.#client = client;
    this.#gone = gone;
    const form = make(
      "form",
      { onsubmit: (/** @type {Event} */ event) => void this.#submitted(event) },
      this.#name.label,
      this.#password.label,
      this.#submit,
    );
    const details = make("details", { class: "farewell" }, make("summary", {}, texts.deleteAccount), make("p", {}, texts.deleteHint), form);
    this.#section = new Section(texts.end, details);
    this.element = this.#section.element;
  }

  /** @param {string} username whose account it is */
  use(username) {
    this.#username = username;
    const words = this.#name.label.querySelector("span");
    if (words) words.textContent = texts.typeName(username);
    this.#name.input.value = this.#password.input.value = "";
    this.#section.complain("");
    /** @type {HTMLDetailsElement | null} */ (this.element.querySelector("details"))?.removeAttribute("open");
  }

  /** @param {Event} event */
  async #submitted(event) {
    event.preventDefault();
    if (this.#submit.disabled) return;
    if (this.#name.input.value.trim() !== this.#username) {
      this.#section.complain(texts.wrongName);
      this.#name.input.select();
      return;
    }
    this.#submit.disabled = true;
    const remove = async () => {
      await this.#client.deleteAccount(this.#password.input.value);
    };
    const done = await this.#section.attempt(remove, { 401: texts.wrongCurrent });
    this.#submit.disabled = false;
    if (done) this.#gone();
    else this.#password.input.select();
  }
}
