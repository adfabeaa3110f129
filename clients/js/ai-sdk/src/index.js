/**
 * Verbatim for Vercel's AI SDK: a transport for `useChat`, and a store for who calls `streamText`.
 *
 * @typedef {import("./types.js").AnswerMetadata} AnswerMetadata
 * @typedef {import("./types.js").ModelMessage} ModelMessage
 * @typedef {import("./types.js").UIMessage} UIMessage
 */

export { VerbatimStore } from "./store.js";
export { VerbatimTransport } from "./transport.js";
