/** The variants of messages that were edited or answered anew: which there are, and which is shown. */

/**
 * @import { Client } from "./client.js"
 * @import { BranchRow, MessageRow } from "./wire.js"
 *
 * @typedef {object} Variants
 * @property {number} at which one is shown, from 1 on
 * @property {number} count
 * @property {number | null} before the branch with the one before it
 * @property {number | null} after the branch with the one after it
 */

export class VariantIndex {
  #client;
  #conversation;
  #signal;
  /** @type {BranchRow[]} */
  #branches = [];
  /** What was shown when they were loaded: they change when it does. */
  #loadedFor = "";

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
   * Learn of the branches that begin among these messages.
   * @param {MessageRow[]} rows
   * @returns {Promise<boolean>} whether anything is known now that was not
   */
  async learn(rows) {
    const begins = rows.filter((row) => row.aside > 0).map((row) => `${row.id}:${row.aside}`).join();
    if (begins === this.#loadedFor) return false;
    if (begins) this.#branches = (await this.#client.branches(this.#conversation, this.#signal)).branches;
    this.#loadedFor = begins;
    return true;
  }

  /**
   * The oldest variant comes first, whichever is shown.
   * @param {MessageRow} row
   * @returns {Variants | null}
   */
  of(row) {
    if (row.aside === 0) return null;
    const others = this.#branches.filter((branch) => branch.fits && branch.position === row.position);
    if (others.length === 0) return null;
    const older = others.filter((branch) => branch.first_id < row.id).sort(byAge);
    const newer = others.filter((branch) => branch.first_id > row.id).sort(byAge);
    return {
      at: older.length + 1,
      count: others.length + 1,
      before: older.at(-1)?.id ?? null,
      after: newer[0]?.id ?? null,
    };
  }
}

/**
 * @param {BranchRow} one
 * @param {BranchRow} other
 */
function byAge(one, other) {
  return one.first_id - other.first_id;
}
