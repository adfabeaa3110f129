/** Which conversation a chat of the AI SDK is. */

/** @import { Client } from "@verbatim/client" */

/** @typedef {{conversation: number, session: string}} Chat */

const SESSION = /^sess_([0-9a-f]{1,14})$/;

/**
 * A chat's id is that of a session of the server's, or any text: then it is the external id of a
 * conversation, which is opened with the first message.
 */
export class Chats {
  #client;
  /** @type {Map<string, Chat>} */
  #known = new Map();

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * The chat, opened if it is new.
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<Chat>}
   */
  async open(id, signal) {
    const known = this.#known.get(id) ?? ofSession(id);
    if (known) return known;
    const how = signal ? { signal } : {};
    return this.#keep(id, (await this.#client.openConversation({ external_id: id }, how)).id);
  }

  /**
   * The chat, or null where nothing was said in it.
   * @param {string} id
   * @returns {Promise<Chat | null>}
   */
  async find(id) {
    const known = this.#known.get(id) ?? ofSession(id);
    if (known) return known;
    try {
      return this.#keep(id, (await this.#client.conversation(id)).id);
    } catch (error) {
      if (statusOf(error) === 404) return null;
      throw error;
    }
  }

  /**
   * @param {string} id
   * @param {number} conversation
   */
  #keep(id, conversation) {
    const chat = { conversation, session: `sess_${conversation.toString(16)}` };
    this.#known.set(id, chat);
    return chat;
  }
}

/**
 * The status of what the server refused. By its field: an application may have two copies of the client.
 * @param {unknown} error
 * @returns {number | undefined}
 */
export function statusOf(error) {
  return /** @type {any} */ (error)?.status;
}

/**
 * @param {string} session
 * @returns {Chat | null}
 */
function ofSession(session) {
  const digits = SESSION.exec(session)?.[1];
  return digits ? { conversation: Number.parseInt(digits, 16), session } : null;
}
