/**
 * `<verbatim-chat>`: the whole ChatBot as one element. Works in any page of the API's own origin:
 *
 *     <script type="module" src="/web/verbatim-chat.js"></script>
 *     <verbatim-chat></verbatim-chat>
 *
 * and in pages of others with a token, as the package `@verbatim/chat` (clients/js/chat).
 *
 * Attributes, all optional: `api` (what stands before the API's own paths; none at the root),
 * `conversation` (an id, or `id:position` to begin with a message, or `new`; without one the latest is
 * shown), `theme` (`light`, `dark`,
 * `auto`), `lang` (`en`, `de`; without one the browser's language; one for all elements of a page), `dir`
 * (without one the language's). Events: `verbatim-navigate` when another conversation is shown (`detail`:
 * `conversation` as in the attribute, `title`, `isInitial`), `verbatim-title` when its title changes,
 * `verbatim-theme` when the user chose another theme, `verbatim-language` when it speaks one (`detail`:
 * `chosen`, null if it is the browser's; `language`; `dir`), and `verbatim-signin` when somebody whose
 * `token` is not taken wants to sign in.
 */

import { ChatApp } from "./chat/app.js";
import { isReady } from "./chat/markdown.js";
import { styles } from "./chat/styles.js";
import { speak, spoken } from "./texts.js";

/** @typedef {import("./model/client.js").Token} Token */

export class VerbatimChat extends HTMLElement {
  static observedAttributes = ["conversation", "theme", "lang"];

  /** @type {ChatApp | null} */
  #app = null;
  /** @type {Token | null} */
  #token = null;

  constructor() {
    super();
    // What was set before this class was there hides the accessor.
    const { token } = this;
    Reflect.deleteProperty(this, "token");
    this.#token = token;
  }

  /** What the API is sent in place of its cookie, or a function that gives it for each call. */
  get token() {
    return this.#token;
  }

  set token(token) {
    if (token === this.#token) return;
    this.#token = token;
    void this.#beginAnew(false);
  }

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
    else void this.#beginAnew(true);
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
    this.#app = new ChatApp(this, root, this.getAttribute("api") ?? "", this.#token, hasNewLanguage);
    await this.#app.start(conversation);
  }

  /**
   * In another language, or for somebody else, everything is made again. What is being said goes on.
   * @param {boolean} hasNewLanguage
   */
  async #beginAnew(hasNewLanguage) {
    if (!this.#app) return;
    const { conversation } = this.#app;
    this.#end();
    await this.#begin(conversation, hasNewLanguage);
  }

  #end() {
    this.#app?.stop();
    this.#app = null;
  }
}

customElements.define("verbatim-chat", VerbatimChat);
