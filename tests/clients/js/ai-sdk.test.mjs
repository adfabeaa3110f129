/** `clients/js/ai-sdk` against a running server, without the AI SDK: tests/clients/test_js.py starts it. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { chunksOf } from "../../../clients/js/ai-sdk/src/chunks.js";
import { VerbatimStore, VerbatimTransport } from "../../../clients/js/ai-sdk/src/index.js";
import { uiMessageOf } from "../../../clients/js/ai-sdk/src/messages.js";
import { Client } from "../../../clients/js/client/src/index.js";

const { VERBATIM_URL: url, VERBATIM_SLOW_URL: slowUrl, VERBATIM_KEY: key } = process.env;

function somebody(subject = randomUUID()) {
  return new Client({ url, key, subject });
}

/** Whose answers take half a minute, by another process: they are still being made when they are looked at. */
function patient(subject = randomUUID()) {
  return new Client({ url: slowUrl, key, subject });
}

function message(text, id = randomUUID()) {
  return { id, role: "user", parts: [{ type: "text", text }] };
}

async function all(items) {
  const found = [];
  for await (const item of items) found.push(item);
  return found;
}

function send(transport, chatId, messages, more = {}) {
  const sending = { trigger: "submit-message", messageId: undefined, abortSignal: undefined };
  return transport.sendMessages({ ...sending, chatId, messages, ...more });
}

/** Say something as `useChat` does, and return what it would show then. */
async function said(transport, chatId, messages, more = {}) {
  const chunks = await all(await send(transport, chatId, messages, more));
  return [...messages, shown(chunks)];
}

function shown(chunks) {
  const text = chunks.map((chunk) => (chunk.type === "text-delta" ? chunk.delta : "")).join("");
  return { id: chunks[0].messageId, role: "assistant", text, metadata: chunks.at(-1).messageMetadata };
}

function summary(messages) {
  const words = ({ text, parts }) => text ?? parts.map((part) => part.text ?? "").join("");
  return messages.map((one) => [one.id, one.role, words(one)]);
}

test("what is said has the same ids and the same text when it is loaded again", async () => {
  const client = somebody();
  const transport = new VerbatimTransport({ client });
  const chatId = `my chat/${randomUUID()}`;
  assert.deepEqual(await transport.load(chatId), []);
  assert.equal(await transport.reconnectToStream({ chatId }), null);
  assert.deepEqual(await all(client.conversations()), []);

  const asked = { ...message("My name is Ada 🦊"), metadata: { at: 7 } };
  const first = await said(transport, chatId, [asked]);
  const messages = await said(transport, chatId, [...first, message("What did I say first?")]);
  const loaded = await transport.load(chatId);

  assert.deepEqual(summary(loaded), summary(messages));
  assert.deepEqual(loaded[0], asked);
  assert.deepEqual(loaded[1].metadata, messages[1].metadata);
  assert.equal(loaded[1].metadata.status, "stored");
  assert.deepEqual(summary(await transport.load(chatId, { last: 1 })), summary(messages.slice(-1)));
  assert.deepEqual(await all(client.conversations()).then((found) => found.map((one) => one.external_id)), [chatId]);
});

test("thoughts and tools are parts, and come again in the same places", async () => {
  const client = somebody();
  const transport = new VerbatimTransport({ client });
  const { sessionId } = await client.startChat();
  const chunks = await all(await send(transport, sessionId, [message("What time is it? Use a tool.")]));
  const types = chunks.map((chunk) => chunk.type);
  const [, answer] = await transport.load(sessionId);

  const call = chunks.find((chunk) => chunk.type === "tool-input-available");
  const result = chunks.find((chunk) => chunk.type === "tool-output-available");
  const part = answer.parts.find((one) => one.type === "dynamic-tool");
  assert.equal(types.filter((type) => type === "text-start").length, types.filter((type) => type === "text-end").length);
  assert.equal(types.filter((type) => type === "start-step").length, 2);
  assert.deepEqual([part.input, part.output, part.state], [call.input, result.output, "output-available"]);
  const kinds = { "start-step": "step-start", "text-start": "text", "reasoning-start": "reasoning", "tool-input-available": "dynamic-tool" };
  assert.deepEqual(answer.parts.map((one) => one.type), types.map((type) => kinds[type]).filter(Boolean));
});

test("parts stand between the words, whether they come with them or before all of them", async () => {
  const parts = [
    { type: "reasoning", at: 0, text: "hm" },
    { type: "tool_call", at: 2, id: "", name: "clock", arguments: "{" },
    { type: "tool_result", at: 2, id: "", content: '{"time": 1}' },
    { type: "tool_result", at: 2, id: "cut off", content: "nothing" },
    { type: "a kind of tomorrow", at: 2 },
    { type: "tool_call", at: 4, id: "", name: "clock", arguments: "{}" },
  ];
  const part = (index) => ({ type: "part", index, part: parts[index] });
  const delta = (text) => ({ type: "delta", text });
  const start = { type: "start", messageId: 7 };
  const end = { type: "end", answer: { replyId: 9, messageId: 7, status: "stored", extra: { finish: "length" } } };
  const live = [start, part(0), delta("🦊"), delta("a"), ...[1, 2, 3, 4].map(part), delta("bc"), part(5), end];
  const again = [start, ...[0, 1, 2, 3, 4, 5].map(part), delta("🦊abc"), end];
  const chunks = await all(chunksOf(live));
  const merged = ({ type, delta: text, ...rest }) => JSON.stringify([type, rest]);
  const unique = (list) => list.filter((one, at) => one !== list[at - 1]);
  const stored = { id: 9, role: "assistant", content: "🦊abc", status: "stored", external_id: null };
  const loaded = uiMessageOf({ ...stored, extra: { format: "verbatim/1", turn: 7, parts } });

  assert.deepEqual(unique((await all(chunksOf(again))).map(merged)), unique(chunks.map(merged)));
  assert.equal(chunks.at(-1).finishReason, "length");
  assert.equal(loaded.id, chunks[0].messageId);
  assert.deepEqual(
    loaded.parts.map((one) => [one.type, one.text ?? one.output ?? one.input]),
    [
      ["step-start", undefined],
      ["reasoning", "hm"],
      ["text", "🦊a"],
      ["dynamic-tool", { time: 1 }],
      ["step-start", undefined],
      ["text", "bc"],
      ["dynamic-tool", {}],
    ],
  );
  assert.equal(new Set(loaded.parts.map((one) => one.toolCallId)).size, 3);
});

test("another tab goes on with an answer, also with one that has ended meanwhile", async () => {
  const subject = randomUUID();
  const client = patient(subject);
  const transport = new VerbatimTransport({ client });
  const other = new VerbatimTransport({ client: somebody(subject) });
  const { sessionId: chatId } = await client.startChat();
  const asked = message("one");
  const reading = (await send(transport, chatId, [asked])).getReader();
  const { value: start } = await reading.read();
  assert.deepEqual(summary(await other.load(chatId)), summary([asked]));
  const resumed = all(await other.reconnectToStream({ chatId }));
  const late = new VerbatimTransport({ client });
  assert.equal((await late.load(chatId)).length, 1);
  await late.stop(chatId);
  const answer = shown(await resumed);
  reading.cancel();

  assert.equal(answer.id, start.messageId);
  assert.deepEqual(shown(await all(await late.reconnectToStream({ chatId }))), answer);
  assert.equal(await other.reconnectToStream({ chatId: (await client.startChat()).sessionId }), null);
  assert.deepEqual(summary(await transport.load(chatId)), summary([asked, answer]));
});

test("what is said before it is known whether there is an answer to go on with is answered once", async () => {
  const client = patient();
  const { sessionId: chatId } = await client.startChat();
  const transport = new VerbatimTransport({ client });
  const happened = [];
  const resuming = transport.reconnectToStream({ chatId }).finally(() => happened.push("resumed"));
  const reading = (await send(transport, chatId, [message("one")])).getReader();
  await reading.read();
  await client.turns(chatId);
  happened.push("stopped");
  await transport.stop(chatId);
  while (!(await reading.read()).done);

  assert.equal(await resuming, null);
  assert.deepEqual(happened, ["stopped", "resumed"]);
  const again = transport.reconnectToStream({ chatId });
  await assert.rejects(send(transport, chatId, []));
  assert.equal(await again, null);
});

test("an answer is stopped where it is, and goes on when only its page is left", async () => {
  const client = patient();
  const { sessionId: chatId } = await client.startChat();
  const transport = new VerbatimTransport({ client });
  const first = await send(transport, chatId, [message("one")]);
  const chunks = [];
  for await (const chunk of first) {
    chunks.push(chunk);
    if (chunks.filter((one) => one.type === "text-delta").length === 2) await transport.stop(chatId);
  }
  const stopped = shown(chunks);
  assert.equal(chunks.at(-1).finishReason, "other");
  assert.equal(stopped.metadata.status, "interrupted");
  assert.deepEqual(summary((await transport.load(chatId)).slice(-1)), summary([stopped]));

  for (const stopsOnAbort of [false, true]) {
    const leaving = new AbortController();
    const left = new VerbatimTransport({ client, stopsOnAbort });
    const reader = (await send(left, chatId, [message("one")], { abortSignal: leaving.signal })).getReader();
    while ((await reader.read()).value.type !== "text-delta");
    leaving.abort(new Error("left"));
    await assert.rejects(async () => { for (;;) await reader.read(); }, { message: "left" });
    const [running] = await client.turns(chatId);
    if (stopsOnAbort) assert.equal((await ended(left, chatId)).metadata.status, "interrupted");
    else assert.ok(running);
    await client.stop(chatId);
  }
});

async function ended(transport, chatId) {
  for (;;) {
    const last = (await transport.load(chatId, { last: 1 }))[0];
    if (last.role === "assistant") return last;
  }
}

test("a message is said anew, and answered anew, in its place", async () => {
  const client = somebody();
  const transport = new VerbatimTransport({ client });
  const { sessionId: chatId, conversationId } = await client.startChat();
  const one = await said(transport, chatId, [message("one", "mine-1")]);
  const two = await said(transport, chatId, [...one, message("two", "mine-2")]);
  const again = { trigger: "regenerate-message", messageId: two[3].id };
  const regenerated = await said(transport, chatId, two.slice(0, 3), again);
  assert.notEqual(regenerated[3].id, two[3].id);
  assert.deepEqual(summary(await transport.load(chatId)), summary(regenerated));

  const edited = await said(transport, chatId, [message("uno", "mine-1")], { messageId: "mine-1" });
  assert.deepEqual(summary(await transport.load(chatId)), summary(edited));
  const after = await said(transport, chatId, [...edited, message("dos", "mine-3")]);
  assert.deepEqual(summary(await transport.load(chatId)), summary(after));
  const earlier = { trigger: "regenerate-message", messageId: after[1].id };
  const first = await said(transport, chatId, after.slice(0, 1), earlier);
  assert.deepEqual(summary(await transport.load(chatId)), summary(first));
  assert.equal((await client.branches(conversationId)).length, 3);
});

test("what never arrived is not taken for an earlier message when it is tried again", async () => {
  const client = somebody();
  const { sessionId: chatId } = await client.startChat();
  const transport = new VerbatimTransport({ client });
  const one = await said(transport, chatId, [message("one")]);
  const lost = message("two");
  const again = { trigger: "regenerate-message" };
  const messages = await said(transport, chatId, [...one, lost], again);
  await said(transport, chatId, [...one, lost]);

  assert.deepEqual(summary(await transport.load(chatId)), summary(messages));
  const file = { type: "file", mediaType: "image/png", url: "data:," };
  await assert.rejects(send(transport, chatId, [{ ...message(""), parts: [file] }]), /no files/);
  await assert.rejects(send(transport, chatId, messages), /only messages of the user's/);
});

test("the store keeps a chat as it is: nothing twice, what is no more aside", async () => {
  const client = somebody();
  const store = new VerbatimStore({ client });
  const chatId = randomUUID();
  const answer = (id, text, more = []) => ({ id, role: "assistant", metadata: { n: 1 }, parts: [{ type: "text", text }, ...more] });
  const tool = { type: "tool-clock", toolCallId: "a", state: "input-available", input: { zone: "\0\ud83d" } };
  let messages = [message("one"), answer("a1", "eins")];
  assert.deepEqual(await store.load(chatId), []);
  const kept = async () => {
    await Promise.all([store.save({ chatId, messages }), store.save({ chatId, messages })]);
    assert.deepEqual(await store.load(chatId), messages);
  };

  await kept();
  await kept();
  messages = [...messages, message("two \0 \ud83d"), answer("a2", "", [tool])];
  await kept();
  messages = [...messages.slice(0, 3), answer("a2", "zwei", [{ ...tool, state: "output-available", output: 2 }])];
  await kept();
  messages = [...messages.slice(0, 3), answer("a3", "zwo")];
  await kept();
  messages = [message("uno", messages[0].id)];
  await kept();
  messages = Array.from({ length: 250 }, (_, n) => message(`number ${n}`));
  await kept();

  const { id } = await client.conversation(chatId);
  assert.equal((await client.branches(id)).length, 3);
  assert.deepEqual(await all(client.search("number 249")).then((hits) => hits.length), 1);
});

test("messages of a model's come back as they were", async () => {
  const client = somebody();
  const store = new VerbatimStore({ client });
  const chatId = randomUUID();
  await store.save({ chatId, messages: [message("What time is it?")] });
  const call = { type: "tool-call", toolCallId: "a", toolName: "clock", input: {} };
  const result = { type: "tool-result", toolCallId: "a", toolName: "clock", output: { type: "json", value: 1 } };
  const messages = [
    { role: "assistant", content: [{ type: "text", text: "Let me see. " }, call] },
    { role: "tool", content: [result] },
    { role: "assistant", content: [{ type: "file", mediaType: "a/b", data: new Uint8Array([0, 255]) }] },
  ];
  await store.append({ chatId, messages, idempotencyKey: "once" });
  await store.append({ chatId, messages, idempotencyKey: "once" });

  messages[2].content[0].data = "AP8=";
  assert.deepEqual(await store.loadModel(chatId), [{ role: "user", content: "What time is it?" }, ...messages]);
  assert.deepEqual((await store.load(chatId)).map((one) => one.parts[0]?.text), ["What time is it?", "Let me see. ", undefined]);
});
