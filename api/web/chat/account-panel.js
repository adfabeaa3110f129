/** The account in one dialog: who one is, where one is signed in, keys, data, and the end of it. */

import { iconButton, make } from "./dom.js";
import { Farewell } from "./farewell.js";
import { Identity } from "./identity.js";
import { Keys } from "./keys.js";
import { OwnData } from "./own-data.js";
import { Password } from "./password.js";
import { Retention } from "./retention.js";
import { SignInSessions } from "./sign-in-sessions.js";
import { Usage } from "./usage.js";
import { texts } from "../texts.js";

/**
 * @import { LanguageChoice } from "./language-choice.js"
 * @import { Client } from "../model/client.js"
 * @import { User } from "../model/wire.js"
 */

export class AccountPanel {
  #client;
  #language;
  #identity;
  #sessions;
  #keys;
  #password;
  #usage;
  #data;
  #retention;
  #farewell;
  /** There while it is open only: it has fields that a password manager would fill in at sign-in. */
  #content;
  element;

  /**
   * @param {Client} client
   * @param {LanguageChoice} language
   * @param {{renamed: (user: User) => void, imported: () => void, deleted: () => void}} actions
   */
  constructor(client, language, { renamed, imported, deleted }) {
    this.#client = client;
    this.#language = language;
    this.#identity = new Identity(client, language, (user) => {
      this.#farewell.use(user.username);
      renamed(user);
    });
    this.#usage = new Usage(client);
    this.#sessions = new SignInSessions(client);
    this.#keys = new Keys(client);
    this.#password = new Password(client, () => void this.#sessions.show());
    this.#data = new OwnData(client, imported);
    this.#retention = new Retention(client);
    this.#farewell = new Farewell(client, deleted);
    const close = iconButton("close", texts.close, () => this.close());
    this.element = make("dialog", {
      class: "panel account-panel",
      "aria-labelledby": "account-heading",
      onclose: () => this.#forget(),
    });
    this.#content = [
      make("header", {}, make("h2", { id: "account-heading" }, texts.account), close),
      this.#identity.element,
      ...(client.isGivenToken ? [] : [this.#password.element, this.#sessions.element, this.#keys.element]),
      this.#usage.element,
      this.#data.element,
      this.#retention.element,
      ...(client.isGivenToken ? [] : [this.#farewell.element]),
    ];
  }

  /** @param {User} user */
  open(user) {
    this.#identity.show(user);
    this.#data.stop();
    this.#farewell.use(user.username);
    this.element.replaceChildren(...this.#content);
    this.element.showModal();
    void this.#usage.show();
    void this.#retention.show();
    if (this.#client.isGivenToken) return;
    void this.#sessions.show();
    void this.#keys.show();
  }

  /**
   * The user has just chosen another language here.
   * @param {User} user
   */
  showLanguage(user) {
    this.open(user);
    this.#language.focus();
  }

  /**
   * At the place where conversations are imported.
   * @param {User} user
   */
  openData(user) {
    this.open(user);
    this.#data.focus();
  }

  close() {
    this.element.close();
  }

  #forget() {
    this.#keys.forget();
    this.#password.forget();
    this.#identity.forget();
    this.#data.stop();
    this.element.replaceChildren();
  }
}
