/** The AI SDK's `ChatTransport`: a chat of `useChat` is a chat of the server's. */
import type { Client } from "@verbatim/client";
import type { Chunk, UIMessage } from "./types.js";
export type Sending = {
    trigger: "submit-message" | "regenerate-message";
    chatId: string;
    messageId: string | undefined;
    messages: UIMessage[];
    abortSignal: AbortSignal | undefined;
};
/**
 * The server has the history: of what `useChat` holds only the message that is new is sent. Answers
 * go on, and are stored, when their page is left; `stop` ends one.
 */
export declare class VerbatimTransport {
    #private;
    /** An answer that is resumed is sent from its beginning. */
    resumeStreamIsReplay: boolean;
    /**
     * @param {object} options
     * @param {Client} options.client
     * @param {boolean} [options.stopsOnAbort] `stop` of `useChat` ends the answer on the server, too; from
     *   `@ai-sdk/react` 4 on, leaving the page's component calls it
     * @param {Record<string, UIMessage[]>} [options.loaded] messages by the id of their chat, where another
     *   transport has loaded them, such as one on the server
     */
    constructor({ client, stopsOnAbort, loaded }: {
        client: Client;
        stopsOnAbort?: boolean;
        loaded?: Record<string, UIMessage[]>;
    });
    /**
     * The messages of a chat, oldest first, for `useChat`.
     * @param {string} chatId
     * @param {{last?: number}} [wanted] only so many of them, the latest
     * @returns {Promise<UIMessage[]>}
     */
    load(chatId: string, { last }?: {
        last?: number;
    }): Promise<UIMessage[]>;
    /**
     * End the answers that are being made in a chat. What they said so far is kept, and their streams
     * end, here and wherever they are shown.
     * @param {string} chatId
     */
    stop(chatId: string): Promise<void>;
    /**
     * Say what is new, or have something answered again. `useChat` calls it.
     * @param {Sending} sending
     * @returns {Promise<ReadableStream<Chunk>>}
     */
    sendMessages({ trigger, chatId, messageId, messages, abortSignal: signal }: Sending): Promise<ReadableStream<Chunk>>;
    /**
     * Go on with the answer that is being made, or that has come since the chat was loaded. `useChat`
     * calls it.
     * @param {{chatId: string, abortSignal?: AbortSignal}} resuming
     * @returns {Promise<ReadableStream<Chunk> | null>} null where there is none
     */
    reconnectToStream({ chatId, abortSignal: signal }: {
        chatId: string;
        abortSignal?: AbortSignal;
    }): Promise<ReadableStream<Chunk> | null>;
}
