/** In which language the page speaks. */

import { make } from "./dom.js";
import { LANGUAGES, texts } from "../texts.js";

export class LanguageChoice {
  #select = make("select", { name: "language" });
  element;

  /**
   * @param {string | null} chosen null: the browser's
   * @param {(language: string | null) => void} choose
   */
  constructor(chosen, choose) {
    const names = Object.entries(LANGUAGES).map(([language, { name }]) =>
      make("option", { value: language, lang: language, selected: language === chosen }, name),
    );
    this.#select.append(make("option", { value: "" }, texts.languageOfBrowser), ...names);
    this.#select.addEventListener("change", () => choose(this.#select.value || null));
    this.element = make("label", { class: "key-name language" }, make("span", {}, texts.language), this.#select);
  }

  focus() {
    this.#select.focus();
  }
}
