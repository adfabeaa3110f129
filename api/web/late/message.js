/** A message to be read, and nothing to be done with it. */

import { AnswerBody } from "../chat/answer.js";
import { make } from "../chat/dom.js";
import { texts } from "../texts.js";

/** @import { SharedMessage } from "../model/wire.js" */

/**
 * @param {SharedMessage} message
 * @param {string} user what its user is called
 */
export function plainMessage({ role, content, status }, user) {
  const isAnswer = role === "assistant";
  const body = isAnswer ? new AnswerBody() : null;
  body?.show(content, { isGrowing: false });
  const cut = status === "interrupted" ? [make("div", { class: "note" }, texts.interrupted)] : [];
  return make(
    "li",
    { class: `message ${role}` },
    make(
      "article",
      {},
      make("h2", { class: "unseen" }, isAnswer ? texts.assistant : user),
      body?.element ?? make("div", { class: "words", dir: "auto" }, content),
      ...cut,
    ),
  );
}
