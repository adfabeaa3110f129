// A thousand writes of OpenAI's SDK, of which each tenth answer is lost on the way: `frameworks.py` starts it, behind
// a proxy that cuts connections.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.VERBATIM_URL}/v1`,
  apiKey: process.env.VERBATIM_KEY,
  defaultHeaders: { "Verbatim-User": "javascript, lost" },
  maxRetries: 12,
});
client.idempotencyHeader = "Idempotency-Key";

const { id } = await client.conversations.create();
const wanted = [...Array(1_000).keys()].map((number) => `number ${number}`);
const left = [...wanted];
const write = async () => {
  while (left.length > 0) {
    await client.conversations.items.create(id, { items: [{ role: "user", content: left.pop() }] });
  }
};
await Promise.all([...Array(50)].map(write));

const found = [];
for await (const item of client.conversations.items.list(id)) found.push(item.content[0].text);
assert.deepEqual(found.sort(), wanted.sort());
console.log("ok");
