/**
 * The part of a conversation's history that is in memory: gapless, and never more than `MOST`
 * messages, however long the history is and however far one scrolls.
 */

/** @import { Client } from "./client.js" */
/** @import { MessageRow } from "./wire.js" */

const PAGE = 50;
const MOST = 200;
/** Above every position: the page before it is the latest. */
const BEYOND_ALL = Number.MAX_SAFE_INTEGER;

export class HistoryWindow {
  /** @type {MessageRow[]} */
  messages = [];
  total = 0;
  isLoaded = false;

  #client;
  #conversation;
  #signal;
  /** @type {Promise<unknown>} one read at a time: each starts where the one before ended */
  #reading = Promise.resolve();

  /**
   * @param {Client} client
   * @param {number} conversation
   * @param {AbortSignal} signal
   */
  constructor(client, conversation, signal) {
    this.#client = client;
    this.#conversation = conversation;
    this.#signal = signal;
  }

  /**
   * The window on a conversation that was opened just now: there is nothing to load.
   * @param {Client} client
   * @param {number} conversation
   * @param {AbortSignal} signal
   */
  static ofNew(client, conversation, signal) {
    const opened = new HistoryWindow(client, conversation, signal);
    opened.isLoaded = true;
    return opened;
  }

  get first() {
    return this.messages[0]?.position ?? 1;
  }

  get last() {
    return this.messages.at(-1)?.position ?? 0;
  }

  get hasOlder() {
    return this.isLoaded && this.first > 1;
  }

  /** The newest stored message is here, so what is being said now follows it. */
  get isAtEnd() {
    return !this.isLoaded || this.last >= this.total;
  }

  /** Show the latest page. */
  latest() {
    return this.#inTurn(async () => {
      await this.#readLatest();
      this.isLoaded = true;
    });
  }

  /**
   * Show the page with a message in its middle.
   * @param {number} position
   */
  around(position) {
    return this.#inTurn(async () => {
      const page = await this.#read({ before: position + PAGE / 2, limit: PAGE });
      this.messages = page.messages;
      this.isLoaded = true;
    });
  }

  older() {
    return this.#inTurn(async () => {
      if (!this.hasOlder) return;
      const page = await this.#read({ before: this.first, limit: PAGE });
      this.messages = [...page.messages, ...this.messages].slice(0, MOST);
    });
  }

  newer() {
    return this.#inTurn(() => this.#extend(null));
  }

  /**
   * Take in what is new, if the end is in memory; what is new far below is only counted.
   * @param {number | null} readAfter
   */
  refresh(readAfter) {
    return this.#inTurn(async () => {
      if (!this.isLoaded) return;
      if (this.isAtEnd) do await this.#extend(readAfter);
        while (!this.isAtEnd);
      else await this.#read({ after: this.last, limit: 1 });
    });
  }

  /**
   * Read on after the last message, that one included: if it is not there, or not the same, then the
   * end was replaced or another branch is shown, and only the latest page is certain.
   * @param {number | null} readAfter
   */
  async #extend(readAfter) {
    const known = this.messages.at(-1);
    const page = await this.#read({ after: known ? known.position - 1 : 0, limit: PAGE, readAfter });
    if (known && page.messages[0]?.id !== known.id) return this.#readLatest();
    this.messages = [...this.messages.slice(0, -1), ...page.messages].slice(-MOST);
  }

  async #readLatest() {
    const page = await this.#read({ before: BEYOND_ALL, limit: PAGE });
    this.messages = page.messages;
  }

  /** @param {{before?: number, after?: number, limit: number, readAfter?: number | null}} page */
  async #read(page) {
    const read = await this.#client.messages(this.#conversation, page, this.#signal);
    this.total = read.total;
    return read;
  }

  /** @param {() => Promise<void>} read */
  #inTurn(read) {
    const result = this.#reading.then(read);
    this.#reading = result.catch(() => {});
    return result;
  }
}
