/** One figure: what it is, how much, and its last minutes. */

import { make } from "../chat/dom.js";
import { Bars, Chart } from "./chart.js";

export class Card {
  #value = make("p", { class: "value" }, "–");
  #hint;
  #chart;
  element;

  /**
   * @param {string} title
   * @param {string} hint
   * @param {Chart | Bars | null} chart
   */
  constructor(title, hint, chart) {
    this.#hint = make("p", { class: "hint" }, hint);
    this.#chart = chart;
    this.element = make("section", {}, make("h2", {}, title), this.#value, this.#hint);
    if (chart) this.element.append(chart.element);
  }

  /**
   * @param {string} value
   * @param {(number | null)[]} drawn
   */
  show(value, drawn) {
    if (this.#value.textContent !== value) this.#value.textContent = value;
    if (this.#chart instanceof Chart) this.#chart.add(drawn);
    else this.#chart?.show(drawn.map((found) => found ?? 0));
  }

  /** @param {string} hint */
  explain(hint) {
    this.#hint.textContent = hint;
  }

  /** @param {boolean} isBad it needs attention */
  warn(isBad) {
    this.element.classList.toggle("bad", isBad);
  }
}
