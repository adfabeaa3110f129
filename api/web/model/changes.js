/** What was changed here of conversations, shown before the list that was read has it. */

/**
 * @import { ConversationRow } from "./wire.js"
 *
 * @typedef {object} Change what is to be otherwise
 * @property {boolean} [archived]
 * @property {boolean} [pinned]
 * @property {string[]} [tags]
 *
 * @typedef {Partial<Pick<ConversationRow, "archived_at" | "pinned_at" | "tags">>} Fields
 */

/** So many requests of one change are under way at a time. */
const LANES = 4;

export class Changes {
  /** @type {Map<number, Fields>} */
  #fields = new Map();
  /** @type {Promise<unknown>} one change at a time: what comes later must not arrive earlier */
  #last = Promise.resolve();

  /**
   * @param {ConversationRow} row as it was read
   * @returns {ConversationRow} as it is shown
   */
  applied(row) {
    const fields = this.#fields.get(row.id);
    return fields ? { ...row, ...fields } : row;
  }

  /**
   * Show changes, make them, and show what was read again.
   * @param {Map<number, Change>} changes
   * @param {(id: number, change: Change) => Promise<void>} send
   * @param {(made: Map<number, Fields>) => Promise<void>} read
   */
  async make(changes, send, read) {
    const now = new Date().toISOString();
    const shown = new Map([...changes].map(([id, change]) => [id, this.#show(id, change, now)]));
    /** @type {Map<number, Fields>} */
    const made = new Map();
    const before = this.#last;
    const all = (async () => {
      await before;
      const failure = await inLanes([...changes], async ([id, change]) => {
        await send(id, change);
        made.set(id, shown.get(id) ?? {});
      });
      await read(made).catch(() => {}); // the next one has it
      for (const [id, fields] of shown) {
        if (this.#fields.get(id) === fields) this.#fields.delete(id);
      }
      if (failure) throw failure;
    })();
    this.#last = all.catch(() => {});
    return all;
  }

  /**
   * @param {number} id
   * @param {Change} change
   * @param {string} now
   * @returns {Fields}
   */
  #show(id, { archived, pinned, tags }, now) {
    /** @type {Fields} */
    const fields = { ...this.#fields.get(id) };
    if (archived !== undefined) fields.archived_at = archived ? now : null;
    if (pinned !== undefined) fields.pinned_at = pinned ? now : null;
    if (tags !== undefined) fields.tags = tags.length ? tags : null;
    this.#fields.set(id, fields);
    return fields;
  }
}

/**
 * Do something with each of many; what fails does not keep the others back.
 * @template T
 * @param {T[]} all
 * @param {(one: T) => Promise<void>} act
 * @returns {Promise<unknown>} the first failure, or null
 */
async function inLanes(all, act) {
  const waiting = [...all];
  /** @type {unknown[]} */
  const failures = [];
  const lane = async () => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
      await act(one).catch((failure) => failures.push(failure));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return failures[0] ?? null;
}
