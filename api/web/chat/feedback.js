/** What the reader thinks of an answer: thumbs up or down, and a comment. A second press takes it back. */

import { iconButton, make } from "./dom.js";
import { texts } from "../texts.js";

/** @import { FeedbackRow, MessageRow, Rating } from "../model/wire.js" */

const SHAPES = /** @type {const} */ ({ up: "thumbUp", down: "thumbDown" });
const RATINGS = /** @type {Rating[]} */ (["up", "down"]);

export class FeedbackBar {
  #rate;
  /** @type {MessageRow | null} */
  #row = null;
  #buttons = RATINGS.map((rating) =>
    iconButton(SHAPES[rating], texts.rate[rating], () => void this.#press(rating), { "aria-pressed": "false" }),
  );
  #comment = make("input", { maxlength: 2000, dir: "auto", "aria-label": texts.comment, placeholder: texts.comment });
  #form = make(
    "form",
    { onsubmit: (/** @type {Event} */ event) => void this.#submitted(event) },
    this.#comment,
    make("button", { type: "submit" }, texts.sendComment),
  );
  #said = make("span", { role: "status" });
  element = make("div", { class: "feedback", hidden: true }, ...this.#buttons, this.#said);

  /** @param {(message: number, rating: Rating | null, comment: string | null) => Promise<boolean>} rate */
  constructor(rate) {
    this.#rate = rate;
  }

  /** @param {MessageRow | null} row null while the answer is not stored, and cannot be rated */
  show(row) {
    const isOther = row?.id !== this.#row?.id;
    this.#row = row;
    this.element.hidden = !row || !["stored", "interrupted"].includes(row.status);
    if (isOther) this.#form.remove();
    this.#showRating(row?.feedback ?? null);
  }

  /** @param {FeedbackRow | null} feedback */
  #showRating(feedback) {
    RATINGS.forEach((rating, at) => {
      this.#buttons[at]?.setAttribute("aria-pressed", String(feedback?.rating === rating));
    });
    this.element.classList.toggle("rated", feedback !== null);
  }

  /** @param {Rating} rating */
  async #press(rating) {
    const isBack = this.#row?.feedback?.rating === rating;
    this.#comment.value = "";
    if (isBack) this.#form.remove();
    else this.#said.before(this.#form);
    await this.#send(isBack ? null : rating, null);
  }

  /** @param {Event} event */
  async #submitted(event) {
    event.preventDefault();
    const rating = this.#row?.feedback?.rating;
    const comment = this.#comment.value.trim();
    if (rating && comment && (await this.#send(rating, comment))) {
      this.#form.remove();
      this.#said.textContent = texts.thanks;
      this.#buttons[RATINGS.indexOf(rating)]?.focus();
    }
  }

  /**
   * @param {Rating | null} rating
   * @param {string | null} comment
   */
  async #send(rating, comment) {
    const row = this.#row;
    if (!row) return false;
    const before = row.feedback;
    row.feedback = rating && { rating, comment };
    this.#showRating(row.feedback);
    const isSent = await this.#rate(row.id, rating, comment);
    if (!isSent) row.feedback = before;
    this.#said.textContent = isSent ? "" : texts.notRated;
    if (row === this.#row) this.#showRating(row.feedback);
    return isSent;
  }
}
