/** All conversations as one file, as an import takes it. */

import { Problem, UNREACHED } from "./problem.js";

/** @import { Client } from "./client.js" */

const LINE_END = 10;
/** The last line of a whole export fits into so many bytes. */
const END_BYTES = 200;

/**
 * @param {Client} client
 * @param {(conversations: number, bytes: number) => void} progress
 * @param {AbortSignal} signal
 * @returns {Promise<Blob>} JSON lines; rejects with a Problem where it is not whole
 */
export async function exportAll(client, progress, signal) {
  const response = await client.export(signal);
  /** @type {BlobPart[]} */
  const pieces = [];
  let conversations = 0;
  let bytes = 0;
  const reader = /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (response.body).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    pieces.push(piece.value);
    bytes += piece.value.length;
    for (const byte of piece.value) if (byte === LINE_END) conversations += 1;
    progress(conversations, bytes);
  }
  const blob = new Blob(pieces, { type: "application/jsonl" });
  if (!(await isWhole(blob))) throw new Problem(UNREACHED, "the export was cut off");
  return blob;
}

/** @param {Blob} blob */
async function isWhole(blob) {
  const end = await blob.slice(-END_BYTES).text();
  try {
    return JSON.parse(end.trimEnd().split("\n").at(-1) ?? "").type === "end";
  } catch {
    return false;
  }
}
