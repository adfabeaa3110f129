import { useChat } from "@ai-sdk/react";
import { useState } from "react";

/** One chat: `before` are the messages that it begins with. */
export function Conversation({ id, before, transport }) {
  const { messages, status, error, sendMessage, regenerate } = useChat({ id, messages: before, transport, resume: true });
  const [draft, setDraft] = useState("");
  const [edited, setEdited] = useState(undefined);
  const isBusy = status === "submitted" || status === "streaming";

  function submit(event) {
    event.preventDefault();
    if (isBusy || !draft.trim()) return;
    sendMessage({ text: draft, messageId: edited });
    setDraft("");
    setEdited(undefined);
  }

  function edit(message) {
    setDraft(textOf(message));
    setEdited(message.id);
  }

  return (
    <main data-status={status}>
      <ol>
        {messages.map((message) => (
          <li key={message.id} id={message.id} className={message.role}>
            {message.parts.map((part, place) => (
              <Part key={place} part={part} />
            ))}
            {message.metadata?.status === "interrupted" && <small>Stopped</small>}
            {message.role === "user" && !isBusy && <button onClick={() => edit(message)}>Edit</button>}
          </li>
        ))}
      </ol>
      {error && <p role="alert">{error.message}</p>}
      {!isBusy && messages.length > 0 && <button onClick={() => regenerate()}>Answer again</button>}
      {isBusy && <button onClick={() => transport.stop(id)}>Stop</button>}
      <form onSubmit={submit}>
        <input aria-label="Message" value={draft} onChange={(event) => setDraft(event.target.value)} />
        <button>Send</button>
      </form>
    </main>
  );
}

function Part({ part }) {
  if (part.type === "text") return <p>{part.text}</p>;
  if (part.type === "reasoning") return <p className="thought">{part.text}</p>;
  if (part.type === "dynamic-tool") return <pre>{`${part.toolName}: ${JSON.stringify(part.output ?? part.input)}`}</pre>;
  return null;
}

function textOf(message) {
  return message.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
}
