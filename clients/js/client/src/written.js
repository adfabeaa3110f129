/** What a client has written: it reads what includes that. */

/** The 16 partitions of the log are told by an id's lowest bits. */
const PARTITIONS = 16;
const NAMES = ["id", "entry_id", "entryId", "messageId", "replyId"];

/** The newest id of each partition that was written to; for `read_after`. */
export class Written {
  /** @type {Map<number, number>} */
  #newest = new Map();

  /**
   * Take note of all ids that the answer to a write has.
   * @param {any} answer
   */
  note(answer) {
    for (const name of NAMES) {
      const id = answer?.[name];
      if (typeof id !== "number") continue;
      const partition = id % PARTITIONS;
      this.#newest.set(partition, Math.max(id, this.#newest.get(partition) ?? 0));
    }
  }

  /** Forget it all: some of it is lost, and would be asked for in vain for ever. */
  forget() {
    this.#newest.clear();
  }

  /** What a read has to include, one id for each partition. */
  get ids() {
    return [...this.#newest.values()];
  }
}
