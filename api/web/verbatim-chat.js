/**
 * `<verbatim-chat>`: the whole ChatBot as one element. Works in any page of the API's own origin:
 *
 *     <script type="module" src="/web/verbatim-chat.js"></script>
 *     <verbatim-chat></verbatim-chat>
 *
 * Attributes, all optional: `api` (the path before the API's own paths; none at the root),
 * `conversation` (an id, or `id:position` to begin with a message, or `new`; without one the latest is
 * shown), `theme` (`light`, `dark`,
 * `auto`), `lang` (`en`, `de`; without one the browser's language; one for all elements of a page), `dir`
 * (without one the language's). Events: `verbatim-navigate` when another conversation is shown (`detail`:
 * `conversation` as in the attribute, `title`, `isInitial`), `verbatim-title` when its title changes,
 * `verbatim-theme` when the user chose another theme, and `verbatim-language` when it speaks one (`detail`:
 * `chosen`, null if it is the browser's; `language`; `dir`).
 */

import { ChatApp } from "./chat/app.js";
import { isReady } from "./chat/markdown.js";
import { styles } from "./chat/styles.js";
import { speak, spoken } from "./texts.js";

export class VerbatimChat extends HTMLElement {
  static observedAttributes = ["conversation", "theme", "lang"];

  /** @type {ChatApp | null} */
  #app = null;

  async connectedCallback() {
    await this.#begin(this.getAttribute("conversation"), false);
  }

  disconnectedCallback() {
    this.#end();
  }

  /**
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} now
   */
  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === "theme") this.#app?.showTheme(now);
    else if (name === "conversation") this.#app?.show(now);
    else void this.#beginAnew();
  }

  /**
   * @param {string | null} conversation
   * @param {boolean} hasNewLanguage
   */
  async #begin(conversation, hasNewLanguage) {
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    const chosen = this.getAttribute("lang");
    const [sheets] = await Promise.all([styles(), isReady, speak(chosen)]);
    if (!this.isConnected || this.#app) return;
    root.adoptedStyleSheets = sheets;
    const { language, dir } = spoken;
    const detail = { chosen, language, dir };
    this.dispatchEvent(new CustomEvent("verbatim-language", { detail, bubbles: true, composed: true }));
    this.#app = new ChatApp(this, root, this.getAttribute("api") ?? "", hasNewLanguage);
    await this.#app.start(conversation);
  }

  /** In another language everything is made again. What is being said goes on. */
  async #beginAnew() {
    if (!this.#app) return;
    const { conversation } = this.#app;
    this.#end();
    await this.#begin(conversation, true);
  }

  #end() {
    this.#app?.stop();
    this.#app = null;
  }
}

customElements.define("verbatim-chat", VerbatimChat);
