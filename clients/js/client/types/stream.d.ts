/** A streamed answer: it goes on where it was cut, until its end. */
import type { Call, Exchange } from "./exchange.js";
import type { ChatAnswer, Part, StreamStart } from "./types.js";
export type StreamEvent = ({
    type: "start";
} & StreamStart) | {
    type: "delta";
    text: string;
} | {
    type: "part";
    index: number;
    part: Part;
} | {
    type: "end";
    answer: ChatAnswer;
};
/** @import { Call, Exchange } from "./exchange.js" */
/** @import { ChatAnswer, Part, StreamStart } from "./types.js" */
/**
 * - `start`: the message is accepted
 * - `delta`: more of the answer's text
 * - `part`: what belongs to the answer besides its text, with `parts`
 * - `end`: the answer is stored, and this is all of it
 * @typedef {({type: "start"} & StreamStart)
 *   | {type: "delta", text: string}
 *   | {type: "part", index: number, part: Part}
 *   | {type: "end", answer: ChatAnswer}} StreamEvent
 */
/**
 * Yield an answer as it is made. What is sent again has the same key, and is no new message.
 * @param {Exchange} exchange
 * @param {Call} call
 * @returns {AsyncGenerator<StreamEvent, void, undefined>}
 */
export declare function streamed(exchange: Exchange, call: Call): AsyncGenerator<StreamEvent, void, undefined>;
