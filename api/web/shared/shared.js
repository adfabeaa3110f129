/** The page of a shared link: a conversation as it was then, for whoever has the link. */

import { make } from "../chat/dom.js";
import { isReady } from "../chat/markdown.js";
import { style, styles } from "../chat/styles.js";
import { day } from "../formats.js";
import { plainMessage } from "../late/message.js";
import { Client } from "../model/client.js";
import { Problem } from "../model/problem.js";
import { tastes } from "../model/storage.js";
import { speak, spoken, texts } from "../texts.js";

/** @import { SharedConversation } from "../model/wire.js" */

const client = new Client("");
const secret = location.pathname.split("/").at(-1) ?? "";
const problem = make("p", { class: "problem", role: "alert" });
const host = /** @type {HTMLElement} */ (document.querySelector("main"));
const root = host.attachShadow({ mode: "open" });
const [sheets] = await Promise.all([styles(), isReady, speak(tastes.read("language"))]);
root.adoptedStyleSheets = [...sheets, await style("shared.css")];
Object.assign(document.documentElement, { lang: spoken.language, dir: spoken.dir });
document.title = `${texts.sharedTitle} · ${texts.name}`;
root.append(make("div", { class: "shared" }, ...(await client.shared(secret).then(shown, refused))));

/** @param {SharedConversation} shared */
function shown({ title, created_at, expires_at, messages }) {
  document.title = `${title ?? texts.untitled} · ${texts.name}`;
  return [
    make(
      "header",
      {},
      make("h1", { dir: "auto" }, title ?? texts.untitled),
      make("p", {}, texts.sharedAsOf(day(created_at), day(expires_at))),
      make("button", { type: "button", class: "primary", onclick: take }, texts.importShared),
      problem,
    ),
    make("ol", { class: "messages" }, ...messages.map((message) => plainMessage(message, texts.sharedUser))),
  ];
}

/** @param {unknown} error */
function refused(error) {
  const isAway = Problem.from(error).isPassing;
  return [
    make(
      "header",
      {},
      make("h1", {}, isAway ? texts.sharedAway : texts.sharedNothing),
      ...(isAway ? [] : [make("p", {}, texts.sharedNothingHint)]),
      make("p", {}, make("a", { href: "/" }, texts.signIn)),
    ),
  ];
}

/** Have a copy among one's own conversations, and go there. */
async function take() {
  problem.replaceChildren();
  try {
    const { id } = await client.importShared(secret);
    location.assign(`/?conversation=${id}`);
  } catch (error) {
    const { status, isPassing } = Problem.from(error);
    const words = status === 401 ? texts.importSignedOut : isPassing ? texts.sharedAway : texts.sharedNothing;
    problem.append(words, ...(status === 401 ? [" ", make("a", { href: "/" }, texts.signIn)] : []));
  }
}
