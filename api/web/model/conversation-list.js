/** The conversations of a person, newest activity first: as many as were scrolled to. */

import { delaySeconds, newKey, pause } from "./backoff.js";
import { Listing } from "./listing.js";
import { Problem } from "./problem.js";

/**
 * @import { Client } from "./client.js"
 * @import { ConversationRow } from "./wire.js"
 */

/**
 * Events: `change`; `renamed` and `deleted` with the id as `detail`, once the server accepted it;
 * `failed` with a Problem as `detail` when a change was refused and taken back.
 */
export class ConversationList extends EventTarget {
  /** Part of a title; empty for all. What it finds is shown once it is known. */
  query = "";

  #client;
  #listing;
  /** What is read instead: another query is its own list, and an answer to the last one never gets into it. */
  #next;
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
    this.#listing = this.#next = new Listing(client, "");
  }

  get rows() {
    return this.#listing.rows;
  }

  get total() {
    return this.#listing.total + (this.query ? 0 : this.#opened.size);
  }

  get isLoading() {
    return this.#listing.isLoading;
  }

  get isKnown() {
    return this.#listing.isKnown;
  }

  get hasMore() {
    return this.#listing.hasMore;
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
   * Read what is new of what is looked for.
   * @param {number | null} [readAfter]
   */
  async refresh(readAfter = null) {
    if (this.#next.query !== this.query) this.#next = new Listing(this.#client, this.query);
    const listing = this.#next;
    await listing.refresh(readAfter);
    if (listing !== this.#next) return;
    this.#listing = listing;
    this.#took();
  }

  /** Read the next page. */
  async more() {
    await this.#listing.more();
    this.#took();
  }

  /** @param {string} query part of a title; empty for all */
  async search(query) {
    this.query = query.trim();
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

  /** @param {number} id of one that another page deleted */
  forget(id) {
    if (this.#gone.has(id)) return;
    this.#gone.add(id);
    this.#opened.delete(id);
    if (this.rows.some((row) => row.id === id)) this.#listing.forget(id);
    this.#changed();
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
      this.#listing.forget(id);
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

  #took() {
    for (const row of this.rows) this.#opened.delete(row.id);
    this.see(this.rows);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
