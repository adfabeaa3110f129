/** One message, of the user or the assistant, and its state. */

import { AnswerBody } from "./answer.js";
import { copy } from "./clipboard.js";
import { icon, make } from "./dom.js";
import { texts } from "../texts.js";

/**
 * @import { Item } from "../model/items.js"
 * @import { Turn } from "../model/turn.js"
 *
 * @typedef {object} Actions
 * @property {(turn: Turn) => void} retry
 * @property {(turn: Turn) => void} edit
 * @property {(turn: Turn) => void} discard
 */

export class MessageView {
  #actions;
  #role;
  #answer;
  #words = make("div", { class: "words", dir: "auto" });
  #note = make("div", { class: "note" });
  #article;
  /** @type {HTMLElement | null} */
  #horizon = null;
  /** What the note was made from. */
  #noted = "";
  #text = "";

  /**
   * @param {Item} item
   * @param {Actions} actions
   */
  constructor(item, actions) {
    this.#actions = actions;
    this.#role = item.role;
    this.#answer = item.role === "assistant" ? new AnswerBody() : null;
    const name = item.role === "assistant" ? texts.assistant : texts.you;
    this.#article = make(
      "article",
      {},
      // For those who go through a page by its headings.
      make("h2", { class: "unseen" }, name),
      this.#answer ? this.#answer.element : this.#words,
      this.#note,
    );
    this.element = make("li", { class: `message ${item.role}` }, this.#article);
    this.show(item);
  }

  /** @param {Item} item */
  show({ text, row, turn, finish, isHorizon }) {
    const isWritten = turn?.state === "answering";
    this.#text = text;
    if (this.#answer) this.#answer.show(text, { isGrowing: isWritten });
    else if (this.#words.textContent !== text) this.#words.textContent = text;
    const state = stateOf(this.#role, row?.status ?? null, turn);
    this.element.dataset["state"] = state;
    this.#article.setAttribute("aria-busy", String(state === "thinking" || state === "answering"));
    if (row) this.#article.title = new Date(row.created_at).toLocaleString();
    this.#showHorizon(isHorizon);
    this.#annotate(state, turn, finish);
  }

  /** @param {boolean} isHorizon */
  #showHorizon(isHorizon) {
    if (isHorizon === (this.#horizon !== null)) return;
    this.#horizon?.remove();
    this.#horizon = isHorizon ? make("p", { class: "horizon" }, texts.horizon) : null;
    if (this.#horizon) this.element.prepend(this.#horizon);
  }

  /**
   * @param {string} state
   * @param {Turn | null} turn
   * @param {Item["finish"]} finish
   */
  #annotate(state, turn, finish) {
    const noted = `${state} ${finish} ${turn?.problem?.status} ${turn?.isReconnecting} ${turn?.isStopping}`;
    if (noted === this.#noted) return;
    this.#noted = noted;
    const hadFocus = this.#note.matches(":focus-within");
    this.#note.replaceChildren(...this.#noteOf(state, turn, finish));
    // A button that was pressed and went away must not throw its user to the top of the page.
    if (hadFocus) this.#note.querySelector("button")?.focus();
  }

  /**
   * @param {string} state
   * @param {Turn | null} turn
   * @param {Item["finish"]} finish
   * @returns {Node[]}
   */
  #noteOf(state, turn, finish) {
    // A server of another version may name another reason.
    const ended = finish && (texts.ended[finish] ?? null);
    switch (state) {
      case "sending":
        return [said(texts.sending)];
      case "waiting":
        return [
          said(turn?.problem?.status === 0 ? texts.waiting : texts.waitingBusy),
          ...this.#choices(turn),
        ];
      case "refused":
        return [said(refusal(turn)), ...this.#choices(turn)];
      case "thinking":
        return [dots(), ...(turn?.isReconnecting ? [said(texts.reconnecting)] : [])];
      case "answering":
        return turn?.isStopping
          ? [said(texts.stopping)]
          : turn?.isReconnecting
            ? [said(texts.reconnecting)]
            : [];
      case "unanswered":
        return [
          said(turn?.problem?.status === 404 ? texts.unansweredLost : texts.unanswered),
          ...(turn?.canRetry ? [this.#button("retry", texts.retry, turn)] : []),
        ];
      case "interrupted":
        return [said(ended ?? texts.interrupted), ...this.#copyButton()];
      case "unavailable":
        return [said(texts.unavailable)];
      default:
        return this.#role === "assistant" ? [...(ended ? [said(ended)] : []), ...this.#copyButton()] : [];
    }
  }

  /** @param {Turn | null} turn */
  #choices(turn) {
    if (!turn) return [];
    const retry = this.#button("retry", texts.retry, turn);
    return [retry, this.#button("edit", texts.edit, turn), this.#button("discard", texts.discard, turn)];
  }

  /**
   * @param {keyof Actions} action
   * @param {string} label
   * @param {Turn} turn
   */
  #button(action, label, turn) {
    return make("button", { type: "button", onclick: () => this.#actions[action](turn) }, label);
  }

  #copyButton() {
    /** @param {MouseEvent} event */
    const onclick = async (event) => {
      const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
      const isCopied = await copy(this.#text);
      const label = /** @type {ChildNode} */ (button.lastChild);
      label.textContent = isCopied ? texts.copied : texts.notCopied;
      setTimeout(() => (label.textContent = texts.copy), 2000);
    };
    return [make("button", { type: "button", class: "copy", onclick }, icon("copy"), texts.copy)];
  }
}

/**
 * @param {Item["role"]} role
 * @param {string | null} status
 * @param {Turn | null} turn
 */
function stateOf(role, status, turn) {
  if (status) return status;
  if (!turn) return "stored";
  if (role === "user") return turn.isAccepted ? "sent" : turn.state;
  if (turn.state === "answering") return turn.answer ? "answering" : "thinking";
  if (turn.state === "answered") return turn.wasInterrupted ? "interrupted" : "answered";
  return turn.state;
}

/** @param {Turn | null} turn */
function refusal(turn) {
  const problem = turn?.problem;
  if (problem?.status === 410) return texts.refusedLate;
  return problem?.detail ? `${texts.refused}: ${problem.detail}` : texts.refused;
}

/** @param {string} text */
function said(text) {
  return make("span", {}, text);
}

function dots() {
  const drawn = [1, 2, 3].map(() => make("i"));
  return make("span", { class: "dots", role: "img", "aria-label": texts.thinking }, ...drawn);
}
