/** A client of one server, for one caller. */

import { Exchange } from "./exchange.js";
import { streamed } from "./stream.js";

/** @import { Options } from "./exchange.js" */
/** @import { AcceptedBatch, AcceptedMessage, ApiKey, Branch, Change, ChatAnswer, ChatSession, Conversation, Hit, Json, Message, NewMessage, Reference, Role, RunningTurn, SaidMessage, User } from "./types.js" */

/** An answer that is not streamed may take a model minutes. */
const PATIENCE = 10;

/**
 * @typedef {object} Write
 * @property {string} [idempotencyKey] one of its own unless it is given
 * @property {AbortSignal} [signal]
 */

/** @typedef {Write & {ifLast?: number}} Guarded `ifLast`: the id that the last message must have, 0 for none */

/**
 * Every write has an idempotency key of its own and is repeated until its outcome is known, so it
 * happens once. A read includes what the same client has written before. Lists are async iterables.
 */
export class Client {
  #exchange;
  #options;
  /** @type {Map<string, Client>} */
  #subjects = new Map();

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#exchange = new Exchange(options);
  }

  /**
   * A client that acts for another person; for the same one, the same client.
   * @param {string} subject
   */
  actingFor(subject) {
    const known = this.#subjects.get(subject) ?? new Client({ ...this.#options, subject });
    known.#subjects = this.#subjects;
    this.#subjects.delete(subject);
    this.#subjects.set(subject, known);
    for (const oldest of this.#subjects.keys()) {
      if (this.#subjects.size <= MOST_SUBJECTS) break;
      this.#subjects.delete(oldest);
    }
    return known;
  }

  /** @returns {Promise<User>} */
  me() {
    return this.#get("/auth/me");
  }

  /**
   * Make an API key; with `acts_for: "subjects"` it acts for people of the program's own.
   * @param {{name: string, scopes?: string[], acts_for?: "self" | "subjects"}} wanted
   * @returns {Promise<ApiKey & {key: string}>} with its secret
   */
  makeKey(wanted) {
    return this.#exchange.send({ method: "POST", path: "/auth/keys", body: wanted });
  }

  /** @returns {Promise<ApiKey[]>} oldest first */
  async keys() {
    return (await this.#get("/auth/keys")).keys;
  }

  /** @param {string} id */
  async revokeKey(id) {
    await this.#exchange.send({ method: "DELETE", path: `/auth/keys/${id}` });
  }

  /**
   * Open a conversation, or return the one that has this `external_id` already, as it is.
   * @param {{title?: string, external_id?: string, metadata?: Json, tags?: string[], expires_in_days?: number, created_at?: string}} [wanted]
   * @param {Write} [how]
   * @returns {Promise<Conversation>}
   */
  openConversation(wanted = {}, how = {}) {
    return this.#write("POST", CONVERSATIONS, how, { body: wanted });
  }

  /**
   * @param {Reference} conversation
   * @returns {Promise<Conversation>}
   */
  conversation(conversation) {
    return this.#get(path(conversation));
  }

  /**
   * Go through all conversations; `q` is looked for in titles.
   * @param {{q?: string, tag?: string, archived?: boolean, pinned?: boolean, sort?: "created_at" | "updated_at", order?: "asc" | "desc", pageSize?: number}} [filter]
   * @returns {AsyncGenerator<Conversation, void, undefined>}
   */
  conversations({ pageSize = 100, ...filter } = {}) {
    return this.#pages(CONVERSATIONS, { ...filter, limit: pageSize }, "conversations");
  }

  /**
   * Change what is given; null removes, and what is left out stays.
   * @param {Reference} conversation
   * @param {{title?: string, metadata?: Json | null, tags?: string[], archived?: boolean, pinned?: boolean, expires_in_days?: number | null}} change
   * @param {Write} [how]
   * @returns {Promise<Change>}
   */
  changeConversation(conversation, change, how = {}) {
    return this.#write("PATCH", path(conversation), how, { body: change });
  }

  /**
   * @param {Reference} conversation
   * @param {Write} [how]
   * @returns {Promise<Change>}
   */
  deleteConversation(conversation, how = {}) {
    return this.#write("DELETE", path(conversation), how);
  }

  /**
   * Open a conversation with copies of another's messages, up to a position.
   * @param {Reference} conversation
   * @param {number} position
   * @param {Write & {title?: string}} [how]
   * @returns {Promise<Conversation>}
   */
  fork(conversation, position, { title, ...how } = {}) {
    return this.#write("POST", `${path(conversation)}/fork`, how, { body: { position, title } });
  }

  /**
   * What is aside of a conversation.
   * @param {Reference} conversation
   * @returns {Promise<Branch[]>}
   */
  async branches(conversation) {
    return (await this.#get(`${path(conversation)}/branches`)).branches;
  }

  /**
   * Bring a branch back, and put aside what is in its place.
   * @param {Reference} conversation
   * @param {number} branch
   * @param {Guarded} [how]
   * @returns {Promise<Change>}
   */
  switchTo(conversation, branch, how = {}) {
    return this.#write("POST", `${path(conversation)}/branches/${branch}/switch`, how);
  }

  /**
   * @param {Reference} conversation
   * @param {NewMessage} message
   * @param {Guarded} [how]
   * @returns {Promise<AcceptedMessage>}
   */
  addMessage(conversation, message, how = {}) {
    return this.#write("POST", path(conversation, "messages"), how, { body: message });
  }

  /**
   * Add 1 to 100 messages: all of them, in this order with nothing between them, or none.
   * @param {Reference} conversation
   * @param {NewMessage[]} messages
   * @param {Guarded} [how]
   * @returns {Promise<AcceptedBatch>}
   */
  addMessages(conversation, messages, how = {}) {
    return this.#write("POST", path(conversation, "messages/batch"), how, { body: { messages } });
  }

  /**
   * Go through a conversation's messages, oldest first, from after a position on.
   * @param {Reference} conversation
   * @param {{after?: number, extra?: boolean, pageSize?: number}} [from]
   * @returns {AsyncGenerator<Message, void, undefined>}
   */
  async *messages(conversation, { after = 0, extra = true, pageSize = 100 } = {}) {
    for (let last = after; ; ) {
      const query = { after: last, extra, limit: pageSize };
      /** @type {{messages: Message[], total: number}} */
      const page = await this.#get(path(conversation, "messages"), query);
      yield* page.messages;
      const end = page.messages.at(-1);
      if (end === undefined || end.position >= page.total) return;
      last = end.position;
    }
  }

  /**
   * Go through a conversation's messages, newest first, from before a position on.
   * @param {Reference} conversation
   * @param {{before?: number, extra?: boolean, pageSize?: number}} [from]
   * @returns {AsyncGenerator<Message, void, undefined>}
   */
  async *latestMessages(conversation, { before, extra = true, pageSize = 100 } = {}) {
    for (let first = before; ; ) {
      const query = { before: first, order: "desc", extra, limit: pageSize };
      /** @type {{messages: Message[]}} */
      const page = await this.#get(path(conversation, "messages"), query);
      yield* page.messages;
      first = page.messages.at(-1)?.position;
      if (first === undefined || first === 1) return;
    }
  }

  /**
   * The message with one's own id, or null.
   * @param {Reference} conversation
   * @param {string} externalId
   * @returns {Promise<Message | null>}
   */
  async findMessage(conversation, externalId) {
    const query = { external_id: externalId };
    return (await this.#get(path(conversation, "messages"), query)).messages[0] ?? null;
  }

  /**
   * Change a message's text, its `extra`, or both; an `extra` of null removes it.
   * @param {Reference} conversation
   * @param {Reference} message
   * @param {{content?: string, extra?: Json | null}} change
   * @param {Guarded} [how]
   * @returns {Promise<Change>}
   */
  putMessage(conversation, message, change, how = {}) {
    return this.#write("PUT", path(conversation, "messages", message), how, { body: change });
  }

  /**
   * Empty one message; its place stays, with the status `deleted`.
   * @param {Reference} conversation
   * @param {Reference} message
   * @param {Guarded} [how]
   * @returns {Promise<Change>}
   */
  deleteMessage(conversation, message, how = {}) {
    return this.#write("DELETE", path(conversation, "messages", message), how);
  }

  /**
   * Cut off a message and all after it; `keep` puts them aside as a branch.
   * @param {Reference} conversation
   * @param {Reference} message
   * @param {Guarded & {keep?: boolean}} [how]
   * @returns {Promise<Change>}
   */
  truncate(conversation, message, { keep = false, ...how } = {}) {
    const query = { after: true, keep };
    return this.#write("DELETE", path(conversation, "messages", message), how, { query });
  }

  /**
   * Go through the messages, and titles, that have all words of `q`.
   * @param {string} q
   * @param {{role?: Role, conversation?: number, from?: string, to?: string, tag?: string, archived?: boolean, order?: "relevance" | "time", pageSize?: number}} [filter]
   * @returns {AsyncGenerator<Hit, void, undefined>}
   */
  search(q, { pageSize = 50, ...filter } = {}) {
    return this.#pages("/api/search", { q, ...filter, limit: pageSize }, "hits");
  }

  /**
   * Start a chat session, which is a conversation too.
   * @param {Write} [how]
   * @returns {Promise<ChatSession>}
   */
  startChat(how = {}) {
    return this.#write("POST", "/api/chat/start", how);
  }

  /**
   * Say something to the assistant, perhaps in place of a message, and return its answer. `extra` is
   * stored with the message.
   * @param {string} sessionId
   * @param {string} message
   * @param {Write & {replaces?: number, extra?: Json}} [how]
   * @returns {Promise<ChatAnswer>}
   */
  say(sessionId, message, { replaces, extra, ...how } = {}) {
    const call = { body: { message, extra, replaces }, patience: PATIENCE };
    return this.#write("POST", chat(sessionId, "message"), how, call);
  }

  /**
   * Have the last message answered again; the answer that was there stays as a branch.
   * @param {string} sessionId
   * @param {Write} [how]
   * @returns {Promise<ChatAnswer>}
   */
  regenerate(sessionId, how = {}) {
    return this.#write("POST", chat(sessionId, "regenerate"), how, { patience: PATIENCE });
  }

  /**
   * Say something and get the answer as it is made, with its parts if wanted. It is finished and
   * stored though nobody reads on.
   * @param {string} sessionId
   * @param {string} message
   * @param {Write & {replaces?: number, extra?: Json, parts?: boolean}} [how]
   */
  stream(sessionId, message, { replaces, extra, parts, ...how } = {}) {
    const call = { body: { message, extra, replaces }, query: { parts } };
    return streamed(this.#exchange, keyed("POST", chat(sessionId, "message"), how, call));
  }

  /**
   * Have the last message answered again, and get the answer as it is made.
   * @param {string} sessionId
   * @param {Write & {parts?: boolean}} [how]
   */
  streamRegenerated(sessionId, { parts, ...how } = {}) {
    const call = { query: { parts } };
    return streamed(this.#exchange, keyed("POST", chat(sessionId, "regenerate"), how, call));
  }

  /**
   * Watch a turn from its beginning, running or finished; nothing if nothing is known of it.
   * @param {string} sessionId
   * @param {number} turn the id of the turn's message
   * @param {{parts?: boolean, signal?: AbortSignal}} [how]
   */
  watch(sessionId, turn, { parts, signal } = {}) {
    const query = { turn, parts };
    return streamed(this.#exchange, { method: "GET", path: chat(sessionId, "stream"), query, signal });
  }

  /**
   * The streamed turns that are running. Reads after it include their messages.
   * @param {string} sessionId
   * @returns {Promise<RunningTurn[]>}
   */
  async turns(sessionId) {
    /** @type {{turns: RunningTurn[]}} */
    const { turns } = await this.#exchange.send({ method: "GET", path: chat(sessionId, "turns") });
    for (const turn of turns) this.#exchange.written.note(turn);
    return turns;
  }

  /**
   * Stop a turn, or all of the session's.
   * @param {string} sessionId
   * @param {number} [turn]
   * @returns {Promise<number[]>} those that were asked to stop
   */
  async stop(sessionId, turn) {
    const body = turn === undefined ? {} : { turn };
    return (await this.#exchange.send({ method: "POST", path: chat(sessionId, "stop"), body })).stopped;
  }

  /**
   * Go through what the user and the assistant said, oldest first.
   * @param {string} sessionId
   * @param {{pageSize?: number}} [how]
   * @returns {AsyncGenerator<SaidMessage, void, undefined>}
   */
  async *history(sessionId, { pageSize = 100 } = {}) {
    for (let offset = 0; ; ) {
      /** @type {{messages: SaidMessage[], totalCount: number}} */
      const page = await this.#get(chat(sessionId, "history"), { offset, limit: pageSize });
      yield* page.messages;
      offset += page.messages.length;
      if (page.messages.length === 0 || offset >= page.totalCount) return;
    }
  }

  /**
   * End a session: it takes no more messages, and its history stays readable.
   * @param {string} sessionId
   * @param {Write} [how]
   * @returns {Promise<{message: string, sessionId: string, entryId: number}>}
   */
  endChat(sessionId, how = {}) {
    return this.#write("DELETE", `/api/chat/${sessionId}`, how);
  }

  /**
   * @param {string} path
   * @param {Call["query"]} [query]
   */
  #get(path, query = {}) {
    return this.#exchange.send({ method: "GET", path, query, awaitsWrites: path.startsWith("/api/") });
  }

  /**
   * @param {string} path
   * @param {Call["query"]} query
   * @param {string} items
   */
  async *#pages(path, query, items) {
    for (let cursor = null; ; ) {
      const page = await this.#get(path, { ...query, cursor });
      yield* page[items];
      cursor = page.next_cursor;
      if (cursor === null) return;
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Guarded} how
   * @param {Partial<Call>} [call]
   */
  #write(method, path, how, call = {}) {
    return this.#exchange.send(keyed(method, path, how, call));
  }
}

/** @import { Call } from "./exchange.js" */

const CONVERSATIONS = "/api/conversations/";
/** Above it, whoever was named longest ago is forgotten. */
const MOST_SUBJECTS = 10_000;

/**
 * @param {Reference} reference
 */
function segment(reference) {
  return typeof reference === "number" ? String(reference) : `ext:${encodeURIComponent(reference)}`;
}

/**
 * @param {Reference} conversation
 * @param {string} [below]
 * @param {Reference} [message]
 */
function path(conversation, below, message) {
  const whole = CONVERSATIONS + segment(conversation) + (below ? `/${below}` : "");
  return message === undefined ? whole : `${whole}/${segment(message)}`;
}

/**
 * @param {string} sessionId
 * @param {string} below
 */
function chat(sessionId, below) {
  return `/api/chat/${sessionId}/${below}`;
}

/**
 * A write of chat data, with a key of its own unless one is given.
 * @param {string} method
 * @param {string} path
 * @param {Guarded} how
 * @param {Partial<Call>} call
 * @returns {Call}
 */
function keyed(method, path, { idempotencyKey, ifLast, signal }, call) {
  /** @type {Record<string, string>} */
  const headers = ifLast === undefined ? {} : { "If-Last": String(ifLast) };
  return { ...call, method, path, headers, key: idempotencyKey ?? newKey(), signal };
}

/** A new idempotency key; `crypto.randomUUID` exists on secure origins only. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
