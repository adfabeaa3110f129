/** The page around the ChatBot: which conversation is in the URL, and which theme was chosen. */

import { texts } from "./texts.js";

const THEME = "verbatim:theme";

const chat = /** @type {HTMLElement} */ (document.querySelector("verbatim-chat"));

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
  document.documentElement.dataset["theme"] = theme;
  try {
    localStorage.setItem(THEME, theme); // a taste, no secret
  } catch {
    // It lasts as long as the page, then.
  }
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

function showTheme() {
  let theme = null;
  try {
    theme = localStorage.getItem(THEME);
  } catch {
    // Storage is forbidden: the system's theme it is.
  }
  document.documentElement.dataset["theme"] = theme ?? "auto";
  chat.setAttribute("theme", theme ?? "auto");
}

showTheme();
showUrl();
// The element starts when it is defined, and finds its attributes set.
await import("./verbatim-chat.js");
