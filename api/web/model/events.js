/** Reads Server-Sent Events from a response that `fetch` opened (`EventSource` cannot POST). */

import { Problem, UNREACHED } from "./problem.js";

/**
 * @typedef {{type: string, data: string, id: string}} StreamEvent
 */

/** The server sends a comment every 10 s: after this much silence the connection is dead. */
const SILENCE_SECONDS = 25;
const LINE_END = /\r\n|\n|\r/;

/**
 * The events of a response: of a stream, or of the JSON that a server without streams answers, or
 * none.
 * @param {Response} response
 * @returns {AsyncGenerator<StreamEvent>}
 */
export async function* eventsIn(response) {
  if (response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
    if (response.body) yield* eventsOf(response.body);
  } else if (response.status !== 204) {
    const answer = await response.text();
    yield { type: "start", data: answer, id: "" };
    yield { type: "end", data: answer, id: "" };
  }
}

/**
 * Yield a stream's events, as https://html.spec.whatwg.org/multipage/server-sent-events.html
 * has them. Throws when the connection breaks; ends when the server ends it.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<StreamEvent>}
 */
async function* eventsOf(body) {
  let type = "";
  let id = "";
  /** @type {string[]} */
  let data = [];
  for await (const line of linesOf(body)) {
    if (line === "") {
      if (data.length > 0) yield { type: type || "message", data: data.join("\n"), id };
      type = "";
      data = [];
      continue;
    }
    const [, name, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (name === "event") type = value ?? "";
    else if (name === "data") data.push(value ?? "");
    else if (name === "id") id = value ?? "";
  }
}

/** @param {ReadableStream<Uint8Array>} body */
async function* linesOf(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await withinSilence(reader.read());
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
 * @returns {Promise<T>}
 */
async function withinSilence(reading) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const silence = new Promise((_, reject) => {
    const fail = () => reject(new Problem(UNREACHED, "the stream fell silent"));
    timer = setTimeout(fail, SILENCE_SECONDS * 1000);
  });
  try {
    return await Promise.race([reading, /** @type {Promise<never>} */ (silence)]);
  } finally {
    clearTimeout(timer);
  }
}
