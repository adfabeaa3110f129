/** Who one is: the username, which can be changed with the password, and the address. */

import { make } from "./dom.js";
import { Section, labelled } from "./section.js";
import { texts } from "../texts.js";

/**
 * @import { LanguageChoice } from "./language-choice.js"
 * @import { Client } from "../model/client.js"
 * @import { User } from "../model/wire.js"
 */

export class Identity {
  #client;
  #renamed;
  #section;
  #who = make("dl", { class: "who" });
  #name = labelled(texts.newUsername, {
    name: "username",
    required: true,
    pattern: "\\s*[A-Za-z0-9._\\-]{3,64}\\s*",
    title: texts.usernameHint,
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
  });
  #password = labelled(texts.password, {
    type: "password",
    name: "password",
    required: true,
    autocomplete: "current-password",
  });
  #submit = make("button", { type: "submit", class: "primary" }, texts.changeUsername);
  #details;
  #done = make("p", { role: "status", class: "list-hint" });

  /**
   * @param {Client} client
   * @param {LanguageChoice} language
   * @param {(user: User) => void} renamed
   */
  constructor(client, language, renamed) {
    this.#client = client;
    this.#renamed = renamed;
    const form = make(
      "form",
      { onsubmit: (/** @type {Event} */ event) => void this.#submitted(event) },
      this.#name.label,
      make("p", { class: "list-hint" }, texts.usernameHint),
      this.#password.label,
      this.#submit,
    );
    this.#details = make("details", {}, make("summary", {}, texts.changeUsername), form);
    this.#section = new Section(texts.profile, this.#who, this.#details, this.#done, language.element);
    this.element = this.#section.element;
  }

  /** @param {User} user */
  show({ username, email }) {
    this.#who.replaceChildren(...pair(texts.username, username), ...pair(texts.email, email));
    this.#name.input.value = this.#password.input.value = "";
    this.#details.open = false;
    this.#done.textContent = "";
    this.#section.complain("");
  }

  /** Keep no password. */
  forget() {
    this.#password.input.value = "";
  }

  /** @param {Event} event */
  async #submitted(event) {
    event.preventDefault();
    if (this.#submit.disabled) return;
    this.#submit.disabled = true;
    const change = async () => {
      const user = await this.#client.changeName(this.#name.input.value.trim(), this.#password.input.value);
      this.show(user);
      this.#renamed(user);
      this.#done.textContent = texts.usernameChanged(user.username);
      this.#details.querySelector("summary")?.focus();
    };
    const meanings = { 401: texts.wrongCurrent, 409: texts.usernameTaken };
    const done = await this.#section.attempt(change, meanings);
    this.#submit.disabled = false;
    if (!done) this.#password.input.select();
  }
}

/**
 * @param {string} name
 * @param {string} value
 */
function pair(name, value) {
  return [make("dt", {}, name), make("dd", { dir: "auto" }, value)];
}
