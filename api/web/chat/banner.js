/** Says calmly that the server cannot be reached, and that it can again. */

import { make } from "./dom.js";
import { texts } from "../texts.js";

/** @import { Client } from "../model/client.js" */

const BACK_SECONDS = 2;

export class Banner extends EventTarget {
  element = make("div", { class: "banner", role: "status", hidden: true });
  isAway = false;

  /**
   * Watch a client's calls. Event `back`: the server answers again.
   * @param {Client} client
   */
  watch(client) {
    client.addEventListener("unreached", () => this.#away(texts.unreached));
    client.addEventListener("reached", () => this.#back());
    addEventListener("offline", () => this.#away(texts.offline));
  }

  /** @param {string} words */
  #away(words) {
    this.isAway = true;
    this.element.hidden = false;
    this.element.dataset["state"] = "away";
    const said = navigator.onLine ? words : texts.offline;
    if (this.element.textContent !== said) this.element.textContent = said;
  }

  #back() {
    if (!this.isAway) return;
    this.isAway = false;
    this.element.dataset["state"] = "back";
    this.element.textContent = texts.back;
    setTimeout(() => (this.element.hidden = !this.isAway), BACK_SECONDS * 1000);
    this.dispatchEvent(new Event("back"));
  }
}
