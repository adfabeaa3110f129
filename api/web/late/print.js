/** An open conversation on paper: all of its messages, not only those that the page has loaded. */

import { settled } from "../chat/adorn.js";
import { make } from "../chat/dom.js";
import { slices } from "../chat/slices.js";
import { plainMessage } from "./message.js";
import { texts } from "../texts.js";

/**
 * @import { Client } from "../model/client.js"
 * @import { SharedMessage } from "../model/wire.js"
 */

/** The most that the API answers at a time. */
const PAGE = 100;

/**
 * Print a conversation: read it, lay it out, and ask the browser for its dialog. Rejects with a Problem.
 * @param {Client} client
 * @param {{id: number, title: string}} conversation
 * @param {ShadowRoot} root where the styles are
 * @param {AbortSignal} signal gives it up
 * @param {() => void} ready everything is there
 */
export async function print(client, { id, title }, root, signal, ready) {
  const messages = await read(client, id, signal);
  const paper = make(
    "div",
    { class: "paper" },
    make("h1", { dir: "auto" }, title),
    make("ol", { class: "messages" }, ...messages.map((message) => plainMessage(message, texts.you))),
  );
  // One of an earlier time, where a browser did not say that it was done with it.
  for (const old of root.querySelectorAll(".paper")) old.remove();
  root.append(paper);
  await slices.idle();
  await settled();
  await slices.idle();
  if (signal.aborted) paper.remove();
  signal.throwIfAborted();
  ready();
  addEventListener("afterprint", () => paper.remove(), { once: true });
  window.print();
}

/**
 * @param {Client} client
 * @param {number} id
 * @param {AbortSignal} signal
 */
async function read(client, id, signal) {
  /** @type {SharedMessage[]} */
  const all = [];
  for (let after = 0, total = 1; after < total; ) {
    const page = await client.messages(id, { after, limit: PAGE }, signal);
    for (const { role, content, status } of page.messages) {
      const isSaid = status === "stored" || status === "interrupted";
      if ((role === "user" || role === "assistant") && isSaid) all.push({ role, content, status });
    }
    total = page.total;
    after = page.messages.at(-1)?.position ?? total;
  }
  return all;
}
