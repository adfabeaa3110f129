/** The body of an answer: Markdown that may still be growing. */

import { adorn } from "./adorn.js";
import { copy } from "./clipboard.js";
import { make } from "./dom.js";
import { formatted, isPlain } from "./markdown.js";
import { piecesOf } from "./pieces.js";
import { slices as slicesOfPage } from "./slices.js";
import { texts } from "../texts.js";

/**
 * @import { Piece } from "./pieces.js"
 * @import { Slices } from "./slices.js"
 *
 * @typedef {Piece & {element: HTMLElement, costMs: number}} Shown
 */

/** What of an answer took longer (in ms) to be formatted stays plain from there on. */
const ANSWER_MS = 2_000;

export class AnswerBody {
  element = make("div", { class: "answer", dir: "auto", onclick: copyCodeOf });
  #text = "";
  #isCut = true;
  #isGrowing = false;
  /** @type {Shown[]} */
  #shown = [];
  /** How many of them were formatted, and how long that took. */
  #done = 0;
  #spentMs = 0;
  /** How many of them have their colours and formulas. */
  #adorned = 0;
  #slices;
  #format;

  /** @param {{slices?: Slices, format?: (source: string) => Node | null}} [how] */
  constructor({ slices = slicesOfPage, format = formatted } = {}) {
    this.#slices = slices;
    this.#format = format;
  }

  /**
   * Show a text: at once, though some of it may stay plain for a few frames, or all of it with the
   * next frame while deltas pour in.
   * @param {string} text
   * @param {{isGrowing: boolean}} how
   */
  show(text, { isGrowing }) {
    this.#isGrowing = isGrowing;
    if (text !== this.#text) {
      this.#text = text;
      this.#isCut = false;
      if (isGrowing) this.#slices.later(this.#step);
    }
    if (isGrowing) return;
    if (this.#isCut) return this.#adorn();
    this.#cut();
    this.#slices.now(this.#step);
  }

  /** Cut the text, or format one more piece of it. Returns whether there is more to do. */
  #step = () => {
    if (!this.#isCut) this.#cut();
    else this.#formatNext();
    this.#adorn();
    return this.#done < this.#shown.length && this.#spentMs < ANSWER_MS;
  };

  #formatNext() {
    const piece = this.#shown[this.#done];
    if (!piece) return;
    const start = this.#slices.clock();
    const made = piece.source === null ? null : this.#format(piece.source);
    if (made) piece.element.replaceChildren(made);
    piece.costMs = this.#slices.clock() - start;
    this.#spentMs += piece.costMs;
    this.#done++;
  }

  /** Give what is formatted its colours and formulas; but for the last piece, as long as it may grow. */
  #adorn() {
    const finished = Math.min(this.#done, this.#shown.length - (this.#isGrowing ? 1 : 0));
    for (; this.#adorned < finished; this.#adorned++) {
      const element = this.#shown[this.#adorned]?.element;
      if (element) adorn(element);
    }
  }

  /** Show all of it, plain at first; elements that stay keep what is selected in them. */
  #cut() {
    this.#isCut = true;
    const pieces = isPlain() ? [{ text: this.#text, source: null }] : piecesOf(this.#text);
    let same = 0;
    while (same < pieces.length && isSame(pieces[same], this.#shown[same])) same++;
    for (const { element, costMs } of this.#shown.splice(same)) {
      element.remove();
      this.#spentMs -= costMs;
    }
    this.#done = Math.min(this.#done, same);
    this.#adorned = Math.min(this.#adorned, same);
    const added = pieces.slice(same).map(plainly);
    this.element.append(...added.map(({ element }) => element));
    this.#shown.push(...added);
  }
}

/**
 * @param {Piece | undefined} piece
 * @param {Piece | undefined} shown
 */
function isSame(piece, shown) {
  return piece?.text === shown?.text && piece?.source === shown?.source;
}

/**
 * @param {Piece} piece
 * @returns {Shown}
 */
function plainly(piece) {
  const words = make("div", { class: "plain", dir: "auto" }, piece.text);
  const element = make("div", { class: "block" }, words);
  return { ...piece, element, costMs: 0 };
}

/** @param {MouseEvent} event */
async function copyCodeOf(event) {
  const target = /** @type {Element} */ (event.target);
  const button = target.closest(".copy-code");
  const code = button?.closest(".code")?.querySelector("code");
  if (!button || !code) return;
  const isCopied = await copy(code.textContent ?? "");
  const label = /** @type {ChildNode} */ (button.lastChild);
  label.textContent = isCopied ? texts.copied : texts.notCopied;
  setTimeout(() => (label.textContent = texts.copyCode), 2000);
}
