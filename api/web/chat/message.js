/** One message, of the user or the assistant, and its state. */

import { AnswerBody } from "./answer.js";
import { copy } from "./clipboard.js";
import { icon, iconButton, make } from "./dom.js";
import { FeedbackBar } from "./feedback.js";
import { MessageEditor } from "./message-editor.js";
import { MessageFiles } from "./message-files.js";
import { ago, second } from "../formats.js";
import { texts } from "../texts.js";

/**
 * @import { Item } from "../model/items.js"
 * @import { Turn } from "../model/turn.js"
 * @import { Attachment, Rating } from "../model/wire.js"
 *
 * @typedef {object} Actions
 * @property {(turn: Turn) => void} retry
 * @property {(turn: Turn) => void} edit
 * @property {(turn: Turn) => void} discard
 * @property {(message: number, text: string, files: Attachment[]) => void} replace
 * @property {(asset: string) => string} urlOf
 * @property {(branch: number) => void} switchTo
 * @property {(message: number, rating: Rating | null, comment: string | null) => Promise<boolean>} rate
 */

export class MessageView {
  #actions;
  #role;
  #answer;
  /** @type {FeedbackBar | null} */
  #feedback = null;
  #words = make("div", { class: "words", dir: "auto" });
  #note = make("div", { class: "note" });
  #files;
  #time = make("time");
  #article;
  /** @type {HTMLElement | null} */
  #horizon = null;
  /** @type {MessageEditor | null} */
  #editor = null;
  /** What the note was made from. */
  #noted = "";
  #text = "";
  /** @type {Item["question"]} */
  #question = null;
  /** @type {Item["variants"]} */
  #variants = null;

  /**
   * @param {Item} item
   * @param {Actions} actions
   */
  constructor(item, actions) {
    this.#actions = actions;
    this.#role = item.role;
    this.#answer = item.role === "assistant" ? new AnswerBody() : null;
    this.#files = new MessageFiles(actions.urlOf);
    const name = item.role === "assistant" ? texts.assistant : texts.you;
    this.#article = make(
      "article",
      {},
      // For those who go through a page by its headings.
      make("h2", { class: "unseen" }, name),
      this.#files.element,
      this.#answer ? this.#answer.element : this.#words,
      this.#note,
    );
    if (item.role === "assistant") {
      this.#feedback = new FeedbackBar(actions.rate);
      this.#article.append(this.#feedback.element);
    }
    this.element = make("li", { class: `message ${item.role}` }, this.#article);
    this.show(item);
  }

  /** Whether its user may say it anew. */
  get canEdit() {
    return this.#role === "user" && this.#question !== null;
  }

  /** Change it in its place. */
  edit() {
    const question = this.#question;
    if (!question || this.#editor) return;
    this.#editor = new MessageEditor(question.text, (text) => {
      this.#editor?.element.replaceWith(this.#words);
      this.#editor = null;
      this.#note.hidden = false;
      if (text !== null) this.#actions.replace(question.id, text, question.files);
      else this.#note.querySelector("button")?.focus();
    });
    this.#words.replaceWith(this.#editor.element);
    this.#note.hidden = true;
    this.#editor.focus();
  }

  /** @param {Item} item */
  show({ text, files, row, turn, finish, isHorizon, question, variants }) {
    this.#question = question;
    this.#variants = variants;
    const isWritten = turn?.state === "answering";
    this.#text = text;
    if (this.#answer) this.#answer.show(text, { isGrowing: isWritten });
    else if (this.#words.textContent !== text) this.#words.textContent = text;
    this.#words.hidden = text === "" && files.length > 0;
    this.#files.show(files);
    const state = stateOf(this.#role, row?.status ?? null, turn);
    this.element.dataset["state"] = state;
    this.#article.setAttribute("aria-busy", String(state === "thinking" || state === "answering"));
    if (row) this.#showTime(row.created_at);
    this.#showHorizon(isHorizon);
    this.#feedback?.show(row);
    this.#annotate(state, turn, finish);
  }

  /** @param {string} time which is shown anew with each look at what is new */
  #showTime(time) {
    const age = ago(time);
    if (this.#time.textContent !== age) this.#time.textContent = age;
    if (this.#time.dateTime === time) return;
    this.#time.dateTime = time;
    this.#time.title = second(time);
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
    const { at, count, before, after } = this.#variants ?? {};
    const noted = [
      ...[state, finish, turn?.problem?.status, turn?.isReconnecting, turn?.isStopping],
      ...[this.#question?.id, at, count, before, after, this.#time.dateTime],
    ].join();
    if (noted === this.#noted) return;
    this.#noted = noted;
    const hadFocus = this.#note.matches(":focus-within");
    const time = this.#time.dateTime ? [this.#time] : [];
    this.#note.replaceChildren(...this.#noteOf(state, turn, finish), ...time);
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
        return [said(ended ?? texts.interrupted), ...this.#copyButton(), ...this.#anewButtons()];
      case "unavailable":
        return [said(texts.unavailable), ...this.#anewButtons()];
      case "deleted":
        return [said(texts.messageDeleted), ...this.#anewButtons()];
      default:
        return this.#role === "assistant"
          ? [...(ended ? [said(ended)] : []), ...this.#copyButton(), ...this.#anewButtons()]
          : this.#anewButtons();
    }
  }

  /** @param {Turn | null} turn */
  #choices(turn) {
    if (!turn) return [];
    const retry = this.#button("retry", texts.retry, turn);
    return [retry, this.#button("edit", texts.edit, turn), this.#button("discard", texts.discard, turn)];
  }

  /**
   * @param {"retry" | "edit" | "discard"} action
   * @param {string} label
   * @param {Turn} turn
   */
  #button(action, label, turn) {
    return make("button", { type: "button", onclick: () => this.#actions[action](turn) }, label);
  }

  /** Saying it anew, and going through what was said before that. */
  #anewButtons() {
    const question = this.#question;
    const mine = this.#role === "user";
    const answer = () => question && this.#actions.replace(question.id, question.text, question.files);
    const act = mine ? () => this.edit() : answer;
    const label = mine ? texts.edit : texts.regenerate;
    const shape = mine ? "pencil" : "retry";
    const anew = question ? [make("button", { type: "button", class: "anew", onclick: act }, icon(shape), label)] : [];
    return [...this.#switcher(), ...anew];
  }

  #switcher() {
    if (!this.#variants) return [];
    const { at, count, before, after } = this.#variants;
    /** @param {number | null} branch */
    const to = (branch) => () => branch !== null && this.#actions.switchTo(branch);
    const one = iconButton("back", texts.variantBefore, to(before), { disabled: before === null });
    const other = iconButton("next", texts.variantAfter, to(after), { disabled: after === null });
    const label = make("span", { "aria-label": texts.variant(at, count) }, `${at}/${count}`);
    return [make("span", { class: "variants", role: "group" }, one, label, other)];
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
