/** `clients/js/client` against a running server: tests/clients/test_js.py starts it. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { Client, Problem } from "../../../clients/js/client/src/index.js";

const { VERBATIM_URL: url, VERBATIM_KEY: key } = process.env;

function somebody(options = {}) {
  return new Client({ url, key, subject: `ada ü🦊 ${randomUUID()}`, ...options });
}

async function all(items) {
  const found = [];
  for await (const item of items) found.push(item);
  return found;
}

async function contents(client, conversation) {
  return (await all(client.messages(conversation))).map((message) => message.content);
}

function said(...texts) {
  return texts.map((content) => ({ role: "user", content }));
}

test("a conversation is opened once, changed, listed, forked and deleted", async () => {
  const client = somebody();
  const opened = await client.openConversation({ external_id: "order/7", metadata: { a: [1] } });
  const again = await client.openConversation({ external_id: "order/7", title: "left aside" });
  await client.changeConversation("order/7", { title: "An order", archived: true });
  await client.addMessages("order/7", said("one", "two"));
  const copy = await client.fork("order/7", 1, { title: "A copy" });
  const listed = await all(client.conversations({ pageSize: 1 }));
  const read = await client.conversation("order/7");
  await client.deleteConversation(opened.id);

  assert.equal(again.id, opened.id);
  assert.equal(read.title, "An order");
  assert.deepEqual(read.metadata, { a: [1] });
  assert.deepEqual(new Set(listed.map((one) => one.id)), new Set([opened.id, copy.id]));
  assert.deepEqual(await contents(client, copy.id), ["one"]);
  await assert.rejects(client.conversation(opened.id), { name: "Problem", status: 404 });
});

test("messages are added, changed, deleted, cut off and brought back", async () => {
  const client = somebody();
  const { id } = await client.openConversation();
  const extra = { a: "\0 \ud83d \u2028", b: [1.5, null] };
  const one = await client.addMessage(id, { role: "user", content: "one", external_id: "m/1", extra });
  const batch = await client.addMessages(id, said("two", "two", "three"), { ifLast: one.id });
  assert.deepEqual((await client.findMessage(id, "m/1"))?.extra, extra);
  assert.equal(await client.findMessage(id, "m/2"), null);
  await client.putMessage(id, "m/1", { content: "first", extra: null });
  await client.deleteMessage(id, batch.messages[0].id);
  const cut = await client.truncate(id, batch.messages[1].id, { keep: true });
  const [aside] = await client.branches(id);
  assert.deepEqual(await contents(client, id), ["first", ""]);
  await assert.rejects(client.addMessage(id, said("late")[0], { ifLast: one.id }), { status: 409 });
  await client.switchTo(id, cut.entry_id);

  assert.equal(aside.messages, 2);
  assert.deepEqual(await contents(client, id), ["first", "", "two", "three"]);
});

test("lists go on page after page in both directions", async () => {
  const client = somebody();
  const { id } = await client.openConversation();
  await client.addMessages(id, said(..."abcdefghij"));
  const positions = async (messages) => (await all(messages)).map((one) => one.position);

  const upwards = await positions(client.messages(id, { pageSize: 3 }));
  assert.deepEqual(upwards, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(await positions(client.messages(id, { after: 7, pageSize: 2 })), [8, 9, 10]);
  assert.deepEqual(await positions(client.latestMessages(id, { pageSize: 3 })), upwards.reverse());
  assert.deepEqual(await positions(client.latestMessages(id, { before: 3, pageSize: 1 })), [2, 1]);
});

test("messages are found by their words", async () => {
  const client = somebody();
  const { id } = await client.openConversation({ title: "A trip" });
  await client.addMessages(id, said("We fly to Zürich", "Rain in Zürich", "Stay"));

  const hits = await all(client.search("zurich -rain", { pageSize: 1 }));
  assert.deepEqual(hits.map((hit) => [hit.conversation_id, hit.position]), [[id, 1]]);
});

test("each person has conversations of their own, and reads include what was written", async () => {
  const program = new Client({ url, key });
  const names = [randomUUID(), randomUUID()];
  const { id } = await program.actingFor(names[0]).openConversation();
  for (let number = 1; number <= 20; number++) {
    await program.actingFor(names[0]).addMessage(id, said(`${number}`)[0]);
    assert.equal((await contents(program.actingFor(names[0]), id)).length, number);
  }

  assert.deepEqual(await all(program.actingFor(names[1]).conversations()), []);
  await assert.rejects(program.actingFor(names[1]).conversation(id), { status: 404 });
});

test("what is refused says why, at once", async () => {
  const client = somebody();
  const { id } = await client.openConversation();

  await assert.rejects(client.addMessages(id, []), { status: 422 });
  await assert.rejects(
    client.addMessages(id, [said("one")[0], { role: "nobody" }]),
    (error) => error instanceof Problem && error.errors[0].field === "messages.1.role",
  );
  await assert.rejects(somebody({ key: "vbk_of_nobody" }).me(), { status: 401 });
  await assert.rejects(all(client.messages(id, { pageSize: 0 })), { status: 422 });
  assert.throws(() => new Client({ url, username: "ada" }), TypeError);
  assert.deepEqual(await contents(client, id), []);
});

test("a stream can be left, watched again, stopped and answered anew", async () => {
  const client = somebody();
  const { sessionId } = await client.startChat();
  const stream = client.stream(sessionId, "word ".repeat(2000));
  const { value: start } = await stream.next();
  await stream.next();
  await stream.return();
  assert.deepEqual(await client.stop(sessionId, start.messageId), [start.messageId]);
  const watched = await all(client.watch(sessionId, start.messageId));
  assert.equal(watched.at(-1).answer.status, "interrupted");

  const again = await all(client.stream(sessionId, "What time is it? Use a tool.", { parts: true }));
  const parts = again.filter((event) => event.type === "part").map((event) => event.part);
  assert.deepEqual(again.at(-1).answer.extra.parts, parts);
  const other = await client.regenerate(sessionId);
  const history = await all(client.history(sessionId, { pageSize: 1 }));
  assert.equal(history.at(-1).content, other.response);
  await client.endChat(sessionId);
  await assert.rejects(client.say(sessionId, "more"), { status: 409 });
});

test("a stream that is aborted throws the reason", async () => {
  const client = somebody();
  const { sessionId } = await client.startChat();
  const leaving = new AbortController();
  const stream = client.stream(sessionId, "word ".repeat(2000), { signal: leaving.signal });
  await stream.next();
  leaving.abort(new Error("enough"));
  await assert.rejects(all(stream), { message: "enough" });
  await client.stop(sessionId);
});

test("many calls at once sign in once, and a session that was ended is opened anew", async () => {
  const { VERBATIM_USERNAME: username, VERBATIM_PASSWORD: password } = process.env;
  const paths = [];
  let token = "";
  const client = new Client({
    url,
    username,
    password,
    fetch: (input, init) => {
      paths.push(new URL(String(input)).pathname);
      token = new Headers(init.headers).get("Authorization") ?? token;
      return fetch(input, init);
    },
  });
  await Promise.all([client.me(), client.me(), client.me()]);
  assert.equal(paths.filter((path) => path === "/auth/login").length, 1);

  await fetch(`${url}/auth/logout`, { method: "POST", headers: { Authorization: token } });
  await Promise.all([client.openConversation(), client.openConversation()]);
  assert.equal(paths.filter((path) => path === "/auth/refresh").length, 1);
  assert.equal(paths.filter((path) => path === "/auth/login").length, 2);
});
