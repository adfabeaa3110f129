/**
 * `<verbatim-chat>`: the whole ChatBot as one element. Works in any page of the API's own origin:
 *
 *     <script type="module" src="/web/verbatim-chat.js"></script>
 *     <verbatim-chat></verbatim-chat>
 *
 * Attributes, all optional: `api` (the path before the API's own paths; none at the root),
 * `conversation` (an id, or `id:position` to begin with a message, or `new`; without one the latest is
 * shown), `theme` (`light`, `dark`,
 * `auto`). Events: `verbatim-navigate` when another conversation is shown (`detail`: `conversation`
 * as in the attribute, `title`, `isInitial`), `verbatim-title` when its title changes, and
 * `verbatim-theme` when the user chose another theme.
 */

import { ChatApp } from "./chat/app.js";
import { isReady } from "./chat/markdown.js";
import { styles } from "./chat/styles.js";

export class VerbatimChat extends HTMLElement {
  static observedAttributes = ["conversation", "theme"];

  /** @type {ChatApp | null} */
  #app = null;

  async connectedCallback() {
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    const [sheets] = await Promise.all([styles(), isReady]);
    if (!this.isConnected || this.#app) return;
    root.adoptedStyleSheets = sheets;
    this.#app = new ChatApp(this, root, this.getAttribute("api") ?? "");
    await this.#app.start(this.getAttribute("conversation"));
  }

  disconnectedCallback() {
    this.#app?.stop();
    this.#app = null;
  }

  /**
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} now
   */
  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === "theme") this.#app?.showTheme(now);
    else this.#app?.show(now);
  }
}

customElements.define("verbatim-chat", VerbatimChat);
