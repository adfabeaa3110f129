/**
 * What was said and is not known to be in the history yet, kept until it is, though the tab is closed.
 * Nothing is repeated: each message keeps its idempotency key, in whichever tab it is sent.
 */

import { ofBrowser } from "./storage.js";

/**
 * @import { Attachment } from "./wire.js"
 *
 * @typedef {object} Kept
 * @property {string} key the turn's idempotency key
 * @property {string} text
 * @property {number | null} conversation null until a new one is opened
 * @property {string | null} opening tells the new ones apart
 * @property {number | null} message its id, once it is accepted
 * @property {number | null} [replaces] the message in whose place it comes
 * @property {Attachment[]} [attachments]
 * @property {number} order of what was said
 * @property {number} since when it was to be sent, ms since 1970
 * @property {{status: number, detail: string} | null} refused why it is not sent unasked
 *
 * @typedef {Pick<Kept, "conversation" | "opening">} Place where something was said
 */

export class Outbox {
  #start;

  /**
   * @param {string} base
   * @param {number} user so that the next one to sign in does not send it
   */
  constructor(base, user) {
    this.#start = `outbox:${base}:${user}:`;
  }

  /**
   * What was said in one conversation, in order.
   * @param {Place} place
   */
  of(place) {
    return this.#all().filter((kept) => isSamePlace(kept, place));
  }

  /** Whether anything waits that the server has not accepted. */
  get hasUnsent() {
    return this.#all().some((kept) => kept.message === null);
  }

  /**
   * Where something waits to be sent.
   * @returns {Place[]}
   */
  get waiting() {
    /** @type {Place[]} */
    const places = [];
    for (const kept of this.#all().filter(isWaiting)) {
      if (!places.some((place) => isSamePlace(kept, place))) places.push(kept);
    }
    return places;
  }

  /** @param {Kept} kept */
  put(kept) {
    ofBrowser.write(this.#start + kept.key, JSON.stringify(kept));
  }

  /** @param {string} key */
  remove(key) {
    ofBrowser.write(this.#start + key, null);
  }

  /**
   * Hear what another tab took out: it is stored, or was taken back.
   * @param {(key: string) => void} heard
   * @param {AbortSignal} signal
   */
  whenRemoved(heard, signal) {
    ofBrowser.whenRemoved((name) => {
      if (name.startsWith(this.#start)) heard(name.slice(this.#start.length));
    }, signal);
  }

  /** @returns {Kept[]} */
  #all() {
    const texts = ofBrowser.names(this.#start).map((name) => ofBrowser.read(name) ?? "null");
    return texts.map((text) => JSON.parse(text)).filter(Boolean).sort((one, other) => one.order - other.order);
  }
}

/** @param {Kept} kept */
export function isWaiting({ message, refused }) {
  return message === null && refused === null;
}

/**
 * @param {Place} one
 * @param {Place} other
 */
export function isSamePlace(one, other) {
  return one.conversation === other.conversation && (one.conversation !== null || one.opening === other.opening);
}
