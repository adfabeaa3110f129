/** A streamed answer: it goes on where it was cut, until its end. */

import { NoAnswer, Problem } from "./errors.js";
import { known } from "./exchange.js";
import { Patience } from "./retries.js";
import { eventsOf } from "./event-stream.js";

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
export async function* streamed(exchange, call) {
  const patience = new Patience(exchange.retrySeconds);
  let lastEventId = "";
  let hasStarted = false;
  let parts = 0;
  for (;;) {
    try {
      /** @type {Record<string, string>} */
      const headers = { Accept: "text/event-stream" };
      if (lastEventId) headers["Last-Event-ID"] = lastEventId;
      const response = await exchange.open({ ...call, headers, streams: true });
      if (response.status === 204) {
        if (call.key === undefined) return; // nothing is known of the turn
        throw new NoAnswer("nothing is known of the answer's end");
      }
      for await (const { type, data, id } of eventsOf(response, call.signal)) {
        const told = JSON.parse(data);
        if (id !== null) lastEventId = id;
        exchange.written.note(told);
        if (type === "error") throw failed(told, call);
        if (type === "start" && hasStarted) continue;
        if (type === "part" && told.index < parts) continue;
        patience.renew();
        if (type === "start") {
          hasStarted = true;
          yield { type, ...told };
        } else if (type === "delta") {
          yield { type, text: told.text };
        } else if (type === "part") {
          parts = told.index + 1;
          yield { type, index: told.index, part: told.part };
        } else if (type === "end") {
          yield { type, answer: told };
          return;
        }
      }
      throw new NoAnswer("the stream ended");
    } catch (error) {
      if (error instanceof Told) throw error.problem;
      await exchange.recover(known(error), patience, call);
    }
  }
}

/** An error that the stream itself told is final. */
class Told extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.message);
    this.problem = problem;
  }
}

/**
 * @param {any} told
 * @param {Call} call
 */
function failed(told, call) {
  const problem = new Problem(told.status, told, { retryAfter: told.retryAfter ?? null });
  problem.idempotencyKey = call.key ?? null;
  return new Told(problem);
}
