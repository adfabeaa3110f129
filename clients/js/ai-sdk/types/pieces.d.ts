/** An answer's text and what belongs between its words, in their order. */
import type { Part } from "@verbatim/client";
export type Piece = {
    text: string;
} | {
    part: Part;
};
/** @import { Part } from "@verbatim/client" */
/** @typedef {{text: string} | {part: Part}} Piece */
/**
 * Puts parts where they belong: each tells the code points of the text before it. While an answer is
 * made they come there anyway; of one that is shown again all of them come first.
 */
export declare class Pieces {
    #private;
    /**
     * @param {Part} part
     * @returns {Generator<Piece, void, undefined>}
     */
    part(part: Part): Generator<Piece, void, undefined>;
    /**
     * @param {string} text that follows
     * @returns {Generator<Piece, void, undefined>}
     */
    text(text: string): Generator<Piece, void, undefined>;
    /**
     * The answer has no more text.
     * @returns {Generator<Piece, void, undefined>}
     */
    end(): Generator<Piece, void, undefined>;
}
