// What the packages' types promise to those of the AI SDK: tests/clients/javascript.py has it checked.

import { useChat } from "@ai-sdk/react";
import { VerbatimStore, VerbatimTransport, type AnswerMetadata } from "@verbatim/ai-sdk";
import { Client } from "@verbatim/client";
import { convertToModelMessages, streamText, type ChatTransport, type LanguageModel, type UIMessage } from "ai";

type Message = UIMessage<AnswerMetadata>;

const client = new Client({ url: "", key: () => "token" });
const transport = new VerbatimTransport({ client, loaded: { a: [] } });
export const plain: ChatTransport<UIMessage> = transport;
export const typed: ChatTransport<Message> = transport;

export function useIt(messages: Message[]) {
  const chat = useChat<Message>({ id: "a", messages, transport, resume: true });
  return chat.messages[0]?.metadata?.status === "interrupted";
}

export async function load(): Promise<[UIMessage[], Message[]]> {
  return [await transport.load("a"), await transport.load("a", { last: 1 })];
}

export async function answer(model: LanguageModel, messages: UIMessage[]) {
  const store = new VerbatimStore({ client: client.actingFor("ada") });
  await store.save({ chatId: "a", messages });
  const result = streamText({ model, messages: await convertToModelMessages(messages) });
  await store.append({ chatId: "b", messages: (await result.response).messages, idempotencyKey: "c" });
  return result.toUIMessageStreamResponse({
    originalMessages: messages,
    onFinish: ({ messages: all }) => store.save({ chatId: "a", messages: all }),
  });
}

// @ts-expect-error a chat's id is a text
void transport.load(7);
// @ts-expect-error it needs a client
new VerbatimTransport({});
