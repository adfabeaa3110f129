/**
 * What was said and is not known to be in the history yet, kept in `sessionStorage`, so that a
 * reload loses nothing and repeats nothing: each message keeps its idempotency key.
 */

import * as storage from "./storage.js";

/**
 * @typedef {object} Kept
 * @property {string} key the turn's idempotency key
 * @property {string} text
 * @property {number | null} conversation null until a new one is opened
 * @property {number | null} message its id, once it is accepted
 * @property {number} since when it was said, ms since 1970
 * @property {{status: number, detail: string} | null} refused why it is not sent by itself
 */

export class Outbox {
  #name;

  /**
   * @param {string} base
   * @param {number} user so that the next one to sign in does not send it
   */
  constructor(base, user) {
    this.#name = `outbox:${base}:${user}`;
  }

  /**
   * What was said in one conversation, in order; null for those not opened yet.
   * @param {number | null} conversation
   */
  of(conversation) {
    return this.#read().filter((kept) => kept.conversation === conversation);
  }

  /** Whether anything waits that the server has not accepted. */
  get hasUnsent() {
    return this.#read().some((kept) => kept.message === null);
  }

  /** @param {Kept} kept */
  put(kept) {
    const others = this.#read();
    const index = others.findIndex((other) => other.key === kept.key);
    if (index < 0) others.push(kept);
    else others[index] = kept;
    this.#write(others);
  }

  /** @param {string} key */
  remove(key) {
    this.#write(this.#read().filter((kept) => kept.key !== key));
  }

  /** @returns {Kept[]} */
  #read() {
    return JSON.parse(storage.read(this.#name) ?? "[]");
  }

  /** @param {Kept[]} all */
  #write(all) {
    storage.write(this.#name, all.length > 0 ? JSON.stringify(all) : null);
  }
}
