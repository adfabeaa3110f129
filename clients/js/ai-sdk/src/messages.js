/** Messages of the AI SDK, and how they are stored: their text as the content, all of them as `extra`. */

import { finished, metadataOf, nameOfAnswer, Steps } from "./chunks.js";
import { Pieces } from "./pieces.js";

/** @import { Message, NewMessage } from "@verbatim/client" */
/** @import { Chunk, ModelMessage, UIMessage } from "./types.js" */

const UI = "ai-sdk.ui-message";
const MODEL = "ai-sdk.model-message";
/** What no content may have; `extra` keeps it, as escapes. */
const UNSTORABLE = /[\0\p{Surrogate}]/gu;

/**
 * The words of a message, without files, tools and thoughts.
 * @param {UIMessage} message
 */
export function textOf({ parts }) {
  return wordsOf(parts);
}

/**
 * @param {UIMessage} message
 * @returns {{format: string, message: any}}
 */
export function extraOf(message) {
  return { format: UI, message: plain(message) };
}

/**
 * @param {UIMessage} message
 * @returns {NewMessage}
 */
export function storedForm(message) {
  return { role: message.role, content: textOf(message), extra: extraOf(message) };
}

/**
 * @param {ModelMessage} message
 * @returns {NewMessage}
 */
export function storedModelForm({ role, content, ...rest }) {
  const text = typeof content === "string" ? content.replace(UNSTORABLE, "\ufffd") : wordsOf(content);
  return { role, content: text, extra: { format: MODEL, message: plain({ role, content, ...rest }) } };
}

/**
 * What a stored message is for `useChat`; null for one that it does not show: a tool's, and one that
 * was deleted.
 * @param {Message} stored
 * @returns {UIMessage | null}
 */
export function uiMessageOf(stored) {
  const { role, content, status, extra } = stored;
  if (role === "tool" || status === "deleted" || status === "unavailable") return null;
  const id = nameOf(stored);
  if (extra?.format === UI) return changed({ ...extra.message, id, role }, content);
  if (role !== "assistant" || typeof extra?.turn !== "number") {
    return { id, role, parts: content === "" ? [] : [{ type: "text", text: content }] };
  }
  const metadata = metadataOf({ id: stored.id, turn: extra.turn, status, extra });
  return { id, role, metadata, parts: partsOf(content, extra.parts ?? []) };
}

/**
 * The id that a stored message has in `useChat`.
 * @param {Message} stored
 * @returns {string}
 */
export function nameOf({ id, external_id, extra }) {
  if (extra?.format === UI) return extra.message.id;
  return typeof extra?.turn === "number" ? nameOfAnswer(extra.turn) : (external_id ?? String(id));
}

/**
 * What a stored message is for a model; null for a tool's that is in another form.
 * @param {Message} stored
 * @returns {ModelMessage | null}
 */
export function modelMessageOf({ role, content, status, extra }) {
  if (status === "deleted" || status === "unavailable") return null;
  if (extra?.format === MODEL) return extra.message;
  return role === "tool" ? null : { role, content };
}

/**
 * A stored answer as if it were being made.
 * @param {Message} stored
 * @returns {AsyncGenerator<Chunk, void, undefined>}
 */
export async function* chunksOfStored(stored) {
  const { id, content, status, extra } = stored;
  const turn = extra?.turn ?? id;
  yield { type: "start", messageId: nameOf(stored), messageMetadata: { turn } };
  yield* bodyOf(content, extra?.parts ?? []);
  yield finished({ id, turn, status, extra });
}

/**
 * @param {string} content
 * @param {any[]} told
 * @returns {Generator<Chunk, void, undefined>}
 */
function* bodyOf(content, told) {
  const pieces = new Pieces();
  const steps = new Steps();
  for (const part of told) yield* steps.chunks(pieces.part(part));
  yield* steps.chunks(pieces.text(content));
  yield* steps.chunks(pieces.end());
  yield* steps.end();
}

/**
 * An answer's parts, as `useChat` makes them of its chunks.
 * @param {string} content
 * @param {any[]} told
 */
function partsOf(content, told) {
  /** @type {any[]} */
  const parts = [];
  for (const chunk of bodyOf(content, told)) add(chunk, parts);
  return parts;
}

/**
 * @param {Chunk} chunk
 * @param {any[]} parts
 */
function add(chunk, parts) {
  if (chunk.type === "start-step") parts.push({ type: "step-start" });
  else if (chunk.type === "text-start") parts.push({ type: "text", text: "", state: "done" });
  else if (chunk.type === "text-delta") parts.at(-1).text += chunk.delta;
  else if (chunk.type === "reasoning-delta") {
    parts.push({ type: "reasoning", id: chunk.id, text: chunk.delta, state: "done" });
  } else if (chunk.type === "tool-input-available") {
    const { toolCallId, toolName, input, providerExecuted } = chunk;
    parts.push({ type: "dynamic-tool", toolName, toolCallId, state: "input-available", input, providerExecuted });
  } else if (chunk.type === "tool-output-available") {
    const call = parts.find((part) => part.toolCallId === chunk.toolCallId);
    Object.assign(call, { state: "output-available", output: chunk.output });
  }
}

/**
 * A message whose text was changed by who does not know the AI SDK.
 * @param {UIMessage} message
 * @param {string} content
 */
function changed(message, content) {
  if (textOf(message) === content) return message;
  const others = message.parts.filter((part) => part.type !== "text");
  return { ...message, parts: [...others, { type: "text", text: content }] };
}

/** @param {any[]} parts */
function wordsOf(parts) {
  const texts = parts.filter((part) => part.type === "text").map((part) => part.text);
  return texts.join("").replace(UNSTORABLE, "\ufffd");
}

/**
 * A message as JSON has it; bytes become base64, which the AI SDK takes in their place.
 * @param {object} message
 */
function plain(message) {
  return JSON.parse(JSON.stringify(message, (_, value) => (value instanceof Uint8Array ? base64(value) : value)));
}

/** @param {Uint8Array} bytes */
function base64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
