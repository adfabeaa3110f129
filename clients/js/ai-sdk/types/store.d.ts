/** A store for who calls `streamText` themselves: chats as they are in the AI SDK, kept by the server. */
import type { Client } from "@verbatim/client";
import type { ModelMessage, UIMessage } from "./types.js";
/** Chats by their ids, which may be any texts. */
export declare class VerbatimStore {
    #private;
    /** @param {{client: Client}} options */
    constructor({ client }: {
        client: Client;
    });
    /**
     * The messages of a chat, oldest first; none of one that is not known.
     * @param {string} chatId
     * @returns {Promise<UIMessage[]>}
     */
    load(chatId: string): Promise<UIMessage[]>;
    /**
     * The same for a model: what `append` was given, and the words of all else.
     * @param {string} chatId
     * @returns {Promise<ModelMessage[]>}
     */
    loadModel(chatId: string): Promise<ModelMessage[]>;
    /**
     * Have a chat be these messages. What is there already stays, what is new is added, and what is no
     * more is put aside as a branch. Saving the same again changes nothing.
     * @param {{chatId: string, messages: UIMessage[]}} chat all its messages, oldest first
     */
    save({ chatId, messages }: {
        chatId: string;
        messages: UIMessage[];
    }): Promise<void>;
    /**
     * Add messages of a model's, such as the `response.messages` of `streamText`: all of them or none
     * where they are up to 100, with an idempotency key once however often they are sent.
     * @param {{chatId: string, messages: ModelMessage[], idempotencyKey?: string}} added
     */
    append({ chatId, messages, idempotencyKey }: {
        chatId: string;
        messages: ModelMessage[];
        idempotencyKey?: string;
    }): Promise<void>;
}
