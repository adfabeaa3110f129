/** Sharing the open conversation: make a link, list all links, revoke them. A link is shown once. */

import { copy } from "./clipboard.js";
import { iconButton, make } from "./dom.js";
import { day } from "../formats.js";
import { Problem } from "../model/problem.js";
import { texts } from "../texts.js";

/**
 * @import { Client } from "../model/client.js"
 * @import { SharedLink } from "../model/wire.js"
 */

const DAYS = [1, 7, 30, 365];
const DAYS_AT_FIRST = 30;

export class Share {
  #client;
  /** @type {number | null} */
  #conversation = null;
  #list = make("ul", { class: "keys" });
  #problem = make("p", { class: "problem", role: "alert" });
  #audience = make(
    "select",
    { name: "audience" },
    make("option", { value: "public" }, texts.shareWith.public),
    make("option", { value: "signed_in" }, texts.shareWith.signed_in),
  );
  #days = make(
    "select",
    { name: "days" },
    ...DAYS.map((days) => make("option", { value: days, selected: days === DAYS_AT_FIRST }, texts.days(days))),
  );
  #submit = make("button", { type: "submit", class: "primary" }, texts.makeLink);
  #link = make("input", { readonly: true, "aria-label": texts.newLink });
  #copied = make("small", { role: "status" });
  #made;
  element;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
    this.#made = make(
      "div",
      { class: "made-key", hidden: true },
      make("p", {}, texts.linkShownOnce),
      make("div", { class: "copied-key" }, this.#link, iconButton("copy", texts.copy, () => this.#copy())),
      this.#copied,
    );
    this.element = make(
      "dialog",
      { class: "panel", "aria-labelledby": "share-heading", onclose: () => this.#forget() },
      make(
        "header",
        {},
        make("h2", { id: "share-heading" }, texts.share),
        iconButton("close", texts.close, () => this.close()),
      ),
      make("p", { class: "list-hint" }, texts.shareHint),
      make(
        "form",
        { onsubmit: (/** @type {Event} */ event) => void this.#submitted(event) },
        make("label", { class: "key-name" }, make("span", {}, texts.shareFor), this.#audience),
        make("label", { class: "key-name" }, make("span", {}, texts.shareUntil), this.#days),
        this.#submit,
      ),
      this.#problem,
      this.#made,
      this.#list,
    );
  }

  /** @param {number} conversation */
  async open(conversation) {
    this.#conversation = conversation;
    this.#problem.textContent = "";
    this.#list.replaceChildren();
    this.element.showModal();
    await this.#attempt(() => this.#show());
  }

  close() {
    this.element.close();
  }

  /** @param {Event} event */
  async #submitted(event) {
    event.preventDefault();
    const conversation = this.#conversation;
    if (this.#submit.disabled || conversation === null) return;
    this.#submit.disabled = true;
    await this.#attempt(async () => {
      const { link } = await this.#client.share(conversation, {
        audience: this.#audience.value === "public" ? "public" : "signed_in",
        expires_in_days: Number(this.#days.value),
      });
      this.#link.value = new URL(`${this.#client.base}${link}`, location.href).href;
      this.#copied.textContent = "";
      this.#made.hidden = false;
      this.#link.focus();
      this.#link.select();
      await this.#show();
    });
    this.#submit.disabled = false;
  }

  async #show() {
    const rows = (await this.#client.shares()).map((link) => this.#row(link));
    this.#list.replaceChildren(...rows);
  }

  /** @param {SharedLink} link */
  #row({ id, title, audience, created_at, expires_at }) {
    const name = title ?? texts.untitled;
    const told = `${texts.shareWith[audience]} · ${texts.sharedAsOf(day(created_at), day(expires_at))}`;
    const revoke = make("button", { type: "button", class: "revoke" }, texts.revoke);
    revoke.setAttribute("aria-label", texts.revokeKey(name));
    revoke.addEventListener("click", () => void this.#revoke(id));
    return make("li", {}, make("span", { class: "key-of" }, make("strong", { dir: "auto" }, name), told), revoke);
  }

  /** @param {string} id */
  async #revoke(id) {
    await this.#attempt(async () => {
      await this.#client.revokeShare(id);
      this.#made.hidden = true;
      await this.#show();
    });
    this.#submit.focus();
  }

  async #copy() {
    this.#copied.textContent = (await copy(this.#link.value)) ? texts.copied : texts.notCopied;
  }

  #forget() {
    this.#link.value = "";
    this.#made.hidden = true;
  }

  /** @param {() => Promise<void>} act */
  async #attempt(act) {
    this.#problem.textContent = "";
    try {
      await act();
    } catch (error) {
      const problem = Problem.from(error);
      this.#problem.textContent = problem.isPassing ? texts.signInLater : problem.detail;
    }
  }
}
