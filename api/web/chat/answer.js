/** The body of an answer: Markdown that may still be growing. */

import { copy } from "./clipboard.js";
import { make } from "./dom.js";
import { blocksOf, render } from "./markdown.js";
import { texts } from "../texts.js";

/** @import { Block } from "./markdown.js" */

export class AnswerBody {
  element = make("div", { class: "answer", dir: "auto", onclick: copyCodeOf });
  #text = "";
  /** @type {Block[]} */
  #blocks = [];
  #isDue = false;

  /**
   * Show a text; at once, or with the next frame while deltas pour in.
   * @param {string} text
   * @param {{isGrowing: boolean}} how
   */
  show(text, { isGrowing }) {
    const isNew = text !== this.#text;
    this.#text = text;
    if (isGrowing && isNew && !this.#isDue) {
      this.#isDue = true;
      requestAnimationFrame(() => this.#isDue && this.#update());
    } else if (!isGrowing && (isNew || this.#isDue)) {
      this.#update(); // a page in the background has no frames
    }
  }

  /** Replace what changed: elements of finished blocks stay, with whatever is selected in them. */
  #update() {
    this.#isDue = false;
    const blocks = blocksOf(this.#text);
    let same = 0;
    while (same < blocks.length && blocks[same]?.raw === this.#blocks[same]?.raw) same++;
    const { children } = this.element;
    while (children.length > same) children[same]?.remove();
    for (const block of blocks.slice(same)) {
      this.element.append(make("div", { class: "block" }, render(block)));
    }
    this.#blocks = blocks;
  }
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
