/** The conversations of a person, by default newest activity first: as many as were scrolled to. */

import { delaySeconds, newKey, pause } from "./backoff.js";
import { Changes } from "./changes.js";
import { Listing } from "./listing.js";
import { Problem } from "./problem.js";
import { PLAIN, includes, isPlain, isSame } from "./view.js";

/**
 * @import { Change } from "./changes.js"
 * @import { Client } from "./client.js"
 * @import { View } from "./view.js"
 * @import { ConversationRow } from "./wire.js"
 */

/**
 * Events: `change`; `changed` with the largest id of what the server accepted as `detail`; `deleted` with the id of one;
 * `gone` with the id of one that will be shown no more; `failed` with a Problem as `detail` when a change was refused and taken back.
 */
export class ConversationList extends EventTarget {
  /** What is looked for; it is shown once it is known. */
  view = PLAIN;

  #client;
  #listing;
  /** What is read instead: another view is its own list, and an answer to the last one never gets into it. */
  #next;
  /** What is pinned, in the order of the list. */
  #pinned;
  #changes = new Changes();
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

  /** @type {ConversationRow[] | null} made when it is asked for, anew after each change */
  #shown = null;
  /** @type {ConversationRow[] | null} likewise */
  #shownPinned = null;

  /** @param {Client} client */
  constructor(client) {
    super();
    this.#client = client;
    this.#listing = this.#next = new Listing(client, PLAIN);
    this.#pinned = new Listing(client, { ...PLAIN, isPinned: true });
  }

  /** Which view `shown` is, while another one is being read. */
  get shownView() {
    return this.#listing.view;
  }

  get rows() {
    return this.#listing.rows;
  }

  get total() {
    return this.#listing.total + (isPlain(this.shownView) ? this.#opened.size : 0);
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

  /** What is shown: without what is being deleted, as it was changed here. */
  get shown() {
    return (this.#shown ??= this.#shownOf([...this.#newlyOpened, ...this.rows]));
  }

  /** What stands above the others: of the whole list, what is pinned. */
  get pinned() {
    return (this.#shownPinned ??= this.#pinnedOf());
  }

  #pinnedOf() {
    if (!isPlain(this.shownView)) return [];
    const known = new Set(this.#pinned.rows.map((row) => row.id));
    const others = this.shown.filter((row) => !known.has(row.id));
    return [...this.#shownOf(this.#pinned.rows), ...others].filter((row) => row.pinned_at !== null);
  }

  /**
   * @param {number[]} ids
   * @returns {ConversationRow[]} those of them that are shown
   */
  rowsOf(ids) {
    const rows = new Map([...this.shown, ...this.pinned].map((row) => [row.id, row]));
    return ids.flatMap((id) => rows.get(id) ?? []);
  }

  get #newlyOpened() {
    if (!isPlain(this.shownView)) return [];
    const known = new Set(this.rows.map((row) => row.id));
    return [...this.#opened.values()].filter((row) => !known.has(row.id)).reverse();
  }

  /** @param {ConversationRow[]} rows */
  #shownOf(rows) {
    return rows
      .filter((row) => !this.#gone.has(row.id) && !this.#deletions.has(row.id))
      .map((row) => ({ ...this.#changes.applied(row), title: this.titleOf(row.id) }))
      .filter((row) => includes(this.shownView, row));
  }

  /** @param {number} id */
  knows(id) {
    return this.#seen.has(id) || this.#hints.has(id);
  }

  /** Whether it is known that there is none, in the list without its archive. */
  get isEmpty() {
    if (!this.isKnown || !isPlain(this.shownView) || this.#opened.size) return false;
    return this.rows.every(({ id }) => this.#gone.has(id) || this.#deletions.has(id));
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
    const { view } = this;
    if (!isSame(this.#next.view, view)) this.#next = new Listing(this.#client, view);
    const listing = this.#next;
    if (this.#pinned.view.sort !== view.sort) {
      this.#pinned = new Listing(this.#client, { ...PLAIN, isPinned: true, sort: view.sort });
    }
    const pinned = isPlain(view) ? this.#pinned.refresh(readAfter) : null;
    await Promise.all([listing.refresh(readAfter), pinned]);
    if (listing !== this.#next) return;
    this.#listing = listing;
    this.#took();
  }

  /** Read the next page. */
  async more() {
    await this.#listing.more();
    this.#took();
  }

  /** @param {Partial<View>} part what is looked for otherwise than until now */
  async look(part) {
    this.view = { ...this.view, ...part };
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
    const nothing = { title: null, message_count: 0, archived_at: null, pinned_at: null, tags: null };
    this.#opened.set(id, { id, created_at: now, updated_at: now, ...nothing });
    this.#changed();
  }

  /**
   * @param {number} id
   * @param {string} title
   */
  async rename(id, title) {
    this.#titles.set(id, title);
    this.#changed();
    const { entry_id: entry } = await this.#insist(id, (key) => this.#client.change(id, { title }, key));
    this.dispatchEvent(new CustomEvent("changed", { detail: entry }));
    await this.refresh(entry).catch(() => {});
    if (this.rows.some((row) => row.id === id && row.title === title)) this.#titles.delete(id);
    this.#changed();
  }

  /**
   * Archive, pin or tag conversations, each by its id. Rejects with the first problem, once all the
   * others are changed.
   * @param {Map<number, Change>} changes
   */
  async change(changes) {
    let last = 0;
    const made = this.#changes.make(
      changes,
      async (id, change) => {
        const accepted = await this.#insist(id, (key) => this.#client.change(id, change, key));
        last = Math.max(last, accepted.entry_id);
      },
      async (fields) => {
        const listings = [this.#listing, this.#pinned];
        for (const [id, part] of fields) listings.forEach((listing) => listing.patch(id, part));
        if (!last) return;
        this.dispatchEvent(new CustomEvent("changed", { detail: last }));
        await this.refresh(last);
      },
    );
    this.#changed();
    await made.finally(() => this.#changed());
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
      this.dispatchEvent(new CustomEvent("gone", { detail: id }));
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
    this.dispatchEvent(new CustomEvent("gone", { detail: id }));
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
    this.see([...this.#pinned.rows, ...this.rows]);
  }

  #changed() {
    this.#shown = this.#shownPinned = null;
    this.dispatchEvent(new Event("change"));
  }
}
