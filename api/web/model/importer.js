/** A file of JSON lines into one's account: in parts, each as often as it takes. */

import { delaySeconds, pause } from "./backoff.js";
import { Problem } from "./problem.js";

/**
 * @import { Client } from "./client.js"
 *
 * @typedef {{number: number, text: string}} Line of the file, the first one is 1
 *
 * @typedef {object} Summary what came, and what did not
 * @property {Set<number>} conversations their ids
 * @property {number} messages
 * @property {Map<string, number>} skipped how many messages were left out, by the reason
 * @property {{line: number, detail: string}[]} refused
 *
 * @typedef {object} Answer to a line
 * @property {number} line of what was sent
 * @property {number} [id] the conversation's
 * @property {number} [messages]
 * @property {Record<string, number>} [skipped]
 * @property {{status: number, detail: string, retry_after?: number}} [error]
 */

/** So much is sent at a time (in characters): what was sent twice costs little. */
const PART = 512 * 1024;
/** A line has so many bytes at most; the messages of a longer one go on in further lines. */
const LINE_MOST_BYTES = 1024 * 1024;
const encoder = new TextEncoder();

/**
 * @param {Client} client
 * @param {File} file
 * @param {(part: number, summary: Summary) => void} progress `part` of the file, 0 to 1
 * @param {AbortSignal} signal
 * @returns {Promise<Summary>}
 */
export async function importFile(client, file, progress, signal) {
  /** @type {Summary} */
  const summary = { conversations: new Set(), messages: 0, skipped: new Map(), refused: [] };
  let sent = 0;
  for await (const lines of parts(file)) {
    await sendAll(client, lines, summary, signal);
    sent += lines.reduce((length, { text }) => length + text.length + 1, 0);
    // Characters are no bytes, but near enough to say how far it is.
    progress(Math.min(sent / file.size, 1), summary);
  }
  return summary;
}

/**
 * The lines of a file that have something in them, some at a time.
 * @param {File} file
 * @returns {AsyncGenerator<Line[]>}
 */
async function* parts(file) {
  const reader = file.stream().pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let number = 0;
  /** @type {Line[]} */
  let lines = [];
  let length = 0;
  for (let piece = await reader.read(); ; piece = await reader.read()) {
    const found = (rest + (piece.value ?? "")).split("\n");
    rest = piece.done ? "" : (found.pop() ?? "");
    for (const text of found) {
      number += 1;
      if (!text.trim()) continue;
      for (const part of divided(text)) {
        lines.push({ number, text: part });
        length += part.length;
        if (length < PART) continue;
        yield lines;
        [lines, length] = [[], 0];
      }
    }
    if (piece.done) break;
  }
  if (lines.length) yield lines;
}

/**
 * A line as several, each short enough. One that cannot be divided is the server's to refuse.
 * @param {string} text
 * @returns {string[]}
 */
function divided(text) {
  if (text.length * 3 < LINE_MOST_BYTES || encoder.encode(text).length < LINE_MOST_BYTES) return [text];
  try {
    const { messages, ...head } = JSON.parse(text);
    /** @type {{length: number, messages: unknown[]}[]} */
    const parts = [];
    for (const message of messages) {
      const { length } = encoder.encode(JSON.stringify(message));
      const part = parts.at(-1);
      if (!part || part.length + length > LINE_MOST_BYTES / 2) parts.push({ length, messages: [message] });
      else [part.length] = [part.length + length, part.messages.push(message)];
    }
    return parts.map((part) => JSON.stringify({ ...head, messages: part.messages }));
  } catch {
    return [text];
  }
}

/**
 * Send lines until each is answered. Again is no harm: what is stored already is known by its name.
 * @param {Client} client
 * @param {Line[]} lines
 * @param {Summary} summary
 * @param {AbortSignal} signal
 */
async function sendAll(client, lines, summary, signal) {
  let waiting = lines;
  for (let failures = 1; waiting.length; failures++) {
    signal.throwIfAborted();
    try {
      const stopped = await send(client, waiting, summary, signal);
      if (!stopped) return;
      waiting = stopped.lines;
      await pause(delaySeconds(failures, stopped.retryAfter), { signal });
    } catch (error) {
      const problem = Problem.from(error);
      if (signal.aborted || !problem.isPassing) throw error;
      await pause(delaySeconds(failures, problem.retryAfter), { signal });
    }
  }
}

/**
 * @param {Client} client
 * @param {Line[]} lines
 * @param {Summary} summary
 * @param {AbortSignal} signal
 * @returns {Promise<{lines: Line[], retryAfter: number | null} | null>} what is to be sent again
 */
async function send(client, lines, summary, signal) {
  const response = await client.import(lines.map(({ text }) => text), signal);
  const answers = (await response.text()).trim();
  for (const text of answers ? answers.split("\n") : []) {
    /** @type {Answer} */
    const { line, id, messages = 0, skipped = {}, error } = JSON.parse(text);
    if (error && new Problem(error.status, error.detail).isPassing) {
      return { lines: lines.slice(line - 1), retryAfter: error.retry_after ?? null };
    }
    if (error?.status === 401) throw new Problem(error.status, error.detail);
    if (error) {
      summary.refused.push({ line: lines[line - 1]?.number ?? 0, detail: error.detail });
      continue;
    }
    if (id !== undefined) summary.conversations.add(id);
    summary.messages += messages;
    for (const [why, count] of Object.entries(skipped)) {
      summary.skipped.set(why, (summary.skipped.get(why) ?? 0) + count);
    }
  }
  return null;
}
