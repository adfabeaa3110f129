/** An answer as the AI SDK's chunks. */
import type { Message, StreamEvent } from "@verbatim/client";
import type { Piece } from "./pieces.js";
import type { AnswerMetadata, Chunk } from "./types.js";
/** @import { Message, Part, StreamEvent } from "@verbatim/client" */
/** @import { Piece } from "./pieces.js" */
/** @import { AnswerMetadata, Chunk } from "./types.js" */
/**
 * What an answer is called: by the message that it answers, since its own id is not known before its
 * end, and a name that changed would show it twice.
 * @param {number} turn
 */
export declare function nameOfAnswer(turn: number): string;
/**
 * Yield a turn's events as chunks.
 * @param {AsyncIterable<StreamEvent>} events
 * @returns {AsyncGenerator<Chunk, void, undefined>}
 */
export declare function chunksOf(events: AsyncIterable<StreamEvent>): AsyncGenerator<Chunk, void, undefined>;
export type Ended = {
    id: number;
    turn: number;
    status: Message["status"];
    extra: Record<string, any> | null;
};
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
export declare function metadataOf({ id, turn, status, extra }: Ended): AnswerMetadata;
/**
 * @param {Ended} answer
 * @returns {Chunk}
 */
export declare function finished(answer: Ended): Chunk;
/** Pieces as chunks. A model that was given results of tools begins another step with its next word. */
export declare class Steps {
    #private;
    /**
     * @param {Iterable<Piece>} pieces
     * @returns {Generator<Chunk, void, undefined>}
     */
    chunks(pieces: Iterable<Piece>): Generator<Chunk, void, undefined>;
    /** @returns {Generator<Chunk, void, undefined>} */
    end(): Generator<Chunk, void, undefined>;
}
