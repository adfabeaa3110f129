/** The AI SDK's `ChatTransport`: a chat of `useChat` is a chat of the server's. */

import { chunksOf } from "./chunks.js";
import { Chats } from "./chats.js";
import { chunksOfStored, extraOf, nameOf, textOf, uiMessageOf } from "./messages.js";

/** @import { Client, Message, StreamEvent } from "@verbatim/client" */
/** @import { Chat } from "./chats.js" */
/** @import { Chunk, UIMessage } from "./types.js" */

/**
 * @typedef {object} Sending
 * @property {"submit-message" | "regenerate-message"} trigger
 * @property {string} chatId
 * @property {string | undefined} messageId
 * @property {UIMessage[]} messages
 * @property {AbortSignal | undefined} abortSignal
 */

/** As many messages are looked through at a time for the one that is said anew. */
const PAGE = 20;
/** What a header may have. */
const HEADER = /^[\x20-\x7e]{1,255}$/;

/**
 * The server has the history: of what `useChat` holds only the message that is new is sent. Answers
 * go on, and are stored, when their page is left; `stop` ends one.
 */
export class VerbatimTransport {
  /** An answer that is resumed is sent from its beginning. */
  resumeStreamIsReplay = true;
  #client;
  #stopsOnAbort;
  #chats;
  /** @type {Set<string>} chats whose last message had no answer yet when they were loaded */
  #unanswered = new Set();
  /** @type {Map<string, Promise<void>>} by the chat: fulfilled when what was sent last has its answer, or none */
  #sent = new Map();

  /**
   * @param {object} options
   * @param {Client} options.client
   * @param {boolean} [options.stopsOnAbort] `stop` of `useChat` ends the answer on the server, too; from
   *   `@ai-sdk/react` 4 on, leaving the page's component calls it
   * @param {Record<string, UIMessage[]>} [options.loaded] messages by the id of their chat, where another
   *   transport has loaded them, such as one on the server
   */
  constructor({ client, stopsOnAbort = false, loaded = {} }) {
    this.#client = client;
    this.#stopsOnAbort = stopsOnAbort;
    this.#chats = new Chats(client);
    for (const [chatId, messages] of Object.entries(loaded)) {
      if (messages.at(-1)?.role === "user") this.#unanswered.add(chatId);
    }
  }

  /**
   * The messages of a chat, oldest first, for `useChat`.
   * @param {string} chatId
   * @param {{last?: number}} [wanted] only so many of them, the latest
   * @returns {Promise<UIMessage[]>}
   */
  async load(chatId, { last = Infinity } = {}) {
    this.#unanswered.delete(chatId);
    const chat = await this.#chats.find(chatId);
    if (!chat) return [];
    await this.#client.turns(chat.session); // what is read then includes their messages
    /** @type {Message[]} */
    const stored = [];
    const pageSize = Math.min(last, 100);
    for await (const message of this.#client.latestMessages(chat.conversation, { pageSize })) {
      if (stored.push(message) >= last) break;
    }
    if (stored[0]?.role === "user") this.#unanswered.add(chatId);
    return stored.reverse().map(uiMessageOf).filter((message) => message !== null);
  }

  /**
   * End the answers that are being made in a chat. What they said so far is kept, and their streams
   * end, here and wherever they are shown.
   * @param {string} chatId
   */
  async stop(chatId) {
    const chat = await this.#chats.find(chatId);
    if (chat) await this.#client.stop(chat.session);
  }

  /**
   * Say what is new, or have something answered again. `useChat` calls it.
   * @param {Sending} sending
   * @returns {Promise<ReadableStream<Chunk>>}
   */
  async sendMessages(sending) {
    let end = () => {};
    this.#sent.set(sending.chatId, new Promise((resolve) => (end = resolve)));
    try {
      return streamOf(endingWith(end, await this.#send(sending)));
    } catch (error) {
      end();
      throw error;
    }
  }

  /** @param {Sending} sending */
  async #send({ trigger, chatId, messageId, messages, abortSignal: signal }) {
    const at = messages.findLastIndex((message) => message.role === "user");
    const asked = messages[at];
    const isAnswered = trigger === "submit-message" && messages.at(-1)?.role === "assistant";
    if (asked === undefined || isAnswered) throw new Error("only messages of the user's are answered");
    if (asked.parts.some((part) => part.type === "file")) throw new Error("the assistant takes no files");
    const chat = await this.#chats.open(chatId, signal);
    const isAgain = trigger === "regenerate-message";
    const isNew = !isAgain && messageId === undefined;
    const before = isNew ? null : await this.#find(chat, asked.id, messages.slice(0, at));
    /** @type {NonNullable<Parameters<Client["stream"]>[2]>} */
    const how = { parts: true, extra: extraOf(asked) };
    if (signal) how.signal = signal;
    if (before) how.replaces = before.id;
    if (before?.extra && isAgain) how.extra = before.extra;
    // Sent a second time, by whomever, it is still one message.
    if (!before && (isNew || isAgain) && HEADER.test(asked.id)) how.idempotencyKey = asked.id;
    this.#unanswered.delete(chatId);
    const events = this.#client.stream(chat.session, textOf(asked), how);
    return chunksOf(this.#watched(events, chat, signal));
  }

  /**
   * Go on with the answer that is being made, or that has come since the chat was loaded. `useChat`
   * calls it.
   * @param {{chatId: string, abortSignal?: AbortSignal}} resuming
   * @returns {Promise<ReadableStream<Chunk> | null>} null where there is none
   */
  async reconnectToStream({ chatId, abortSignal: signal }) {
    const before = this.#sent.get(chatId);
    const resumed = await this.#resumed(chatId, signal);
    const sent = this.#sent.get(chatId);
    if (sent === before) return resumed;
    // Something was said meanwhile. Its answer is shown already; told that there is none, a chat would
    // be ready for more.
    await resumed?.cancel();
    await sent;
    return null;
  }

  /**
   * @param {string} chatId
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<ReadableStream<Chunk> | null>}
   */
  async #resumed(chatId, signal) {
    const chat = await this.#chats.find(chatId);
    if (!chat) return null;
    const turns = (await this.#client.turns(chat.session)).map((turn) => turn.messageId);
    if (turns.length === 0) {
      // Asked twice, as React does in its strict mode, it answers twice.
      if (!this.#unanswered.has(chatId)) return null;
      const { value: last } = await this.#client.latestMessages(chat.conversation, { pageSize: 1 }).next();
      if (last?.role === "assistant") return streamOf(chunksOfStored(last));
      // Its answer may have ended and not be readable yet.
      if (last) turns.push(last.id);
    }
    const events = this.#client.watch(chat.session, Math.max(...turns), { parts: true, ...(signal && { signal }) });
    const first = await events.next();
    if (first.done) return null;
    return streamOf(chunksOf(this.#watched(startingWith(first.value, events), chat, signal)));
  }

  /**
   * Find what is stored of a message that is to be said anew; null where it never arrived.
   * @param {Chat} chat
   * @param {string} name
   * @param {UIMessage[]} earlier the messages before it
   * @returns {Promise<Message | null>}
   */
  async #find({ conversation }, name, earlier) {
    const names = new Set(earlier.map((message) => message.id));
    for await (const message of this.#client.latestMessages(conversation, { pageSize: PAGE })) {
      const found = nameOf(message);
      if (found === name && message.role === "user") return message;
      if (names.has(found)) return null;
    }
    return null;
  }

  /**
   * The same events; the turn is stopped when they are aborted, if that is wanted.
   * @param {AsyncIterable<StreamEvent>} events
   * @param {Chat} chat
   * @param {AbortSignal | undefined} signal
   */
  async *#watched(events, { session }, signal) {
    /** @type {number | undefined} */
    let turn;
    const stop = () => void this.#client.stop(session, turn).catch(() => {});
    if (this.#stopsOnAbort) signal?.addEventListener("abort", stop, { once: true });
    try {
      for await (const event of events) {
        if (event.type === "start") turn = event.messageId;
        yield event;
      }
    } finally {
      // What is aborted later has ended.
      if (!signal?.aborted) signal?.removeEventListener("abort", stop);
    }
  }
}

/**
 * @template T
 * @param {T} first
 * @param {AsyncGenerator<T, void, undefined>} rest
 */
async function* startingWith(first, rest) {
  try {
    yield first;
    yield* rest;
  } finally {
    await rest.return(); // also if only the first was wanted
  }
}

/**
 * @template T
 * @param {() => void} end called at the end
 * @param {AsyncIterable<T>} items
 */
async function* endingWith(end, items) {
  try {
    yield* items;
  } finally {
    end();
  }
}

/**
 * @template T
 * @param {AsyncGenerator<T, void, undefined>} items
 * @returns {ReadableStream<T>}
 */
function streamOf(items) {
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await items.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await items.return();
    },
  });
}
