/** Which conversation a chat of the AI SDK is. */
import type { Client } from "@verbatim/client";
export type Chat = {
    conversation: number;
    session: string;
};
/**
 * A chat's id is that of a session of the server's, or any text: then it is the external id of a
 * conversation, which is opened with the first message.
 */
export declare class Chats {
    #private;
    /** @param {Client} client */
    constructor(client: Client);
    /**
     * The chat, opened if it is new.
     * @param {string} id
     * @param {AbortSignal} [signal]
     * @returns {Promise<Chat>}
     */
    open(id: string, signal?: AbortSignal): Promise<Chat>;
    /**
     * The chat, or null where nothing was said in it.
     * @param {string} id
     * @returns {Promise<Chat | null>}
     */
    find(id: string): Promise<Chat | null>;
}
/**
 * The status of what the server refused. By its field: an application may have two copies of the client.
 * @param {unknown} error
 * @returns {number | undefined}
 */
export declare function statusOf(error: unknown): number | undefined;
