/** After how many days without activity one's conversations are deleted. */

import { make } from "./dom.js";
import { Section, labelled } from "./section.js";
import { texts } from "../texts.js";

/**
 * @import { Client } from "../model/client.js"
 * @import { User } from "../model/wire.js"
 */

export class Retention {
  #client;
  #rule = make("p", { class: "list-hint" });
  #days = labelled(texts.ownDays, { type: "number", name: "days", min: 1, step: 1 });
  #done = make("p", { class: "list-hint", role: "status" });
  #form;
  #section;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
    this.#form = make(
      "form",
      { onsubmit: (/** @type {Event} */ event) => void this.#submitted(event) },
      this.#days.label,
      make("button", { type: "submit", class: "primary" }, texts.save),
      this.#done,
    );
    this.#section = new Section(texts.retention, this.#rule, this.#form);
    this.element = this.#section.element;
  }

  /** Show what holds now. */
  async show() {
    this.#done.textContent = "";
    this.#form.hidden = true;
    await this.#section.attempt(async () => this.#fill(await this.#client.me()));
  }

  /** @param {User} user */
  #fill({ expires_in_days: own = null, retention_days: most = null }) {
    this.#form.hidden = most === null;
    this.#rule.textContent = most === null ? texts.keptForGood : texts.keptFor(most);
    this.#days.input.max = String(most ?? "");
    this.#days.input.value = String(own ?? "");
  }

  /** @param {Event} event */
  async #submitted(event) {
    event.preventDefault();
    const days = this.#days.input.value;
    const change = async () => this.#fill(await this.#client.changeAccount(days ? Number(days) : null));
    if (await this.#section.attempt(change)) this.#done.textContent = texts.saved;
  }
}
