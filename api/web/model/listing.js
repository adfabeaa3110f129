/** What was read of the conversations of one view, in its order. */

import { microsOf } from "./times.js";
import { includes, queryOf } from "./view.js";

/**
 * @import { Client } from "./client.js"
 * @import { View } from "./view.js"
 * @import { ConversationRow } from "./wire.js"
 */

const FIRST_PAGE = 50;
const PAGE = 100;
/** In another order than by activity, what is new may be anywhere: so many are looked at again. */
const AGAIN = 300;

export class Listing {
  /** @type {ConversationRow[]} without gaps: the first ones, as many as were scrolled to */
  rows = [];
  total = 0;
  isLoading = false;
  /** It was read at least once, so an empty one is empty. */
  isKnown = false;

  #client;
  /** @type {string | null} where the rows end; null at the end of all */
  #cursor = null;
  /** The newest activity (in microseconds since 1970) when the list was last read from its top. */
  #newest = Number.POSITIVE_INFINITY;
  /** @type {Promise<unknown>} one read at a time: each starts from what the one before left */
  #reading = Promise.resolve();

  /**
   * @param {Client} client
   * @param {View} view
   */
  constructor(client, view) {
    this.#client = client;
    this.view = view;
  }

  get hasMore() {
    return this.#cursor !== null;
  }

  /**
   * Read what is new: from the top down to what was the newest before. What was among it and is there
   * no more has gone; if more has gone or come than that, all that was scrolled to is read again.
   * @param {number | null} readAfter
   */
  refresh(readAfter) {
    return this.#inTurn(async () => {
      this.#leaveOut();
      const { total, rows, isKnown } = this;
      if (this.view.sort !== "updated_at") return this.#readAgain(readAfter);
      const before = this.#newest;
      await this.#readDown(readAfter, (last) => microsOf(last.updated_at) <= before);
      const known = new Set(rows.map((row) => row.id));
      const isNew = (/** @type {ConversationRow} */ row) => !known.has(row.id) && microsOf(row.created_at) > before;
      const seenGone = rows.length - this.rows.filter((row) => known.has(row.id)).length;
      const lacking = total - seenGone + this.rows.filter(isNew).length - this.total;
      const isTooLong = !this.hasMore && this.rows.length > this.total;
      const depth = this.rows.length;
      if ((isKnown && lacking !== 0) || isTooLong) await this.#readDown(null, (_, count) => count >= depth);
    });
  }

  /** Read the next page. */
  async more() {
    if (this.isLoading || !this.hasMore) return;
    this.isLoading = true;
    try {
      await this.#inTurn(async () => {
        const page = await this.#read(this.#cursor, PAGE, null);
        const known = new Set(this.rows.map((row) => row.id));
        this.rows = [...this.rows, ...page.conversations.filter((row) => !known.has(row.id))];
        this.#cursor = page.next_cursor;
      });
    } finally {
      this.isLoading = false;
    }
  }

  /**
   * @param {number} id
   * @param {Partial<ConversationRow>} fields which the server has accepted
   */
  patch(id, fields) {
    this.rows = this.rows.map((row) => (row.id === id ? { ...row, ...fields } : row));
  }

  /** What was changed here, and does not belong into this view any more, is not missed. */
  #leaveOut() {
    const rows = this.rows.filter((row) => includes(this.view, row));
    this.total -= this.rows.length - rows.length;
    this.rows = rows;
  }

  /** @param {number | null} readAfter */
  #readAgain(readAfter) {
    const depth = this.rows.length;
    const known = new Set(this.rows.map((row) => row.id));
    // It ends with one that was there: what came after that goes on there.
    const isEnough = (/** @type {ConversationRow} */ last, /** @type {number} */ count) =>
      count >= depth || (count >= AGAIN && known.has(last.id));
    return this.#readDown(readAfter, isEnough);
  }

  /** @param {number} id of one that was deleted */
  forget(id) {
    this.rows = this.rows.filter((row) => row.id !== id);
    this.total = Math.max(0, this.total - 1);
  }

  /**
   * Read from the top until it is enough, and put that in the place of what was known of this part.
   * @param {number | null} readAfter
   * @param {(last: ConversationRow, count: number) => boolean} isEnough
   */
  async #readDown(readAfter, isEnough) {
    let page = await this.#read(null, FIRST_PAGE, readAfter);
    const read = new Map(page.conversations.map((row) => [row.id, row]));
    const newest = page.conversations[0];
    let last = page.conversations.at(-1);
    while (page.next_cursor !== null && last && !isEnough(last, read.size)) {
      page = await this.#read(page.next_cursor, PAGE, null);
      for (const row of page.conversations) if (!read.has(row.id)) read.set(row.id, row);
      last = page.conversations.at(-1) ?? last;
    }
    const isBelow = this.view.sort === "updated_at" ? isBelowOf(last) : isAfter(this.rows, last);
    const below = page.next_cursor === null ? [] : this.rows.filter((row) => !read.has(row.id) && isBelow(row));
    // With nothing known below this part, the list goes on where the part ends.
    if (below.length === 0) this.#cursor = page.next_cursor;
    this.rows = [...read.values(), ...below];
    this.total = page.total;
    this.isKnown = true;
    if (newest) this.#newest = microsOf(newest.updated_at);
  }

  /**
   * @param {string | null} cursor
   * @param {number} limit
   * @param {number | null} readAfter
   */
  #read(cursor, limit, readAfter) {
    return this.#client.conversations(queryOf(this.view), { cursor, limit, readAfter });
  }

  /** @param {() => Promise<void>} read */
  #inTurn(read) {
    const result = this.#reading.then(read);
    this.#reading = result.catch(() => {});
    return result;
  }
}

/** @param {ConversationRow | undefined} last */
function isBelowOf(last) {
  const at = last ? microsOf(last.updated_at) : 0;
  /** @param {ConversationRow} row */
  return (row) => {
    const difference = microsOf(row.updated_at) - at;
    return difference < 0 || (difference === 0 && row.id < (last?.id ?? 0));
  };
}

/**
 * @param {ConversationRow[]} rows
 * @param {ConversationRow | undefined} last
 */
function isAfter(rows, last) {
  const at = rows.findIndex((row) => row.id === last?.id);
  const after = new Set(at < 0 ? [] : rows.slice(at + 1).map((row) => row.id));
  /** @param {ConversationRow} row */
  return (row) => after.has(row.id);
}
