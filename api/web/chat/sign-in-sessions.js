/** Where one is signed in: each session can be ended, and all others at once. */

import { make } from "./dom.js";
import { Section } from "./section.js";
import { minute } from "../formats.js";
import { texts } from "../texts.js";

/**
 * @import { Client } from "../model/client.js"
 * @import { SignInSession } from "../model/wire.js"
 */

export class SignInSessions {
  #client;
  #list = make("ul", { class: "keys" });
  #others = make("button");
  #section;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
    this.#others = make(
      "button",
      { type: "button", class: "revoke", onclick: () => void this.#end(() => client.endOtherSessions()) },
      texts.endOthers,
    );
    this.#section = new Section(texts.sessions, this.#list, this.#others);
    this.element = this.#section.element;
  }

  /** Show them as they are now. */
  async show() {
    await this.#section.attempt(async () => this.#fill(await this.#client.sessions()));
  }

  /** @param {SignInSession[]} sessions */
  #fill(sessions) {
    this.#list.replaceChildren(...sessions.map((session) => this.#row(session)));
    this.#others.hidden = sessions.every(({ current }) => current);
  }

  /** @param {SignInSession} session */
  #row({ id, created_at, renewed_at, browser, device, current }) {
    const since = texts.signedInSince(minute(created_at), minute(renewed_at));
    const [program = "", system = ""] = device?.split(" on ") ?? [];
    const kind = browser ? texts.sessionOfBrowser : texts.sessionOfProgram;
    const what = system ? texts.device(program, system) : program || kind;
    const end = make("button", { type: "button", class: "revoke" }, texts.endSession);
    end.setAttribute("aria-label", texts.endSessionOf(minute(created_at)));
    end.addEventListener("click", () => void this.#end(() => this.#client.endSession(id)));
    const about = make("span", { class: "key-of" }, make("strong", {}, what), since);
    return make("li", {}, about, current ? make("span", { class: "list-hint" }, texts.thisSession) : end);
  }

  /** @param {() => Promise<unknown>} end */
  async #end(end) {
    await this.#section.attempt(async () => {
      await end();
      this.#fill(await this.#client.sessions());
    });
    // The button that had the focus has gone.
    const next = this.#list.querySelector("button");
    (next ?? this.element.closest("dialog")?.querySelector("button"))?.focus();
  }
}
