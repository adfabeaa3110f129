/** Signing in and making an account; or, where that is the business of the page around, asking it to. */

import { make } from "./dom.js";
import { Problem } from "../model/problem.js";
import { texts } from "../texts.js";

/**
 * @import { LanguageChoice } from "./language-choice.js"
 * @import { Client } from "../model/client.js"
 * @import { User } from "../model/wire.js"
 */

/** What the API takes as a new one. */
const USERNAME = "\\s*[A-Za-z0-9._\\-]{3,64}\\s*";

export class SignIn {
  #client;
  #language;
  #signedIn;
  #isNew = false;
  #heading = make("h1");
  #hint = make("p", { class: "hint" });
  #problem = make("p", { class: "problem", role: "alert" });
  #username = field("username", texts.username, { autocomplete: "username", autocapitalize: "none", spellcheck: "false" });
  #email = field("email", texts.email, { type: "email", autocomplete: "email" });
  #password = field("password", texts.password, { type: "password" });
  #submit = make("button", { type: "submit", class: "primary" });
  #other = make("button", { type: "button", class: "link", onclick: () => this.#turn(!this.#isNew) });
  #form;

  /**
   * @param {Client} client
   * @param {LanguageChoice} language
   * @param {{signedIn: (user: User) => void, asked: () => void}} actions
   */
  constructor(client, language, { signedIn, asked }) {
    this.#client = client;
    this.#language = language;
    this.#signedIn = signedIn;
    this.#form = make(
      "form",
      { class: "sign-in", onsubmit: (/** @type {Event} */ event) => this.#submitted(event) },
      make("span", { class: "mark", "aria-hidden": "true" }, "“"),
      this.#heading,
      this.#hint,
      this.#problem,
      this.#username.label,
      this.#email.label,
      this.#password.label,
      this.#submit,
      this.#other,
      language.element,
    );
    this.#turn(false);
    const ask = make("button", { type: "button", class: "primary", onclick: asked }, texts.signIn);
    const content = client.isGivenToken ? make("div", { class: "sign-in" }, this.#problem, ask) : this.#form;
    this.element = make("div", { class: "sign-in-page" }, content);
  }

  /** @param {string} [why] */
  open(why = "") {
    this.#turn(false);
    this.#problem.textContent = why;
    this.#password.input.value = "";
    queueMicrotask(() => this.#username.input.focus());
  }

  /** The user has just chosen another language here. */
  showLanguage() {
    this.#language.focus();
  }

  /** @param {boolean} isNew */
  #turn(isNew) {
    this.#isNew = isNew;
    this.#heading.textContent = isNew ? texts.signUp : texts.signIn;
    this.#hint.textContent = isNew ? texts.signUpHint : texts.signInHint;
    this.#submit.textContent = isNew ? texts.signUp : texts.signIn;
    this.#other.textContent = isNew ? texts.toSignIn : texts.toSignUp;
    this.#problem.textContent = "";
    this.#email.label.hidden = !isNew;
    this.#email.input.disabled = !isNew;
    this.#username.hint.textContent = isNew ? texts.usernameHint : "";
    this.#password.hint.textContent = isNew ? texts.passwordHint : "";
    this.#password.input.autocomplete = isNew ? "new-password" : "current-password";
    this.#password.input.minLength = isNew ? 8 : 0;
    this.#username.input.pattern = isNew ? USERNAME : ".*";
    this.#username.input.title = isNew ? texts.usernameHint : "";
  }

  /** @param {Event} event */
  async #submitted(event) {
    event.preventDefault();
    if (this.#submit.disabled) return;
    this.#problem.textContent = "";
    this.#submit.disabled = true;
    try {
      this.#signedIn(await this.#enter());
    } catch (error) {
      this.#problem.textContent = explained(Problem.from(error));
      if (!this.#isNew) this.#password.input.select();
    } finally {
      this.#submit.disabled = false;
    }
  }

  async #enter() {
    const username = this.#username.input.value.trim();
    const password = this.#password.input.value;
    if (this.#isNew) {
      const email = this.#email.input.value.trim();
      await this.#client.register({ username, email, password });
    }
    return this.#client.signIn({ username, password });
  }
}

/** @param {Problem} problem */
function explained(problem) {
  if (problem.status === 401) return texts.wrongPassword;
  if (problem.status === 409) return texts.taken;
  if (problem.status === 429) return texts.tooMany;
  if (problem.isPassing) return texts.signInLater;
  return problem.detail;
}

/**
 * @param {string} name
 * @param {string} words
 * @param {Record<string, string>} attributes
 */
function field(name, words, attributes) {
  const hint = make("small");
  const input = make("input", { name, required: true, ...attributes });
  const label = make("label", {}, make("span", {}, words), input, hint);
  return { label, input, hint };
}
