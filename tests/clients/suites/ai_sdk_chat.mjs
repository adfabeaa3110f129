/** The AI SDK's own `Chat`, and `streamText`, with `@verbatim/ai-sdk`: tests/clients/javascript.py runs it. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { test } from "node:test";
import { Chat } from "@ai-sdk/react";
import { VerbatimStore, VerbatimTransport } from "@verbatim/ai-sdk";
import { Client } from "@verbatim/client";
import * as ai from "ai";
import * as testing from "ai/test";

const { VERBATIM_URL: url, VERBATIM_SLOW_URL: slowUrl, VERBATIM_KEY: key, AI_MAJOR: major } = process.env;
const { version } = createRequire(import.meta.url)("ai/package.json");

function somebody(subject = randomUUID()) {
  return new Client({ url, key, subject });
}

/** Whose answers take half a minute, by another process: they are still being made when they are looked at. */
function patient(subject = randomUUID()) {
  return new Client({ url: slowUrl, key, subject });
}

/** As JSON, which knows no `undefined`: what a page would be given. */
function plain(value) {
  return JSON.parse(JSON.stringify(value));
}

function opened(transport, id, messages = []) {
  const errors = [];
  const chat = new Chat({ id, messages, transport, onError: (error) => errors.push(error) });
  return { chat, errors };
}

async function until(is) {
  while (!is()) await new Promise((resolve) => setTimeout(resolve, 5));
}

function words(message) {
  return (message?.parts ?? []).map((part) => (part.type === "text" ? part.text : "")).join("");
}

test("this is the major that is meant", () => assert.equal(version.split(".")[0], major));

test("a chat is the same after a reload: sent, answered again, edited, with tools", async () => {
  const client = somebody();
  const { chat, errors } = opened(new VerbatimTransport({ client }), randomUUID());
  const check = async (length) => {
    const loaded = await new VerbatimTransport({ client }).load(chat.id);
    assert.equal(loaded.length, length);
    assert.deepEqual(plain(chat.messages), plain(loaded));
    await ai.validateUIMessages({ messages: loaded });
    assert.ok((await ai.convertToModelMessages(loaded)).length >= length);
  };

  await chat.sendMessage({ text: "My name is Ada 🦊", metadata: { at: 7 } });
  await check(2);
  await chat.sendMessage({ text: "What time is it? Use a tool." });
  await check(4);
  const before = chat.messages.at(-1).id;
  await chat.regenerate();
  await check(4);
  assert.notEqual(chat.messages.at(-1).id, before);
  await chat.sendMessage({ text: "My name is Bob", messageId: chat.messages[0].id });
  await check(2);
  await chat.regenerate({ messageId: chat.messages[0].id });
  await check(2);
  assert.match(words(chat.messages[1]), /My name is Bob/);
  assert.deepEqual([errors, chat.status], [[], "ready"]);
});

test("a second chat goes on with the answer of the first, and one that is stopped ends in both", async () => {
  const subject = randomUUID();
  const transport = new VerbatimTransport({ client: patient(subject) });
  const first = opened(transport, randomUUID());
  const sending = first.chat.sendMessage({ text: "one" });
  await until(() => words(first.chat.messages[1]));
  const other = new VerbatimTransport({ client: somebody(subject) });
  const second = opened(other, first.chat.id, await other.load(first.chat.id));
  const resuming = second.chat.resumeStream();
  await until(() => words(second.chat.messages[1]));
  await other.stop(first.chat.id);
  await Promise.all([sending, resuming]);

  assert.equal(first.chat.messages[1].metadata.status, "interrupted");
  assert.deepEqual(plain(second.chat.messages), plain(first.chat.messages));
  assert.deepEqual(plain(await other.load(first.chat.id)), plain(first.chat.messages));
  assert.deepEqual([first.errors, second.errors], [[], []]);
});

test("an answer that ended before its chat was opened again is shown all the same", async () => {
  const client = patient();
  const transport = new VerbatimTransport({ client });
  const first = opened(transport, randomUUID());
  const sending = first.chat.sendMessage({ text: "one" });
  await until(() => words(first.chat.messages[1]));
  const loaded = await transport.load(first.chat.id);
  await transport.stop(first.chat.id);
  await sending;
  const late = new VerbatimTransport({ client, loaded: { [first.chat.id]: loaded } });
  const second = opened(late, first.chat.id, loaded);
  await second.chat.resumeStream();

  assert.equal(loaded.length, 1);
  assert.deepEqual(plain(second.chat.messages), plain(first.chat.messages));
});

test("`stop` leaves an answer, or ends it where that is wanted", async () => {
  const client = patient();
  for (const stopsOnAbort of [false, true]) {
    const transport = new VerbatimTransport({ client, stopsOnAbort });
    const { chat, errors } = opened(transport, randomUUID());
    const sending = chat.sendMessage({ text: "one" });
    await until(() => words(chat.messages[1]));
    await chat.stop();
    await sending;
    const { id } = await client.conversation(chat.id);
    const session = `sess_${id.toString(16)}`;
    if (!stopsOnAbort) assert.equal((await client.turns(session)).length, 1);
    await client.stop(session);
    await until(() => chat.status === "ready");
    assert.deepEqual(errors, []);
  }
});

test("what is refused is the chat's error, and can be tried again", async () => {
  const client = somebody();
  let isDown = true;
  const flaky = new Client({
    ...{ url, key, subject: randomUUID(), retrySeconds: 0 },
    fetch: (...call) => (isDown ? Promise.reject(new TypeError("fetch failed")) : fetch(...call)),
  });
  const transport = new VerbatimTransport({ client: flaky });
  const { chat } = opened(transport, randomUUID());
  await chat.sendMessage({ text: "one" });
  assert.equal(chat.error.name, "NoAnswer");
  isDown = false;
  await chat.regenerate();

  assert.equal(chat.status, "ready");
  assert.deepEqual(plain(await transport.load(chat.id)), plain(chat.messages));
  const nobody = opened(new VerbatimTransport({ client }), "sess_1");
  await nobody.chat.sendMessage({ text: "one" });
  assert.equal(nobody.chat.error.status, 404);
});

/** A model that says what it is told to, and looks what is stored by then. */
function model(chunks, asked) {
  const Model = testing.MockLanguageModelV4 ?? testing.MockLanguageModelV3;
  return new Model({
    doStream: async () => {
      await asked();
      return { stream: ai.simulateReadableStream({ chunks, initialDelayInMs: null, chunkDelayInMs: null }) };
    },
  });
}

test("`streamText` with the store: the question is there before the model is asked", async () => {
  const store = new VerbatimStore({ client: somebody() });
  const chatId = randomUUID();
  const usage = { inputTokens: { total: 1, noCache: 1 }, outputTokens: { total: 1, text: 1 } };
  const chunks = [
    { type: "stream-start", warnings: [] },
    { type: "reasoning-start", id: "0" },
    { type: "reasoning-delta", id: "0", delta: "hm" },
    { type: "reasoning-end", id: "0" },
    { type: "text-start", id: "1" },
    { type: "text-delta", id: "1", delta: "Hello" },
    { type: "text-delta", id: "1", delta: " there" },
    { type: "text-end", id: "1" },
    { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage },
  ];
  const seen = [];
  // What a route of an application does, with `messages` as `useChat` sends them.
  const answer = async (messages) => {
    await store.save({ chatId, messages });
    const result = ai.streamText({
      model: model(chunks, async () => seen.push((await store.load(chatId)).length)),
      messages: await ai.convertToModelMessages(messages),
    });
    const saved = deferred();
    const response = result.toUIMessageStreamResponse({
      originalMessages: messages,
      generateMessageId: ai.createIdGenerator({ prefix: "msg", size: 16 }),
      onFinish: ({ messages }) => saved.resolve(store.save({ chatId, messages }).then(() => messages)),
    });
    await response.text();
    const { messages: made } = await result.response;
    return { messages: await saved.promise, made };
  };
  const asked = { id: "q1", role: "user", parts: [{ type: "text", text: "Hi" }] };
  const first = await answer([asked]);
  const second = await answer([...first.messages, { ...asked, id: "q2" }]);
  const anew = await answer(second.messages.slice(0, 3));

  assert.deepEqual(seen, [1, 3, 3]);
  assert.deepEqual(await store.load(chatId), plain(anew.messages));
  assert.equal(words(anew.messages[3]), "Hello there");
  assert.notEqual(anew.messages[3].id, second.messages[3].id);
  const other = randomUUID();
  await store.append({ chatId: other, messages: [{ role: "user", content: "Hi" }, ...anew.made] });
  assert.deepEqual(await store.loadModel(other), plain([{ role: "user", content: "Hi" }, ...anew.made]));
});

function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
