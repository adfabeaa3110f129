/** The conversations of a person, newest activity first: as many as were scrolled to. */

import { delaySeconds, newKey, pause } from "./backoff.js";
import { Problem } from "./problem.js";

/**
 * @import { Client } from "./client.js"
 * @import { ConversationRow } from "./wire.js"
 */

const FIRST_PAGE = 50;
const PAGE = 100;
/** How long a deletion can be taken back. */
export const UNDO_SECONDS = 8;

/**
 * Events: `change`; `renamed` and `deleted` with the id as `detail`, once the server accepted it;
 * `failed` with a Problem as `detail` when a change was refused and taken back.
 */
export class ConversationList extends EventTarget {
  /** @type {ConversationRow[]} */
  rows = [];
  total = 0;
  query = "";
  isLoading = false;
  /** The list was read at least once, so an empty one is empty. */
  isKnown = false;

  #client;
  /** @type {string | null} */
  #cursor = null;
  #reads = 0;
  /** @type {Map<number, {undo: () => void, commit: (how?: {outlivesPage?: boolean}) => void}>} */
  #deletions = new Map();
  /** @type {Set<number>} deleted for good, though a late page may still show them */
  #gone = new Set();
  /** @type {Map<number, string>} titles given here that the list does not show yet */
  #titles = new Map();
  /** @type {Map<number, string | null>} titles of all that were ever seen, in the list or not */
  #seen = new Map();
  /** @type {Map<number, ConversationRow>} opened here and not in the list yet */
  #opened = new Map();

  /** @type {Map<number, string>} what a conversation began with, until it has a title */
  #hints = new Map();

  /** @param {Client} client */
  constructor(client) {
    super();
    this.#client = client;
  }

  get hasMore() {
    return this.#cursor !== null;
  }

  /** What is shown: without what is being deleted, under the titles given here. */
  get shown() {
    const known = new Set(this.rows.map((row) => row.id));
    const opened = [...this.#opened.values()].filter((row) => !this.query && !known.has(row.id));
    return [...opened.reverse(), ...this.rows]
      .filter((row) => !this.#gone.has(row.id) && !this.#deletions.has(row.id))
      .map((row) => ({ ...row, title: this.titleOf(row.id) }));
  }

  /** @param {number} id */
  knows(id) {
    return this.#seen.has(id) || this.#hints.has(id);
  }

  /**
   * Also of a conversation that the list has not got to, or does not show during a search.
   * @param {number} id
   */
  titleOf(id) {
    return this.#titles.get(id) ?? this.#seen.get(id) ?? this.#hints.get(id) ?? null;
  }

  /** @param {ConversationRow[]} rows */
  see(rows) {
    for (const { id, title } of rows) this.#seen.set(id, title);
    this.#changed();
  }

  /**
   * Read the newest page again and merge it in: what it does not show has gone or moved up.
   * @param {number | null} [readAfter]
   */
  async refresh(readAfter = null) {
    const query = this.query;
    const page = await this.#client.conversations({ q: query || null, limit: FIRST_PAGE, readAfter });
    if (query !== this.query) return;
    const last = page.conversations.at(-1);
    const inPage = new Set(page.conversations.map((row) => row.id));
    const isWhole = page.next_cursor === null || !last;
    const below = isWhole ? [] : this.rows.filter((row) => !inPage.has(row.id) && isBelow(row, last));
    // With nothing read below this page, the list goes on where the page ends.
    if (below.length === 0) this.#cursor = page.next_cursor;
    this.rows = [...page.conversations, ...below];
    this.#took(page.total, page.conversations);
  }

  /** Read the next page. */
  async more() {
    if (this.isLoading || (this.isKnown && !this.hasMore)) return;
    this.isLoading = true;
    const read = ++this.#reads;
    try {
      const page = await this.#client.conversations({
        q: this.query || null,
        cursor: this.#cursor,
        limit: PAGE,
      });
      if (read !== this.#reads) return;
      const known = new Set(this.rows.map((row) => row.id));
      this.rows = [...this.rows, ...page.conversations.filter((row) => !known.has(row.id))];
      this.#cursor = page.next_cursor;
      this.#took(page.total, page.conversations);
    } finally {
      if (read === this.#reads) this.isLoading = false;
    }
  }

  /** @param {string} query part of a title; empty for all */
  async search(query) {
    this.query = query.trim();
    this.#reads++;
    this.isLoading = false;
    this.#cursor = null;
    await this.refresh();
  }

  /**
   * Show a conversation that was opened here at the top, until the list has it.
   * @param {number} id
   * @param {string} words what it began with
   */
  opened(id, words) {
    this.#hints.set(id, words.trim().replace(/\s+/g, " ").slice(0, 80));
    const now = new Date().toISOString();
    this.#opened.set(id, { id, title: null, created_at: now, updated_at: now, message_count: 0 });
    this.total++;
    this.#changed();
  }

  /**
   * @param {number} id
   * @param {string} title
   */
  async rename(id, title) {
    this.#titles.set(id, title);
    this.#changed();
    const { entry_id: entry } = await this.#insist(id, (key) => this.#client.rename(id, title, key));
    this.dispatchEvent(new CustomEvent("renamed", { detail: id }));
    await this.refresh(entry).catch(() => {});
    if (this.rows.some((row) => row.id === id && row.title === title)) this.#titles.delete(id);
    this.#changed();
  }

  /**
   * Hide a conversation now; it is deleted by `commit`, and comes back by `undo`.
   * @param {number} id
   * @returns {{undo: () => void, commit: () => void}}
   */
  remove(id) {
    const key = newKey();
    const undo = () => {
      if (this.#deletions.delete(id)) this.#changed();
    };
    /** @param {{outlivesPage?: boolean}} [how] */
    const commit = (how = {}) => {
      if (!this.#deletions.delete(id)) return;
      this.#gone.add(id);
      this.#opened.delete(id);
      void this.#delete(id, key, how);
    };
    this.#deletions.set(id, { undo, commit });
    this.#changed();
    return { undo, commit };
  }

  /** The page goes away: what was deleted and not taken back is deleted now. */
  leave() {
    for (const { commit } of [...this.#deletions.values()]) commit({ outlivesPage: true });
  }

  /**
   * @param {number} id
   * @param {string} key
   * @param {{outlivesPage?: boolean}} how
   */
  async #delete(id, key, how) {
    try {
      await this.#insist(id, () => this.#client.remove(id, key, how));
      this.total = Math.max(0, this.total - 1);
      this.dispatchEvent(new CustomEvent("deleted", { detail: id }));
    } catch (error) {
      // Another page deleted it first: that is what was wanted.
      if (Problem.from(error).status !== 404) this.#gone.delete(id);
    }
    this.#changed();
  }

  /**
   * Repeat a change under one key while the server is away.
   * @template T
   * @param {number} id
   * @param {(key: string) => Promise<T>} change
   * @returns {Promise<T>}
   */
  async #insist(id, change) {
    const key = newKey();
    for (let failures = 1; ; failures++) {
      try {
        return await change(key);
      } catch (error) {
        const problem = Problem.from(error);
        if (!problem.isPassing) {
          this.#titles.delete(id);
          this.#changed();
          this.dispatchEvent(new CustomEvent("failed", { detail: problem }));
          throw problem;
        }
        await pause(delaySeconds(failures, problem.retryAfter));
      }
    }
  }

  /**
   * @param {number} total
   * @param {ConversationRow[]} rows
   */
  #took(total, rows) {
    for (const row of rows) this.#opened.delete(row.id);
    this.total = total + this.#opened.size;
    this.isKnown = true;
    this.see(rows);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * @param {ConversationRow} row
 * @param {ConversationRow} last
 */
function isBelow(row, last) {
  if (row.updated_at !== last.updated_at) return row.updated_at < last.updated_at;
  return row.id < last.id;
}
