/** The page around the ChatBot: which conversation is in the URL; which theme and language were chosen. */

import { tastes } from "./model/storage.js";
import { texts } from "./texts.js";

const chat = /** @type {HTMLElement} */ (document.querySelector("verbatim-chat"));
const page = document.documentElement;

chat.addEventListener("verbatim-navigate", (event) => {
  const { conversation, isInitial } = /** @type {CustomEvent} */ (event).detail;
  if (conversation === conversationInUrl()) return;
  const url = `/?conversation=${conversation}`;
  if (isInitial || conversationInUrl() === "new") history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  chat.setAttribute("conversation", conversation);
});

chat.addEventListener("verbatim-title", (event) => {
  const { title } = /** @type {CustomEvent} */ (event).detail;
  document.title = title === texts.untitled ? texts.name : `${title} · ${texts.name}`;
});

chat.addEventListener("verbatim-theme", (event) => {
  const { theme } = /** @type {CustomEvent} */ (event).detail;
  page.dataset["theme"] = theme;
  tastes.write("theme", theme);
});

chat.addEventListener("verbatim-language", (event) => {
  const { chosen, language, dir } = /** @type {CustomEvent} */ (event).detail;
  page.lang = language;
  page.dir = dir;
  tastes.write("language", chosen);
});

addEventListener("popstate", showUrl);

function showUrl() {
  const conversation = conversationInUrl();
  if (conversation) chat.setAttribute("conversation", conversation);
  else chat.removeAttribute("conversation");
}

function conversationInUrl() {
  return new URLSearchParams(location.search).get("conversation");
}

function showTastes() {
  const theme = tastes.read("theme") ?? "auto";
  page.dataset["theme"] = theme;
  chat.setAttribute("theme", theme);
  const language = tastes.read("language");
  if (language) chat.setAttribute("lang", language);
}

showTastes();
showUrl();
// The element starts when it is defined, and finds its attributes set.
await import("./verbatim-chat.js");
