/** A new password: every other session is over with it. */

import { make } from "./dom.js";
import { Section, labelled } from "./section.js";
import { texts } from "../texts.js";

/** @import { Client } from "../model/client.js" */

export class Password {
  #client;
  #section;
  #current = labelled(texts.currentPassword, {
    type: "password",
    name: "current",
    required: true,
    autocomplete: "current-password",
  });
  #new = labelled(texts.newPassword, {
    type: "password",
    name: "new",
    required: true,
    minlength: 8,
    autocomplete: "new-password",
  });
  #submit = make("button", { type: "submit", class: "primary" }, texts.changePassword);
  #done = make("p", { role: "status", class: "list-hint" });
  #changed;

  /**
   * @param {Client} client
   * @param {() => void} changed
   */
  constructor(client, changed) {
    this.#client = client;
    this.#changed = changed;
    const form = make(
      "form",
      { onsubmit: (/** @type {Event} */ event) => void this.#submitted(event) },
      this.#current.label,
      this.#new.label,
      this.#submit,
      this.#done,
    );
    this.#section = new Section(texts.password, form);
    this.element = this.#section.element;
  }

  forget() {
    this.#current.input.value = this.#new.input.value = "";
    this.#done.textContent = "";
    this.#section.complain("");
  }

  /** @param {Event} event */
  async #submitted(event) {
    event.preventDefault();
    if (this.#submit.disabled) return;
    this.#submit.disabled = true;
    const change = async () => {
      await this.#client.changePassword(this.#current.input.value, this.#new.input.value);
    };
    if (await this.#section.attempt(change, { 401: texts.wrongCurrent })) {
      this.forget();
      this.#done.textContent = texts.passwordChanged;
      this.#changed();
    } else this.#current.input.select();
    this.#submit.disabled = false;
  }
}
