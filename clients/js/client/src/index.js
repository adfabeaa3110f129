/**
 * A client for Verbatim: conversations, messages, search, and answers that are streamed.
 *
 * @typedef {import("./exchange.js").Options} Options
 * @typedef {import("./stream.js").StreamEvent} StreamEvent
 * @typedef {import("./types.js").Conversation} Conversation
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./types.js").NewMessage} NewMessage
 * @typedef {import("./types.js").Hit} Hit
 * @typedef {import("./types.js").ChatAnswer} ChatAnswer
 * @typedef {import("./types.js").Part} Part
 */

export { Client } from "./client.js";
export { NoAnswer, Problem } from "./errors.js";
