/** One subject of the account dialog: a heading, what belongs to it, and what went wrong with it. */

import { make } from "./dom.js";
import { Problem } from "../model/problem.js";
import { texts } from "../texts.js";

let made = 0;

export class Section {
  element;
  #problem = make("p", { class: "problem", role: "alert" });

  /**
   * @param {string} heading
   * @param {(Node | string)[]} children
   */
  constructor(heading, ...children) {
    const id = `section-${++made}`;
    this.element = make("section", { "aria-labelledby": id }, make("h3", { id }, heading), ...children, this.#problem);
  }

  /** @param {string} words what went wrong; empty for nothing */
  complain(words) {
    this.#problem.textContent = words;
  }

  /**
   * Do something, and say so if it fails.
   * @param {() => Promise<void>} act
   * @param {Record<number, string>} [meanings] what an answer of a status means here
   * @returns {Promise<boolean>} whether it was done
   */
  async attempt(act, meanings = {}) {
    this.complain("");
    try {
      await act();
      return true;
    } catch (error) {
      const { status, isPassing, detail } = Problem.from(error);
      const usual = status === 429 ? texts.tooMany : isPassing ? texts.signInLater : detail;
      this.complain(meanings[status] ?? usual);
      return false;
    }
  }
}

/**
 * A field under its name.
 * @param {string} words
 * @param {Record<string, string | number | boolean>} attributes
 */
export function labelled(words, attributes) {
  const input = make("input", attributes);
  return { input, label: make("label", { class: "key-name" }, make("span", {}, words), input) };
}
