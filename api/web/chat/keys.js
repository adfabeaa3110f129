/** The account's API keys: list, make, revoke. A key's secret is shown once, and kept nowhere. */

import { copy } from "./clipboard.js";
import { iconButton, make } from "./dom.js";
import { Section } from "./section.js";
import { day } from "../formats.js";
import { texts } from "../texts.js";

/**
 * @import { Client } from "../model/client.js"
 * @import { Key, KeyScope } from "../model/wire.js"
 */

const SCOPES = /** @type {KeyScope[]} */ (["read", "write", "chat"]);

export class Keys {
  #client;
  #list = make("ul", { class: "keys" });
  #section;
  #name = make("input", { name: "name", required: true, maxlength: 100, autocomplete: "off" });
  #scopes = SCOPES.map((scope) => checkbox(texts.keyScopes[scope], scope));
  #subjects = checkbox(texts.keySubjects, "subjects");
  #submit = make("button", { type: "submit", class: "primary" }, texts.makeKey);
  #secret = make("input", { readonly: true, "aria-label": texts.newKey });
  #copied = make("small", { role: "status" });
  #made;
  element;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
    for (const { input } of this.#scopes) input.checked = true;
    this.#made = make(
      "div",
      { class: "made-key", hidden: true },
      make("p", {}, texts.keyShownOnce),
      make("div", { class: "copied-key" }, this.#secret, iconButton("copy", texts.copy, () => this.#copy())),
      this.#copied,
    );
    this.#section = new Section(
      texts.keys,
      make("p", { class: "list-hint" }, texts.keysHint),
      this.#list,
      this.#made,
      make(
        "form",
        { onsubmit: (/** @type {Event} */ event) => void this.#submitted(event) },
        make("label", { class: "key-name" }, make("span", {}, texts.keyName), this.#name),
        make("fieldset", {}, make("legend", {}, texts.keyMay), ...this.#scopes.map(({ label }) => label)),
        this.#subjects.label,
        this.#submit,
      ),
    );
    this.element = this.#section.element;
  }

  /** Show the keys as they are now. */
  async show() {
    this.#list.replaceChildren();
    await this.#section.attempt(async () => this.#fill(await this.#client.keys()));
  }

  /** Keep no secret. */
  forget() {
    this.#secret.value = this.#name.value = "";
    this.#made.hidden = true;
    this.#section.complain("");
  }

  /** @param {Event} event */
  async #submitted(event) {
    event.preventDefault();
    if (this.#submit.disabled) return;
    this.#submit.disabled = true;
    await this.#section.attempt(async () => {
      const scopes = SCOPES.filter((_, at) => this.#scopes[at]?.input.checked);
      const acts_for = this.#subjects.input.checked ? "subjects" : "self";
      const { key } = await this.#client.makeKey({ name: this.#name.value, scopes, acts_for });
      this.#secret.value = key;
      this.#copied.textContent = "";
      this.#made.hidden = false;
      this.#secret.focus();
      this.#secret.select();
      this.#name.value = "";
      this.#fill(await this.#client.keys());
    });
    this.#submit.disabled = false;
  }

  /** @param {Key[]} keys */
  #fill(keys) {
    const rows = keys.map((key) => this.#row(key));
    const none = make("li", { class: "list-hint" }, texts.noKeys);
    this.#list.replaceChildren(...(rows.length ? rows : [none]));
  }

  /** @param {Key} key */
  #row(key) {
    const scopes = key.scopes.map((scope) => texts.keyScopes[scope]).join(", ");
    const whose = key.acts_for === "subjects" ? ` · ${texts.keySubjects}` : "";
    const made = day(key.created_at);
    const revoke = make("button", { type: "button", class: "revoke" }, texts.revoke);
    revoke.setAttribute("aria-label", texts.revokeKey(key.name));
    // The second press means it: what used the key stops working.
    revoke.addEventListener("click", () => {
      if (revoke.dataset["asked"]) return void this.#revoke(key.id);
      revoke.dataset["asked"] = "yes";
      revoke.textContent = texts.revokeSurely;
      revoke.setAttribute("aria-label", `${texts.revokeSurely} ${key.name}`);
    });
    return make(
      "li",
      {},
      make("span", { class: "key-of" }, make("strong", { dir: "auto" }, key.name), `${scopes}${whose} · ${made}`),
      revoke,
    );
  }

  /** @param {string} id */
  async #revoke(id) {
    await this.#section.attempt(async () => {
      await this.#client.revokeKey(id);
      this.#fill(await this.#client.keys());
    });
    this.#name.focus();
  }

  async #copy() {
    this.#copied.textContent = (await copy(this.#secret.value)) ? texts.copied : texts.notCopied;
  }
}

/**
 * @param {string} words
 * @param {string} name
 */
function checkbox(words, name) {
  const input = make("input", { type: "checkbox", name });
  return { input, label: make("label", { class: "check" }, input, words) };
}
