/** A store for who calls `streamText` themselves: chats as they are in the AI SDK, kept by the server. */

import { Chats, statusOf } from "./chats.js";
import { modelMessageOf, nameOf, storedForm, storedModelForm, uiMessageOf } from "./messages.js";

/** @import { Client, Message, NewMessage } from "@verbatim/client" */
/** @import { ModelMessage, UIMessage } from "./types.js" */

/** Who saves at the same moment as another looks again, so many times. */
const ATTEMPTS = 6;
const PAUSE_MS = 50;
/** Another message is the last one by now, or what is to be cut off is gone. */
const OVERTAKEN = new Set([404, 409]);
/** As many messages are compared at a time, from the latest on. */
const PAGE = 10;
const BATCH_MOST = 100;
/** Characters of a batch: a request has at most 1 MiB. */
const BATCH_LENGTH = 200_000;

/** Chats by their ids, which may be any texts. */
export class VerbatimStore {
  #client;
  #chats;

  /** @param {{client: Client}} options */
  constructor({ client }) {
    this.#client = client;
    this.#chats = new Chats(client);
  }

  /**
   * The messages of a chat, oldest first; none of one that is not known.
   * @param {string} chatId
   * @returns {Promise<UIMessage[]>}
   */
  load(chatId) {
    return this.#all(chatId, uiMessageOf);
  }

  /**
   * The same for a model: what `append` was given, and the words of all else.
   * @param {string} chatId
   * @returns {Promise<ModelMessage[]>}
   */
  loadModel(chatId) {
    return this.#all(chatId, modelMessageOf);
  }

  /**
   * Have a chat be these messages. What is there already stays, what is new is added, and what is no
   * more is put aside as a branch. Saving the same again changes nothing.
   * @param {{chatId: string, messages: UIMessage[]}} chat all its messages, oldest first
   */
  async save({ chatId, messages }) {
    const { conversation } = await this.#chats.open(chatId);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#save(conversation, messages);
      } catch (error) {
        if (!OVERTAKEN.has(statusOf(error) ?? 0) || attempt === ATTEMPTS) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 2 ** attempt));
      }
    }
  }

  /**
   * Add messages of a model's, such as the `response.messages` of `streamText`: all of them or none
   * where they are up to 100, with an idempotency key once however often they are sent.
   * @param {{chatId: string, messages: ModelMessage[], idempotencyKey?: string}} added
   */
  async append({ chatId, messages, idempotencyKey }) {
    const { conversation } = await this.#chats.open(chatId);
    let number = 0;
    for (const batch of batchesOf(messages.map(storedModelForm))) {
      const key = idempotencyKey && (number++ === 0 ? idempotencyKey : `${idempotencyKey}-${number}`);
      await this.#client.addMessages(conversation, batch, key ? { idempotencyKey: key } : {});
    }
  }

  /**
   * @template T
   * @param {string} chatId
   * @param {(message: Message) => T | null} shown
   * @returns {Promise<T[]>}
   */
  async #all(chatId, shown) {
    const chat = await this.#chats.find(chatId);
    const found = [];
    if (chat) for await (const message of this.#client.messages(chat.conversation)) found.push(shown(message));
    return found.filter((message) => message !== null);
  }

  /**
   * @param {number} conversation
   * @param {UIMessage[]} messages
   */
  async #save(conversation, messages) {
    const forms = messages.map(storedForm);
    let { kept, keptId, beyond } = await this.#compared(conversation, messages, forms);
    const ifLast = beyond.at(-1)?.id ?? keptId;
    const [next] = beyond;
    const form = forms[kept];
    if (next && form && next.role === "assistant" && isCalled(next, messages[kept])) {
      // An answer that went on, such as after a tool's result.
      const { content = "", extra = null } = form;
      await this.#client.putMessage(conversation, next.id, { content, extra }, { ifLast });
      [kept, keptId, beyond] = [kept + 1, next.id, beyond.slice(1)];
    }
    if (beyond[0]) await this.#client.truncate(conversation, beyond[0].id, { keep: true, ifLast });
    for (const batch of batchesOf(forms.slice(kept))) {
      const added = await this.#client.addMessages(conversation, batch, { ifLast: keptId });
      keptId = added.messages.at(-1)?.id ?? keptId;
    }
  }

  /**
   * Look from the latest message on for one that is still as it was.
   * @param {number} conversation
   * @param {UIMessage[]} messages
   * @param {NewMessage[]} forms
   * @returns {Promise<{kept: number, keptId: number, beyond: Message[]}>} how many of `messages` are
   *   stored, the id of the last of them (0: none), and what is stored beyond them, oldest first
   */
  async #compared(conversation, messages, forms) {
    const places = new Map(messages.map((message, place) => [message.id, place]));
    /** @type {Message[]} */
    const beyond = [];
    for await (const stored of this.#client.latestMessages(conversation, { pageSize: PAGE })) {
      const place = places.get(nameOf(stored));
      if (place !== undefined && isSame(stored, forms[place])) return { kept: place + 1, keptId: stored.id, beyond };
      beyond.unshift(stored);
    }
    return { kept: 0, keptId: 0, beyond };
  }
}

/**
 * @param {Message} stored
 * @param {NewMessage | undefined} form
 */
function isSame({ role, content, extra }, form) {
  return role === form?.role && content === form.content && JSON.stringify(extra) === JSON.stringify(form.extra);
}

/**
 * @param {Message} stored
 * @param {UIMessage | undefined} message
 */
function isCalled(stored, message) {
  return message !== undefined && message.role === stored.role && nameOf(stored) === message.id;
}

/**
 * @param {NewMessage[]} messages
 * @returns {Generator<NewMessage[], void, undefined>}
 */
function* batchesOf(messages) {
  /** @type {NewMessage[]} */
  let batch = [];
  let length = 0;
  for (const message of messages) {
    const more = JSON.stringify(message).length;
    if (batch.length === BATCH_MOST || (batch.length > 0 && length + more > BATCH_LENGTH)) {
      yield batch;
      batch = [];
      length = 0;
    }
    batch.push(message);
    length += more;
  }
  if (batch.length > 0) yield batch;
}
