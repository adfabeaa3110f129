// `OpenAIConversationsSession` of the OpenAI Agents SDK for JavaScript, unmodified, over Verbatim's /v1:
// `frameworks.py` starts it.
import assert from "node:assert/strict";
import {
  Agent, MemorySession, OpenAIConversationsSession, run, setTracingDisabled, tool, Usage,
} from "@openai/agents";
import OpenAI from "openai";

setTracingDisabled(true);
const client = new OpenAI({
  baseURL: `${process.env.VERBATIM_URL}/v1`,
  apiKey: process.env.VERBATIM_KEY,
  defaultHeaders: { "Verbatim-User": "javascript agents" },
});
client.idempotencyHeader = "Idempotency-Key";

const session = (conversationId) => new OpenAIConversationsSession({ client, conversationId });
const said = (...texts) => texts.map((content) => ({ role: "user", content }));
const texts = (items) => items.map((item) => item.content[0].text);

// What is empty, a limit, the tail, and the end.
const one = session();
assert.deepEqual(await one.getItems(), []);
assert.equal(await one.popItem(), undefined);
await one.addItems([]);
await one.addItems(said("a", "b", "c", "c"));
assert.deepEqual(texts(await one.getItems()), ["a", "b", "c", "c"]);
assert.deepEqual(texts(await one.getItems(2)), ["c", "c"]);
assert.deepEqual(await one.getItems(0), []);
assert.equal((await one.popItem()).content[0].text, "c");
const many = [...Array(130).keys()].map(String);
for (const some of [many.slice(0, 70), many.slice(70)]) await one.addItems(said(...some));
assert.deepEqual(texts(await one.getItems()), ["a", "b", "c", ...many]);
assert.deepEqual(texts(await one.getItems(110)), many.slice(-110));
// A request takes up to 100 items; of more, none is stored.
await assert.rejects(one.addItems(said(...many)), OpenAI.BadRequestError);
assert.equal((await one.getItems()).length, 133);
const before = await one.getSessionId();
assert.deepEqual(texts(await session(before).getItems(1)), ["129"]);
await one.clearSession();
assert.deepEqual(await one.getItems(), []);
assert.notEqual(await one.getSessionId(), before);

// A turn with a tool is remembered by the next, and one that fails leaves what it leaves in the SDK's own store.
class Model {
  constructor(...steps) {
    this.steps = steps;
    this.asked = [];
  }

  async getResponse(request) {
    this.asked.push(request.input);
    const output = this.steps.shift();
    if (output === undefined) throw new Error("boom");
    return { usage: new Usage(), output };
  }
}

const answer = (text) => ({
  type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text }],
});
const call = { type: "function_call", callId: "c1", name: "weather", arguments: '{"city":"Paris"}', status: "completed" };
const weather = tool({
  name: "weather",
  description: "Tell the weather.",
  strict: false,
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: true },
  execute: async () => "sunny",
});
const turn = ["user", "function_call", "function_call_result", "assistant"];
for (const talk of [new MemorySession(), session()]) {
  const model = new Model([call], [answer("Sunny.")], [answer("Yes.")]);
  const agent = new Agent({ name: "guide", model, tools: [weather] });
  for (const question of ["In Paris?", "Really?"]) await run(agent, question, { session: talk });
  await assert.rejects(run(agent, "And now?", { session: talk }), /boom/);

  const kinds = (await talk.getItems()).map((item) => item.role ?? item.type);
  assert.deepEqual(kinds, [...turn, "user", "assistant"]);
  assert.equal(model.asked.at(-2).length, 5);
}
console.log("ok");
