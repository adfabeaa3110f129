/** The route of the README of `@verbatim/ai-sdk` is asked once: tests/clients/javascript_examples.py runs it. */

import { VerbatimStore } from "@verbatim/ai-sdk";
import { Client } from "@verbatim/client";
import { POST } from "./route.mjs";

const { VERBATIM_URL: url, VERBATIM_KEY: key } = process.env;
const id = crypto.randomUUID();
const messages = [{ id: "q1", role: "user", parts: [{ type: "text", text: "My name is Ada" }] }];
const headers = { "X-User": "ada" };
const answer = await POST(new Request("http://app/", { method: "POST", headers, body: JSON.stringify({ id, messages }) }));
await answer.text();

const store = new VerbatimStore({ client: new Client({ url, key, subject: "ada" }) });
let kept = [];
// Another client than the route's may not see yet what that has written.
while (kept.length < 2) kept = await store.load(id);
for (const { role, parts } of kept) {
  console.log(`${role}: ${parts.map((part) => (part.type === "text" ? part.text : "")).join("")}`);
}
