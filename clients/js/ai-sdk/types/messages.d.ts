/** Messages of the AI SDK, and how they are stored: their text as the content, all of them as `extra`. */
import type { Message, NewMessage } from "@verbatim/client";
import type { Chunk, ModelMessage, UIMessage } from "./types.js";
/**
 * The words of a message, without files, tools and thoughts.
 * @param {UIMessage} message
 */
export declare function textOf({ parts }: UIMessage): string;
/**
 * @param {UIMessage} message
 * @returns {{format: string, message: any}}
 */
export declare function extraOf(message: UIMessage): {
    format: string;
    message: any;
};
/**
 * @param {UIMessage} message
 * @returns {NewMessage}
 */
export declare function storedForm(message: UIMessage): NewMessage;
/**
 * @param {ModelMessage} message
 * @returns {NewMessage}
 */
export declare function storedModelForm({ role, content, ...rest }: ModelMessage): NewMessage;
/**
 * What a stored message is for `useChat`; null for one that it does not show: a tool's, and one that
 * was deleted.
 * @param {Message} stored
 * @returns {UIMessage | null}
 */
export declare function uiMessageOf(stored: Message): UIMessage | null;
/**
 * The id that a stored message has in `useChat`.
 * @param {Message} stored
 * @returns {string}
 */
export declare function nameOf({ id, external_id, extra }: Message): string;
/**
 * What a stored message is for a model; null for a tool's that is in another form.
 * @param {Message} stored
 * @returns {ModelMessage | null}
 */
export declare function modelMessageOf({ role, content, status, extra }: Message): ModelMessage | null;
/**
 * A stored answer as if it were being made.
 * @param {Message} stored
 * @returns {AsyncGenerator<Chunk, void, undefined>}
 */
export declare function chunksOfStored(stored: Message): AsyncGenerator<Chunk, void, undefined>;
