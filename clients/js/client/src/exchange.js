/** Requests, each repeated until its outcome is known. */

import { NoAnswer, Problem } from "./errors.js";
import { SignIn } from "./identity.js";
import { Patience } from "./retries.js";
import { Written } from "./written.js";

/** @import { Key } from "./identity.js" */

/**
 * @typedef {object} Options
 * @property {string} url the server, perhaps with a path before the API's own
 * @property {Key} [key]
 * @property {string} [username] instead of a key: who signs in, with `password`
 * @property {string} [password] it is kept, to sign in again when a session has ended
 * @property {string} [subject] with a key that acts for subjects: the person to act for
 * @property {number} [retrySeconds] how long a call goes on trying after its first failure (60)
 * @property {number} [timeoutSeconds] how long one attempt may take (30)
 * @property {typeof fetch} [fetch]
 */

/**
 * @typedef {object} Call
 * @property {string} method
 * @property {string} path
 * @property {Record<string, string | number | boolean | null | undefined>} [query] what is null or
 *   undefined is left out
 * @property {unknown} [body] sent as JSON
 * @property {Record<string, string>} [headers]
 * @property {string | undefined} [key] its `Idempotency-Key`
 * @property {boolean} [awaitsWrites] it takes `read_after`
 * @property {number} [patience] how many times as long as others it may take
 * @property {boolean} [streams] its answer is read as it is made
 * @property {AbortSignal | undefined} [signal]
 */

/** The requests of one caller to one server. */
export class Exchange {
  #url;
  #key;
  #subject;
  #fetch;
  #timeoutSeconds;
  /** @type {SignIn | null} */
  #signIn = null;
  retrySeconds;
  written = new Written();

  /** @param {Options} options */
  constructor({ url, key, username, password, subject, retrySeconds = 60, timeoutSeconds = 30, ...more }) {
    if ((username === undefined) !== (password === undefined) || (key && username !== undefined)) {
      throw new TypeError("give a key, or a username with its password, or neither");
    }
    this.#url = url.replace(/\/+$/, "");
    this.#key = key;
    this.#subject = subject;
    this.#fetch = more.fetch ?? ((input, init) => fetch(input, init));
    this.#timeoutSeconds = timeoutSeconds;
    this.retrySeconds = retrySeconds;
    if (username !== undefined && password !== undefined) {
      this.#signIn = new SignIn({ username, password }, (path, body) => this.#post(path, body));
    }
  }

  /**
   * Send a call until its outcome is known, and return what it answers.
   * @param {Call} call
   */
  async send(call) {
    const patience = new Patience(this.retrySeconds);
    for (;;) {
      try {
        const text = await read(await this.open(call));
        const answer = text ? JSON.parse(text) : null;
        if (call.key !== undefined) this.written.note(answer);
        return answer;
      } catch (error) {
        await this.recover(known(error), patience, call);
      }
    }
  }

  /**
   * Wait before the next attempt. Throws where there is none.
   * @param {NoAnswer | Problem} failure
   * @param {Patience} patience
   * @param {Call} call
   */
  async recover(failure, patience, call) {
    if (failure instanceof Problem && failure.status === 410) this.written.forget();
    const isRepeatable = call.method === "GET" || call.key !== undefined;
    await patience.pause(failure, { isRepeatable, key: call.key, signal: call.signal });
  }

  /**
   * Make one attempt; a token that is refused is renewed once.
   * @param {Call} call
   * @returns {Promise<Response>} one that succeeded; its body is to be read
   */
  async open(call) {
    const token = await this.#token();
    try {
      return await this.#attempt(this.#request(call, token), call);
    } catch (error) {
      const isRefused = error instanceof Problem && error.status === 401;
      if (!isRefused || this.#signIn === null) throw error;
      await this.#signIn.renew(token);
      return this.#attempt(this.#request(call, await this.#token()), call);
    }
  }

  /**
   * Send once what needs no token.
   * @param {string} path
   * @param {object} body
   */
  async #post(path, body) {
    const response = await this.#attempt(this.#request({ method: "POST", path, body }, null), {});
    return JSON.parse(await read(response));
  }

  async #token() {
    if (this.#signIn !== null) return this.#signIn.token();
    return (typeof this.#key === "function" ? await this.#key() : this.#key) ?? null;
  }

  /**
   * @param {Call} call
   * @param {string | null} token
   */
  #request({ method, path, query = {}, body, headers = {}, key, awaitsWrites }, token) {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== null && value !== undefined) search.append(name, String(value));
    }
    if (awaitsWrites) for (const id of this.written.ids) search.append("read_after", String(id));
    const told = new Headers(headers);
    if (body !== undefined) told.set("Content-Type", "application/json");
    if (key !== undefined) told.set("Idempotency-Key", key);
    if (token !== null) told.set("Authorization", `Bearer ${token}`);
    if (this.#subject !== undefined) told.set("Verbatim-User", bytes(this.#subject));
    /** @type {RequestInit} */
    const init = { method, headers: told, cache: "no-store" };
    if (body !== undefined) init.body = JSON.stringify(body);
    return { url: `${this.#url}${path}${search.size ? `?${search}` : ""}`, init };
  }

  /**
   * @param {{url: string, init: RequestInit}} request
   * @param {Pick<Call, "patience" | "streams" | "signal">} call
   */
  async #attempt({ url, init }, { patience = 1, streams = false, signal }) {
    const timeout = AbortSignal.timeout(this.#timeoutSeconds * patience * 1000);
    // A stream may go on for as long as it says something: who reads it looks at that.
    const limits = [signal, streams ? undefined : timeout].filter((one) => one !== undefined);
    let response;
    try {
      response = await this.#fetch(url, { ...init, signal: AbortSignal.any(limits) });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw new NoAnswer(String(error), error);
    }
    if (!response.ok) throw await Problem.of(response);
    return response;
  }
}

/**
 * Return a failure that may be mended; throw any other.
 * @param {unknown} error
 * @returns {NoAnswer | Problem}
 */
export function known(error) {
  if (error instanceof NoAnswer || error instanceof Problem) return error;
  throw error;
}

/** @param {Response} response */
async function read(response) {
  try {
    return await response.text();
  } catch (error) {
    throw new NoAnswer(String(error), error);
  }
}

/**
 * A header's value is bytes, of which a text here has one in each unit: those of its UTF-8.
 * @param {string} text
 */
function bytes(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}
