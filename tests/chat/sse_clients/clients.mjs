/**
 * One published event-stream client of npm on one turn, until it stops. Prints a line of JSON:
 * `{text, ends, errors}`: the words of all `delta` events, the number of `end` events, and how
 * often the application failed on an event.
 *
 * node clients.mjs CLIENT URL TOKEN [KEY]: with a turn's address CLIENT watches (GET), with the
 * message's it asks (POST), under the key if there is one.
 */

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const [client, url, token, key] = process.argv.slice(2);
const seen = { text: "", ends: 0, errors: 0 };
const headers = { Authorization: `Bearer ${token}`, Accept: "text/event-stream" };
const body = JSON.stringify({ message: "a ".repeat(40) });
const posted = {
  method: "POST",
  body,
  headers: { ...headers, "Content-Type": "application/json", ...(key && { "Idempotency-Key": key }) },
};

/** @param {{event?: string, data: string}} event */
function take({ event, data }) {
  let told;
  try {
    told = JSON.parse(data); // as applications do it
  } catch (error) {
    seen.errors += 1; // an event without data
    throw error;
  }
  if (event === "delta") seen.text += told.text;
  else if (event === "end") seen.ends += 1;
}

/** @type {Record<string, () => Promise<void>>} */
const clients = {
  async eventsource() {
    const { EventSource } = require("eventsource");
    const source = new EventSource(url, {
      /** @type {typeof fetch} */
      fetch: (address, init) => fetch(address, { ...init, headers: { ...init?.headers, ...headers } }),
    });
    for (const event of ["start", "delta", "end"]) {
      source.addEventListener(event, (/** @type {MessageEvent} */ { data }) => take({ event, data }));
    }
    await new Promise((resolve) => {
      source.addEventListener("error", () => {
        if (source.readyState === source.CLOSED) resolve(undefined);
      });
    });
  },

  async "eventsource-client"() {
    const { createEventSource } = require("eventsource-client");
    const source = createEventSource({
      url,
      ...posted,
      initialRetryDelayMs: 200,
      onMessage: take,
    });
    await new Promise((resolve) => {
      const timer = setInterval(() => {
        if (source.readyState === "closed") resolve(clearInterval(timer));
      }, 20);
    });
  },

  async "fetch-event-source"() {
    // It is made for browsers.
    Object.assign(globalThis, { window: globalThis, document: { removeEventListener() {} } });
    const { fetchEventSource } = require("@microsoft/fetch-event-source");
    await fetchEventSource(url, { ...posted, openWhenHidden: true, onmessage: take });
  },
};

await clients[client]();
process.stdout.write(`${JSON.stringify(seen)}\n`);
process.exit(0);
