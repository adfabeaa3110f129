/**
 * What is shown of a conversation: what is stored, and after it what is being said. What is being
 * replaced is left out, with all that follows it.
 */

import { attachmentsOf } from "./uploads.js";

/**
 * @import { Turn } from "./turn.js"
 * @import { Variants } from "./variants.js"
 * @import { Attachment, Finish, MessageRow } from "./wire.js"
 *
 * @typedef {object} Item One message as it is shown.
 * @property {string} key the same for a message as long as it is shown, stored or not yet
 * @property {"user" | "assistant"} role
 * @property {string} text
 * @property {Attachment[]} files
 * @property {MessageRow | null} row set once it is in the history
 * @property {Turn | null} turn set while it is not
 * @property {Finish | null} finish
 * @property {{id: number, text: string, files: Attachment[]} | null} question what can be said anew: itself, or what it answers
 * @property {Variants | null} variants of it that one can switch between
 * @property {boolean} isHorizon the assistant saw what is from here on, and nothing before
 */

/** What most items lack. */
const BLANK = { files: [], row: null, turn: null, finish: null, isHorizon: false, question: null, variants: null };

export class Items {
  /** @type {Map<number, string>} keys of messages that were shown before they were stored */
  #keys = new Map();
  /** @type {number | null} the oldest message that the assistant was given with the last one */
  #horizon = null;

  /**
   * @param {MessageRow[]} rows
   * @param {Turn[]} turns
   * @param {((row: MessageRow) => Variants | null) | null} variantsOf null while nothing can be replaced
   * @returns {Item[]}
   */
  of(rows, turns, variantsOf) {
    const stored = new Set(rows.map((row) => row.id));
    const replaced = new Set(turns.map((turn) => turn.replaces));
    const end = rows.findIndex((row) => replaced.has(row.id));
    const items = [];
    let question = null;
    for (const row of end < 0 ? rows : rows.slice(0, end)) {
      if (row.role === "user") question = questionOf(row);
      else if (row.role !== "assistant") continue;
      const item = this.#ofRow(row);
      items.push(variantsOf ? { ...item, question, variants: variantsOf(row) } : item);
    }
    return [...items, ...turns.flatMap((turn) => unstored(turn, stored))];
  }

  /**
   * The turns whose answer is in the history. It is shown on under the key it had.
   * @param {MessageRow[]} rows
   * @param {Turn[]} turns
   */
  stored(rows, turns) {
    return turns.filter((turn) => {
      const question = rows.find((row) => row.id === turn.message);
      if (question) this.#keys.set(question.id, questionKey(turn));
      const answer = rows.find((row) => isAnswer(row, turn, question));
      if (answer) {
        this.#keys.set(answer.id, answerKey(turn));
        this.#horizon = turn.remembersFrom ?? this.#horizon;
      }
      return answer !== undefined;
    });
  }

  /**
   * @param {MessageRow} row
   * @returns {Item}
   */
  #ofRow(row) {
    const key = this.#keys.get(row.id) ?? `m${row.id}`;
    const finish = row.extra?.finish ?? null;
    const isHorizon = row.id === this.#horizon && row.position > 1;
    const role = row.role === "user" ? "user" : "assistant";
    const files = role === "user" ? attachmentsOf(row) : [];
    return { ...BLANK, key, role, text: row.content, files, row, finish, isHorizon };
  }
}

/**
 * @param {Turn} turn
 * @param {Set<number>} stored ids in the history
 * @returns {Item[]}
 */
function unstored(turn, stored) {
  /** @type {Item[]} */
  const items = [];
  if (turn.text !== null && !stored.has(turn.message ?? 0)) {
    items.push({ ...BLANK, key: questionKey(turn), role: "user", text: turn.text, files: turn.attachments, turn });
  }
  if (turn.isAccepted && !stored.has(turn.reply ?? 0)) {
    const { answer: text, finish } = turn;
    items.push({ ...BLANK, key: answerKey(turn), role: "assistant", text, turn, finish });
  }
  return items;
}

/** @param {MessageRow} row */
function questionOf(row) {
  const files = attachmentsOf(row);
  return row.content || files.length ? { id: row.id, text: row.content, files } : null;
}

/** @param {Turn} turn */
const questionKey = (turn) => `${turn.key}?`;

/** @param {Turn} turn */
const answerKey = (turn) => `${turn.key}!`;

/**
 * Whether a stored message is a turn's answer. Normally its id says so; the id of an answer that
 * the server no longer knows of is never told, nor that of one that was made after it was given up.
 * @param {MessageRow} row
 * @param {Turn} turn
 * @param {MessageRow | undefined} question
 */
function isAnswer(row, turn, question) {
  if (turn.reply !== null) return row.id === turn.reply;
  if (question === undefined || row.role !== "assistant") return false;
  if (turn.isLost) return row.position > question.position;
  return turn.state === "unanswered" && row.position === question.position + 1;
}
