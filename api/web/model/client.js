/**
 * Every call that the ChatBot makes. The session is an httpOnly cookie: no token is ever seen, unless
 * the page around the element gives one.
 */

import { Problem, UNREACHED } from "./problem.js";
import { upload } from "./uploads.js";

/**
 * @import { Change } from "./changes.js"
 * @import { Attachment, Audience, BranchRow, ConversationPage, ConversationRow, HitPage, Key } from "./wire.js"
 * @import { KeyScope, MessagePage, Rating, SharedConversation, SharedLink, SignInSession } from "./wire.js"
 * @import { TagRow, Usage, User } from "./wire.js"
 */

/** Longer than any call but a stream takes. */
const TIMEOUT_SECONDS = 20;

/** @typedef {string | (() => string | Promise<string>)} Token what stands after `Bearer`, or what gives it for each call */

/**
 * @typedef {object} Call
 * @property {unknown} [body] sent as JSON
 * @property {string[]} [lines] sent as JSON lines, in the place of a body
 * @property {boolean} [asksPassword] a 401 may mean that the password is wrong, not that one is signed out
 * @property {string} [key] the idempotency key
 * @property {Record<string, string | number | null | undefined>} [query] null is left out
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal | undefined} [signal]
 * @property {boolean} [outlivesPage]
 */

/**
 * Speaks to one API. Events: `reached` when the server answered, whatever it said, and
 * `unreached` when it did not; `signedout` when the session is over.
 */
export class Client extends EventTarget {
  #base;
  #token;
  /** The last one: where a page ends there is no time to ask for another. */
  #lastToken = "";

  /**
   * @param {string} base what the API's own paths follow: a path, or another origin; empty at this one's root
   * @param {Token | null} [token] in place of the cookie
   */
  constructor(base, token = null) {
    super();
    this.#base = base.replace(/\/+$/, "");
    this.#token = token;
  }

  /** Whether the page around the element knows who is here: then the account is its business. */
  get isGivenToken() {
    return this.#token !== null;
  }

  /** What tells two APIs on one origin apart, for names in storage. */
  get base() {
    return this.#base;
  }

  /** @returns {Promise<User>} */
  me() {
    return this.#json("GET", "/auth/me");
  }

  /**
   * @param {{username: string, password: string}} who
   * @returns {Promise<User>}
   */
  signIn(who) {
    return this.#json("POST", "/auth/session", { body: who });
  }

  /** @param {{username: string, email: string, password: string}} who */
  register(who) {
    return this.#json("POST", "/auth/register", { body: who });
  }

  signOut() {
    return this.#fetch("DELETE", "/auth/session");
  }

  /**
   * @param {Record<string, string | null>} view which of them, in which order
   * @param {{cursor: string | null, limit: number, readAfter: number | null}} page
   * @returns {Promise<ConversationPage>}
   */
  conversations(view, { cursor, limit, readAfter }) {
    const query = { ...view, cursor, limit, read_after: readAfter };
    return this.#json("GET", "/api/conversations/", { query });
  }

  /**
   * @param {number | null} readAfter
   * @returns {Promise<TagRow[]>} of conversations that are not archived, the most used first
   */
  async tags(readAfter) {
    const query = { archived: "false", read_after: readAfter };
    return (await this.#json("GET", "/api/tags", { query })).tags;
  }

  /**
   * @param {number} conversation
   * @returns {Promise<ConversationRow>}
   */
  conversation(conversation) {
    return this.#json("GET", `/api/conversations/${conversation}`);
  }

  /**
   * @param {string} q
   * @param {string | null} cursor
   * @param {Record<string, string | null>} [where] which conversations
   * @returns {Promise<HitPage>}
   */
  search(q, cursor, where = {}) {
    return this.#json("GET", "/api/search", { query: { ...where, q, cursor } });
  }

  /**
   * @param {number} conversation
   * @param {{before?: number, after?: number, limit: number, readAfter?: number | null}} page
   * @param {AbortSignal} [signal]
   * @returns {Promise<MessagePage>} oldest first
   */
  messages(conversation, { before, after, limit, readAfter }, signal) {
    const query = { before, after, limit, read_after: readAfter };
    return this.#json("GET", `/api/conversations/${conversation}/messages`, { query, signal });
  }

  /**
   * @param {number} conversation
   * @param {Change & {title?: string}} change
   * @param {string} key
   * @returns {Promise<{entry_id: number}>}
   */
  change(conversation, change, key) {
    return this.#json("PATCH", `/api/conversations/${conversation}`, { body: change, key });
  }

  /**
   * @param {number} conversation
   * @param {string} key
   * @param {{outlivesPage?: boolean}} [how]
   * @returns {Promise<{entry_id: number}>}
   */
  remove(conversation, key, how = {}) {
    return this.#json("DELETE", `/api/conversations/${conversation}`, { key, ...how });
  }

  /**
   * @param {string} key
   * @param {AbortSignal} [signal]
   * @returns {Promise<{conversationId: number}>}
   */
  startChat(key, signal) {
    return this.#json("POST", "/api/chat/start", { key, signal });
  }

  /**
   * Say something. The answer comes as an event stream, or as JSON from a server without streams.
   * @param {number} conversation
   * @param {string} message
   * @param {string} key
   * @param {AbortSignal} signal
   * @param {{replaces: number | null, attachments: Attachment[]}} how the message in whose place this
   *   one comes, and its files
   */
  say(conversation, message, key, signal, { replaces, attachments }) {
    const headers = { Accept: "text/event-stream, application/json;q=0.5" };
    const path = `${chatPath(conversation)}/message`;
    const body = {
      message,
      ...(replaces === null ? {} : { replaces }),
      ...(attachments.length ? { attachments } : {}),
    };
    return this.#fetch("POST", path, { body, key, headers, signal });
  }

  /**
   * Go on with a turn's events after one of them. 204: there is nothing to tell.
   * @param {number} conversation
   * @param {number} turn
   * @param {string} lastEventId empty for all of them
   * @param {AbortSignal} signal
   */
  resume(conversation, turn, lastEventId, signal) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream" };
    if (lastEventId) headers["Last-Event-ID"] = lastEventId;
    return this.#fetch("GET", `${chatPath(conversation)}/stream`, { query: { turn }, headers, signal });
  }

  /**
   * @param {number} conversation
   * @param {AbortSignal} [signal]
   * @returns {Promise<{turns: {messageId: number}[]}>}
   */
  runningTurns(conversation, signal) {
    return this.#json("GET", `${chatPath(conversation)}/turns`, { signal });
  }

  /**
   * @param {number} conversation
   * @param {number} turn
   */
  stop(conversation, turn) {
    return this.#json("POST", `${chatPath(conversation)}/stop`, { body: { turn } });
  }

  /**
   * @param {number} conversation
   * @param {AbortSignal} signal
   * @returns {Promise<{branches: BranchRow[]}>}
   */
  branches(conversation, signal) {
    return this.#json("GET", `/api/conversations/${conversation}/branches`, { signal });
  }

  /**
   * Show a branch in the place of what is there now.
   * @param {number} conversation
   * @param {number} branch
   * @param {string} key
   * @returns {Promise<{entry_id: number}>}
   */
  switchTo(conversation, branch, key) {
    return this.#json("POST", `/api/conversations/${conversation}/branches/${branch}/switch`, { key });
  }

  /**
   * @param {number} conversation
   * @param {number} message
   * @param {Rating | null} rating null takes it back
   * @param {string | null} comment
   * @returns {Promise<{entry_id: number}>}
   */
  rate(conversation, message, rating, comment) {
    const path = `/api/conversations/${conversation}/messages/${message}/feedback`;
    if (rating === null) return this.#json("DELETE", path);
    return this.#json("PUT", path, { body: comment === null ? { rating } : { rating, comment } });
  }

  /**
   * @param {number} conversation
   * @param {{audience: Audience, expires_in_days: number}} how
   * @returns {Promise<SharedLink & {link: string}>} with the path of its page
   */
  share(conversation, how) {
    return this.#json("POST", `/api/conversations/${conversation}/share`, { body: how });
  }

  /** @returns {Promise<SharedLink[]>} the latest first */
  async shares() {
    return (await this.#json("GET", "/api/shares")).links;
  }

  /** @param {string} id */
  revokeShare(id) {
    return this.#fetch("DELETE", `/api/shares/${id}`);
  }

  /**
   * @param {string} secret
   * @returns {Promise<SharedConversation>}
   */
  shared(secret) {
    return this.#json("GET", `/api/shared/${encodeURIComponent(secret)}`);
  }

  /**
   * @param {string} secret
   * @returns {Promise<{id: number}>}
   */
  importShared(secret) {
    return this.#json("POST", `/api/shared/${encodeURIComponent(secret)}/import`);
  }

  /**
   * @param {string} current_password
   * @param {string} new_password
   * @returns {Promise<User>} all other sessions are over
   */
  changePassword(current_password, new_password) {
    const body = { current_password, new_password };
    return this.#json("POST", "/auth/session/password", { body, asksPassword: true });
  }

  /**
   * @param {number | null} expires_in_days
   * @returns {Promise<User>}
   */
  changeAccount(expires_in_days) {
    return this.#json("PATCH", "/auth/me", { body: { expires_in_days } });
  }

  /**
   * @param {string} username
   * @param {string} password
   * @returns {Promise<User>}
   */
  changeName(username, password) {
    return this.#json("POST", "/auth/me/name", { body: { username, password }, asksPassword: true });
  }

  /** @returns {Promise<Usage>} of the last 30 days */
  usage() {
    return this.#json("GET", "/api/usage");
  }

  /** @param {string} password */
  deleteAccount(password) {
    return this.#fetch("POST", "/auth/me/delete", { body: { password }, asksPassword: true });
  }

  /** @returns {Promise<SignInSession[]>} the last renewed one first */
  async sessions() {
    return (await this.#json("GET", "/auth/sessions")).sessions;
  }

  /** @param {string} id */
  endSession(id) {
    return this.#fetch("DELETE", `/auth/sessions/${id}`);
  }

  endOtherSessions() {
    return this.#fetch("DELETE", "/auth/sessions");
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<Response>} JSON lines: a conversation each, and the end
   */
  export(signal) {
    return this.#fetch("GET", "/api/export", { query: { form: "conversations" }, signal });
  }

  /**
   * @param {number} conversation
   * @param {number | null} readAfter
   * @returns {Promise<Response>} a Markdown document
   */
  exportConversation(conversation, readAfter) {
    const query = { form: "markdown", read_after: readAfter };
    return this.#fetch("GET", `/api/conversations/${conversation}/export`, { query });
  }

  /**
   * @param {string[]} lines JSON, a conversation each
   * @param {AbortSignal} signal
   * @returns {Promise<Response>} JSON lines: what became of each
   */
  import(lines, signal) {
    return this.#fetch("POST", "/api/import", { lines, signal });
  }

  /**
   * @param {File} file
   * @param {(share: number) => void} progress from 0 to 1
   * @param {AbortSignal} signal
   */
  async upload(file, progress, signal) {
    const url = `${this.#base}/api/assets${search({ name: file.name || "file" })}`;
    try {
      const uploaded = await upload(url, file, progress, signal);
      this.dispatchEvent(new Event("reached"));
      return uploaded;
    } catch (error) {
      if (error instanceof Problem) {
        this.dispatchEvent(new Event(error.status === UNREACHED ? "unreached" : "reached"));
        if (error.status === 401) this.dispatchEvent(new Event("signedout"));
      }
      throw error;
    }
  }

  /** @param {string} asset */
  urlOf(asset) {
    return `${this.#base}/api/assets/${asset}`;
  }

  /** @returns {Promise<Key[]>} oldest first */
  async keys() {
    return (await this.#json("GET", "/auth/keys")).keys;
  }

  /**
   * @param {{name: string, scopes: KeyScope[], acts_for: "self" | "subjects"}} key
   * @returns {Promise<Key & {key: string}>} with its secret
   */
  makeKey(key) {
    return this.#json("POST", "/auth/keys", { body: key });
  }

  /** @param {string} id */
  revokeKey(id) {
    return this.#fetch("DELETE", `/auth/keys/${id}`);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Call} [call]
   */
  async #json(method, path, call = {}) {
    const timeout = AbortSignal.timeout(TIMEOUT_SECONDS * 1000);
    const signal = call.signal ? AbortSignal.any([call.signal, timeout]) : timeout;
    const response = await this.#fetch(method, path, { ...call, signal });
    return response.json();
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Call} [call]
   */
  async #fetch(method, path, { body, lines, key, query, headers, signal, outlivesPage, asksPassword } = {}) {
    const authorization = this.#token === null ? {} : await this.#authorization(outlivesPage ?? false);
    const type = lines ? "application/x-ndjson" : body === undefined ? null : "application/json";
    const response = await this.#reach(`${this.#base}${path}${search(query)}`, {
      method,
      headers: {
        Accept: "application/json",
        ...(type ? { "Content-Type": type } : {}),
        ...(key === undefined ? {} : { "Idempotency-Key": key }),
        ...authorization,
        ...headers,
      },
      body: lines ? lines.join("\n") : body === undefined ? null : JSON.stringify(body),
      credentials: this.#token === null ? "same-origin" : "omit",
      cache: "no-store",
      keepalive: outlivesPage ?? false,
      signal: signal ?? null,
    });
    const problem = response.ok ? null : await Problem.of(response);
    this.dispatchEvent(new Event(problem?.status === UNREACHED ? "unreached" : "reached"));
    if (!problem) return response;
    if (problem.status === 401 && !asksPassword) this.dispatchEvent(new Event("signedout"));
    throw problem;
  }

  /** @param {boolean} isInHaste */
  async #authorization(isInHaste) {
    const token = this.#token;
    try {
      if (typeof token === "string") this.#lastToken = token;
      else if (!isInHaste) this.#lastToken = (await token?.()) ?? "";
    } catch (error) {
      this.dispatchEvent(new Event("unreached"));
      throw new Problem(UNREACHED, String(error));
    }
    return { Authorization: ["Bearer", this.#lastToken].join(" ") };
  }

  /**
   * @param {string} url
   * @param {RequestInit} request
   */
  async #reach(url, request) {
    try {
      return await fetch(url, request);
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      this.dispatchEvent(new Event("unreached"));
      throw new Problem(UNREACHED, String(error));
    }
  }
}

/** @param {number} conversation */
function chatPath(conversation) {
  return `/api/chat/sess_${conversation.toString(16)}`;
}

/** @param {Call["query"]} query */
function search(query = {}) {
  const known = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(known.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text}`;
}
