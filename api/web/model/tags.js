/** The tags of one's conversations, and how many have each. */

/**
 * @import { Client } from "./client.js"
 * @import { TagRow } from "./wire.js"
 */

/** Event: `change`. */
export class Tags extends EventTarget {
  /** @type {TagRow[]} by name */
  known = [];

  #client;
  /** Only the answer to the last call counts. */
  #calls = 0;

  /** @param {Client} client */
  constructor(client) {
    super();
    this.#client = client;
  }

  /** @param {number | null} [readAfter] */
  async refresh(readAfter = null) {
    const call = ++this.#calls;
    const tags = await this.#client.tags(readAfter);
    if (call !== this.#calls) return;
    this.known = tags.toSorted((one, other) => one.tag.localeCompare(other.tag));
    this.dispatchEvent(new Event("change"));
  }
}
