"use client";

import { VerbatimTransport } from "@verbatim/ai-sdk";
import { Client } from "@verbatim/client";
import { useState } from "react";
import { Conversation } from "./conversation.jsx";

/** The route handler adds the key, which no page may see, and says who is signed in. */
const client = new Client({ url: "/api/verbatim" });

export function Chat({ id, before }) {
  const [transport] = useState(() => new VerbatimTransport({ client, loaded: { [id]: before } }));
  return <Conversation id={id} before={before} transport={transport} />;
}
