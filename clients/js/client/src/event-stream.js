/** Server-sent events out of a response, as https://html.spec.whatwg.org/multipage/server-sent-events.html has them. */

import { NoAnswer } from "./errors.js";

/** The server sends a comment every 10 s: after this much silence the connection is dead. */
const SILENCE_MS = 30_000;
const LINE_END = /\r\n|\n|\r/;

/**
 * Yield events: their name, their data, and their id if they have one of their own. Throws a
 * NoAnswer when the connection breaks or falls silent; ends when the server ends it.
 * @param {Response} response
 * @param {AbortSignal | undefined} signal
 */
export async function* eventsOf(response, signal) {
  let type = "";
  /** @type {string | null} */
  let id = null;
  /** @type {string[]} */
  let data = [];
  for await (const line of linesOf(response, signal)) {
    if (line === "") {
      if (data.length > 0) yield { type: type || "message", data: data.join("\n"), id };
      type = "";
      id = null;
      data = [];
      continue;
    }
    const [, name, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (name === "event") type = value ?? "";
    else if (name === "data") data.push(value ?? "");
    else if (name === "id") id = value ?? "";
  }
}

/**
 * @param {Response} response
 * @param {AbortSignal | undefined} signal
 */
async function* linesOf({ body }, signal) {
  if (body === null) return;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await within(reader.read(), signal);
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      // A `\r` at the very end may be half of a `\r\n`: it waits for what follows.
      const complete = rest.endsWith("\r") ? rest.slice(0, -1) : rest;
      const lines = complete.split(LINE_END);
      rest = (lines.pop() ?? "") + rest.slice(complete.length);
      yield* lines;
    }
  } finally {
    // Also when the rest is not read: the connection must not stay open.
    reader.cancel().catch(() => {});
  }
}

/**
 * @template T
 * @param {Promise<T>} reading
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
async function within(reading, signal) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {Promise<never>} */
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new NoAnswer("the stream fell silent")), SILENCE_MS);
  });
  try {
    return await Promise.race([reading, silence]);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw error instanceof NoAnswer ? error : new NoAnswer(String(error), error);
  } finally {
    clearTimeout(timer);
  }
}
