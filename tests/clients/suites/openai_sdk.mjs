// The official SDK of OpenAI's for JavaScript, unmodified, over Verbatim's /v1: `frameworks.py` starts it.
import assert from "node:assert/strict";
import OpenAI from "openai";

const options = {
  baseURL: `${process.env.VERBATIM_URL}/v1`,
  apiKey: process.env.VERBATIM_KEY,
  defaultHeaders: { "Verbatim-User": "javascript" },
};
const said = (...texts) => texts.map((content) => ({ role: "user", content }));
const numbers = [...Array(130).keys()].map(String);

let forgotten = 0;
const client = new OpenAI({
  ...options,
  maxRetries: 5,
  // The answer of each third write is lost.
  fetch: async (url, init) => {
    const answer = await fetch(url, init);
    if (init.method === "POST" && ++forgotten % 3 === 0) {
      await answer.arrayBuffer();
      throw new TypeError("the connection was lost");
    }
    return answer;
  },
});
client.idempotencyHeader = "Idempotency-Key";

const { conversations } = client;
const opened = await conversations.create({ metadata: { topic: "demo" }, items: said("Hello") });
assert.deepEqual(await conversations.retrieve(opened.id), opened);
const changed = await conversations.update(opened.id, { metadata: { topic: "other" } });
assert.deepEqual(changed.metadata, { topic: "other" });

for (let at = 0; at < numbers.length; at += 10) {
  await conversations.items.create(opened.id, { items: said(...numbers.slice(at, at + 10)) });
}
const found = [];
for await (const item of conversations.items.list(opened.id, { order: "asc" })) found.push(item);
assert.deepEqual(found.map((item) => item.content[0].text), ["Hello", ...numbers]);
assert.ok(forgotten > 12);

const last = found.at(-1);
assert.deepEqual(
  await conversations.items.retrieve(last.id, { conversation_id: opened.id }), last);
await conversations.items.delete(last.id, { conversation_id: opened.id });
const [latest] = (await conversations.items.list(opened.id)).data;
assert.equal(latest.content[0].text, "128");

await assert.rejects(conversations.items.list(opened.id, { limit: 0 }), OpenAI.BadRequestError);
assert.deepEqual((await conversations.delete(opened.id)).deleted, true);
await assert.rejects(conversations.retrieve(opened.id), (error) => {
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.equal(error.code, "not_found");
  assert.equal(error.message, "404 there is no such conversation");
  return true;
});

// Responses: the model behind calls the tool that it is given, then says what that answered.
const { responses } = client;
const tools = [{ type: "function", name: "weather", parameters: { type: "object" }, strict: false }];
const asked = await responses.create({ model: "small", input: "Weather?", tools });
const [call] = asked.output;
assert.deepEqual([call.type, call.name, call.call_id], ["function_call", "weather", "call_1"]);
const output = { type: "function_call_output", call_id: call.call_id, output: "sunny" };
const making = responses.stream({
  model: "small", input: [output], tools, previous_response_id: asked.id, background: true,
});
const events = [];
for await (const event of making) events.push(event);
const told = await making.finalResponse();
assert.equal(told.output_text, "You said: sunny");
assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
const resumed = await responses.retrieve(told.id, { stream: true, starting_after: 3 });
const rest = [];
for await (const event of resumed) rest.push(event);
assert.equal(rest[0].sequence_number, 4);
assert.equal(rest.at(-1).response.output[0].content[0].text, "You said: sunny");
const inputs = await responses.inputItems.list(told.id);
assert.deepEqual(inputs.data.map((item) => item.type), ["function_call_output"]);
assert.equal((await responses.cancel(told.id)).status, "completed");
const items = await conversations.items.list(asked.conversation.id, { order: "asc" });
assert.deepEqual(
  items.data.map((item) => item.type),
  ["message", "function_call", "function_call_output", "message"],
);
await responses.delete(told.id);
await assert.rejects(responses.retrieve(told.id), OpenAI.NotFoundError);
console.log("ok");
