/** An answer as the AI SDK's chunks. */

import { Pieces } from "./pieces.js";

/** @import { Message, Part, StreamEvent } from "@verbatim/client" */
/** @import { Piece } from "./pieces.js" */
/** @import { AnswerMetadata, Chunk } from "./types.js" */

/**
 * What an answer is called: by the message that it answers, since its own id is not known before its
 * end, and a name that changed would show it twice.
 * @param {number} turn
 */
export function nameOfAnswer(turn) {
  return `answer-${turn}`;
}

/**
 * Yield a turn's events as chunks.
 * @param {AsyncIterable<StreamEvent>} events
 * @returns {AsyncGenerator<Chunk, void, undefined>}
 */
export async function* chunksOf(events) {
  const pieces = new Pieces();
  const steps = new Steps();
  for await (const event of events) {
    if (event.type === "start") {
      const { messageId: turn } = event;
      yield { type: "start", messageId: nameOfAnswer(turn), messageMetadata: { turn } };
    } else if (event.type === "delta") {
      yield* steps.chunks(pieces.text(event.text));
    } else if (event.type === "part") {
      yield* steps.chunks(pieces.part(event.part));
    } else if (event.type === "end") {
      yield* steps.chunks(pieces.end());
      yield* steps.end();
      const { replyId: id, messageId: turn, status, extra } = event.answer;
      yield finished({ id, turn, status, extra });
    }
  }
}

/**
 * @typedef {object} Ended an answer, as it is stored
 * @property {number} id
 * @property {number} turn
 * @property {Message["status"]} status
 * @property {Record<string, any> | null} extra
 */

/**
 * What is told of an answer beside its parts.
 * @param {Ended} answer
 * @returns {AnswerMetadata}
 */
export function metadataOf({ id, turn, status, extra }) {
  const { model, usage } = extra ?? {};
  return { turn, id, status, ...(model && { model }), ...(usage && { usage }) };
}

/**
 * @param {Ended} answer
 * @returns {Chunk}
 */
export function finished(answer) {
  const reason = answer.extra?.finish;
  const ended = answer.status === "interrupted" ? "other" : "stop";
  const finishReason = reason === "length" ? reason : reason === "content_filter" ? "content-filter" : ended;
  return { type: "finish", finishReason, messageMetadata: metadataOf(answer) };
}

/** Pieces as chunks. A model that was given results of tools begins another step with its next word. */
export class Steps {
  #isOpen = false;
  #hasResults = false;
  /** @type {string | null} */
  #text = null;
  #count = 0;
  /** @type {Map<string, string>} by the model's id of a call, which may not be unique */
  #calls = new Map();

  /**
   * @param {Iterable<Piece>} pieces
   * @returns {Generator<Chunk, void, undefined>}
   */
  *chunks(pieces) {
    for (const piece of pieces) yield* "text" in piece ? this.#words(piece.text) : this.#part(piece.part);
  }

  /** @returns {Generator<Chunk, void, undefined>} */
  *end() {
    yield* this.#textEnd();
    if (this.#isOpen) yield { type: "finish-step" };
    this.#isOpen = false;
  }

  /**
   * @param {string} delta
   * @returns {Generator<Chunk, void, undefined>}
   */
  *#words(delta) {
    yield* this.#step();
    if (this.#text === null) {
      this.#text = this.#name("text");
      yield { type: "text-start", id: this.#text };
    }
    yield { type: "text-delta", id: this.#text, delta };
  }

  /**
   * @param {Part} part
   * @returns {Generator<Chunk, void, undefined>}
   */
  *#part(part) {
    if (part.type === "tool_result") return yield* this.#result(part);
    // There may be other kinds some day.
    if (part.type !== "reasoning" && part.type !== "tool_call") return;
    yield* this.#textEnd();
    yield* this.#step();
    if (part.type === "reasoning") {
      const id = this.#name("reasoning");
      yield { type: "reasoning-start", id };
      yield { type: "reasoning-delta", id, delta: part.text };
      yield { type: "reasoning-end", id };
      return;
    }
    const toolCallId = this.#name(part.id || "call");
    this.#calls.set(part.id, toolCallId);
    const input = parsed(part.arguments);
    yield { type: "tool-input-available", toolCallId, toolName: part.name, input, ...OF_SERVER };
  }

  /**
   * @param {Part} part
   * @returns {Generator<Chunk, void, undefined>}
   */
  *#result(part) {
    const toolCallId = this.#calls.get(part.id);
    if (toolCallId === undefined) return; // its call was cut off
    yield* this.#textEnd();
    this.#hasResults = true;
    yield { type: "tool-output-available", toolCallId, output: parsed(part.content), ...OF_SERVER };
  }

  /** @returns {Generator<Chunk, void, undefined>} */
  *#textEnd() {
    if (this.#text !== null) yield { type: "text-end", id: this.#text };
    this.#text = null;
  }

  /** @returns {Generator<Chunk, void, undefined>} */
  *#step() {
    if (this.#isOpen && !this.#hasResults) return;
    if (this.#isOpen) yield { type: "finish-step" };
    this.#isOpen = true;
    this.#hasResults = false;
    yield { type: "start-step" };
  }

  /** @param {string} kind */
  #name(kind) {
    return `${kind}-${this.#count++}`;
  }
}

const OF_SERVER = /** @type {const} */ ({ dynamic: true, providerExecuted: true });

/** @param {string} text JSON, or what a model wrote in its place */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
