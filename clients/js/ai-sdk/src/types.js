/**
 * What the AI SDK's types require, as far as it matters here; there is no code. They are none of its
 * own, so that its majors 6 and 7 both take them.
 *
 * @typedef {object} UIMessage
 * @property {string} id
 * @property {"system" | "user" | "assistant"} role
 * @property {any} [metadata]
 * @property {any[]} parts
 *
 * @typedef {object} AnswerMetadata What an answer of the assistant has as `metadata`. All but `turn`
 *   comes with its end.
 * @property {number} turn the server's id of the message that it answers
 * @property {number} [id] the server's id of the answer itself
 * @property {"stored" | "interrupted" | "unavailable" | "deleted"} [status]
 * @property {string} [model]
 * @property {Record<string, number>} [usage] tokens, as the server's contract has them
 *
 * @typedef {object} ModelMessage
 * @property {"system" | "user" | "assistant" | "tool"} role
 * @property {any} content
 *
 * @typedef {{type: "start", messageId: string, messageMetadata: AnswerMetadata}
 *   | {type: "start-step"}
 *   | {type: "text-start", id: string}
 *   | {type: "text-delta", id: string, delta: string}
 *   | {type: "text-end", id: string}
 *   | {type: "reasoning-start", id: string}
 *   | {type: "reasoning-delta", id: string, delta: string}
 *   | {type: "reasoning-end", id: string}
 *   | {type: "tool-input-available", toolCallId: string, toolName: string, input: unknown, dynamic: true, providerExecuted: true}
 *   | {type: "tool-output-available", toolCallId: string, output: unknown, dynamic: true, providerExecuted: true}
 *   | {type: "finish-step"}
 *   | {type: "finish", finishReason: "stop" | "length" | "content-filter" | "other", messageMetadata: AnswerMetadata}} Chunk
 */

export {};
