/** Writes and a stream whose answers are cut; prints what became of them. */

import { Client } from "../../../clients/js/client/src/index.js";

const [url, key, subject, text] = process.argv.slice(2);
const client = new Client({ url, key, subject });

const { id } = await client.openConversation({ title: "once" });
const one = await client.addMessage(id, { role: "user", content: "one" });
await client.addMessage(id, { role: "user", content: "two" }, { ifLast: one.id });
await client.addMessages(id, [{ role: "user", content: "three" }]);
const said = [];
for await (const message of client.messages(id)) said.push(message.content);

const { sessionId } = await client.startChat();
const types = new Set();
let shown = "";
let answer = null;
for await (const event of client.stream(sessionId, text)) {
  types.add(event.type);
  if (event.type === "delta") shown += event.text;
  if (event.type === "end") answer = event.answer.response;
}
console.log(JSON.stringify({ said, types: [...types], shown, answer }));
