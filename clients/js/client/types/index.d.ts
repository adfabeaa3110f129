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
export type Options = import("./exchange.js").Options;
export type StreamEvent = import("./stream.js").StreamEvent;
export type Conversation = import("./types.js").Conversation;
export type Message = import("./types.js").Message;
export type NewMessage = import("./types.js").NewMessage;
export type Hit = import("./types.js").Hit;
export type ChatAnswer = import("./types.js").ChatAnswer;
export type Part = import("./types.js").Part;
export { Client } from "./client.js";
export { NoAnswer, Problem } from "./errors.js";
