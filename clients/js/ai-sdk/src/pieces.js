/** An answer's text and what belongs between its words, in their order. */

/** @import { Part } from "@verbatim/client" */

/** @typedef {{text: string} | {part: Part}} Piece */

/**
 * Puts parts where they belong: each tells the code points of the text before it. While an answer is
 * made they come there anyway; of one that is shown again all of them come first.
 */
export class Pieces {
  #length = 0;
  /** @type {Part[]} */
  #waiting = [];

  /**
   * @param {Part} part
   * @returns {Generator<Piece, void, undefined>}
   */
  *part(part) {
    this.#waiting.push(part);
    yield* this.#due();
  }

  /**
   * @param {string} text that follows
   * @returns {Generator<Piece, void, undefined>}
   */
  *text(text) {
    let rest = Array.from(text);
    for (let next = this.#waiting[0]; next && rest.length > 0; next = this.#waiting[0]) {
      const before = rest.slice(0, next.at - this.#length);
      rest = rest.slice(before.length);
      this.#length += before.length;
      if (before.length > 0) yield { text: before.join("") };
      yield* this.#due();
    }
    this.#length += rest.length;
    if (rest.length > 0) yield { text: rest.join("") };
  }

  /**
   * The answer has no more text.
   * @returns {Generator<Piece, void, undefined>}
   */
  *end() {
    for (const part of this.#waiting.splice(0)) yield { part };
  }

  /** @returns {Generator<Piece, void, undefined>} */
  *#due() {
    for (let next = this.#waiting[0]; next && !(next.at > this.#length); next = this.#waiting[0]) {
      this.#waiting.shift();
      yield { part: next };
    }
  }
}
