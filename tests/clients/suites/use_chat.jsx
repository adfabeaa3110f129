/** The conversation of examples/nextjs in a page of its own: tests/clients/javascript.py shows it. */

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { VerbatimTransport } from "@verbatim/ai-sdk";
import { Client } from "@verbatim/client";
import { Conversation } from "./conversation.jsx";

const { url, key, id } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const transport = new VerbatimTransport({ client: new Client({ url, key }) });
const before = await transport.load(id);
createRoot(document.querySelector("#root")).render(
  <StrictMode>
    <Conversation id={id} before={before} transport={transport} />
  </StrictMode>,
);
