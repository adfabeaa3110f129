/** Copies of a conversation: a file of Markdown, and paper. */

import { save } from "./files.js";
import { texts } from "../texts.js";

/**
 * @import { Choice } from "./menu.js"
 * @import { Toasts } from "./toasts.js"
 * @import { Client } from "../model/client.js"
 * @import { Session } from "../model/session.js"
 */

/** The offer to give up stays until it is printed. */
const OFFER_SECONDS = 3600;

export class Copies {
  #client;
  #session;
  #toasts;
  #root;
  #isPrinting = false;

  /**
   * @param {Client} client
   * @param {Session} session
   * @param {Toasts} toasts
   * @param {ShadowRoot} root where the styles are
   */
  constructor(client, session, toasts, root) {
    this.#client = client;
    this.#session = session;
    this.#toasts = toasts;
    this.#root = root;
  }

  /** @returns {Choice[]} what can be made of the open conversation */
  get choices() {
    const id = this.#session.thread?.id;
    if (!id) return [];
    return [
      { label: texts.exportMarkdown, act: () => void this.save(id) },
      { label: texts.print, act: () => void this.print() },
    ];
  }

  /** @param {number} id of the conversation that becomes a file, with what was accepted of it until now */
  async save(id) {
    const { conversations, thread } = this.#session;
    const said = id === thread?.id ? thread.turns : [];
    const last = Math.max(0, ...said.map(({ message, reply }) => reply ?? message ?? 0));
    try {
      const response = await this.#client.exportConversation(id, last || null);
      save(await response.blob(), `${conversations?.titleOf(id) ?? texts.untitled}.md`);
    } catch {
      this.#toasts.show(texts.notExported);
    }
  }

  /** Print all of the open conversation. */
  async print() {
    const id = this.#session.thread?.id;
    if (!id || this.#isPrinting) return;
    this.#isPrinting = true;
    const giveUp = new AbortController();
    const act = () => giveUp.abort();
    const offer = { label: texts.cancel, act, gone: act, seconds: OFFER_SECONDS };
    const close = this.#toasts.show(texts.preparing, offer);
    try {
      const { print } = await import("../late/print.js");
      await print(this.#client, { id, title: this.#session.title }, this.#root, giveUp.signal, close);
    } catch {
      close();
      if (!giveUp.signal.aborted) this.#toasts.show(texts.notPrinted);
    }
    this.#isPrinting = false;
  }

  /** @param {KeyboardEvent} event Ctrl+P prints all, where the browser would print what is loaded */
  pressed(event) {
    if (event.key !== "p" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
    if (!this.#session.thread?.id) return;
    event.preventDefault();
    void this.print();
  }
}
