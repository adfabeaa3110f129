/** What a search finds in messages, page by page. Titles are the list's. */

/**
 * @import { Client } from "./client.js"
 * @import { HitRow } from "./wire.js"
 */

export class Hits {
  /** @type {HitRow[]} */
  shown = [];
  /** Whether `shown` is what the last search found. */
  isKnown = false;

  #client;
  #query = "";
  /** @type {{archived?: string | null, tag?: string | null}} */
  #where = {};
  /** @type {string | null} */
  #cursor = null;
  /** Only the answer to the last call counts. */
  #calls = 0;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  get query() {
    return this.#query;
  }

  get hasMore() {
    return this.#cursor !== null;
  }

  /**
   * @param {string} query nothing is found by an empty one
   * @param {{archived: string | null, tag: string | null}} where which conversations
   */
  async search(query, where) {
    this.#query = query.trim() ? query : "";
    this.#where = where;
    this.#cursor = null;
    this.isKnown = false;
    await this.#read([]);
  }

  async more() {
    if (this.hasMore) await this.#read(this.shown);
  }

  /** @param {HitRow[]} before */
  async #read(before) {
    const call = ++this.#calls;
    const page = this.#query ? await this.#client.search(this.#query, this.#cursor, this.#where) : NONE;
    if (call !== this.#calls) return;
    this.shown = [...before, ...page.hits.filter((hit) => hit.position > 0)];
    this.#cursor = page.next_cursor;
    this.isKnown = true;
  }
}

const NONE = { hits: [], next_cursor: null };
