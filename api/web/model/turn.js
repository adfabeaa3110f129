/** One thing said and its answer: sent, streamed, resumed, stopped, tried again. */

import { eventsIn } from "./events.js";
import { delaySeconds, newKey, pause } from "./backoff.js";
import { Problem } from "./problem.js";

/**
 * @import { Client } from "./client.js"
 * @import { StreamEvent } from "./events.js"
 * @import { Kept } from "./outbox.js"
 * @import { Answer, Attachment, Finish } from "./wire.js"
 */

/**
 * - `sending`: on its way; `waiting`: the server is away or full, it is sent later, automatically
 * - `refused`: not accepted, and an automatic retry would not help
 * - `answering`: accepted, the answer is coming
 * - `answered`: the answer is accepted; `unanswered`: there will be none unless asked again
 * @typedef {"sending" | "waiting" | "refused" | "answering" | "answered" | "unanswered"} State
 */

/** The server remembers idempotency keys for an hour; later a repetition could double. */
const KEY_LIVES_MS = 50 * 60 * 1000;

let lastOrder = 0;

/** Later than all that was said before, also within one millisecond. */
function nextOrder() {
  return (lastOrder = Math.max(lastOrder + 1, Date.now()));
}

/**
 * Events: `change` whenever anything shown changes; `opened` when a new conversation got its id;
 * `accepted` when the message is the server's; `retried` when it is asked for again; `lost` when the server makes no answer to it and
 * knows of none; `settled` when nothing more will happen automatically.
 */
export class Turn extends EventTarget {
  /** @type {State} */
  state = "sending";
  /** @type {Problem | null} why it waits, was refused or got no answer */
  problem = null;
  answer = "";
  /** @type {number | null} */
  reply = null;
  wasInterrupted = false;
  /** @type {Finish | null} */
  finish = null;
  /** @type {number | null} the oldest message that the assistant was given */
  remembersFrom = null;
  isStopping = false;
  /** The connection broke in mid-answer and is being made again. */
  isReconnecting = false;
  /** The server makes no answer and knows of none: the history has it, or there is none. */
  isLost = false;

  #client;
  #abort = new AbortController();
  #lastEventId = "";
  #startsAnew = true;
  #mustAsk;
  #isRunning = false;

  /**
   * @param {Client} client
   * @param {Omit<Kept, "text" | "opening"> & {text: string | null}} kept its text is null when another
   *   page (another tab, another device) said it
   */
  constructor(client, { key, text, conversation, message, replaces, attachments, order, since, refused }) {
    super();
    this.#client = client;
    this.key = key;
    this.text = text;
    this.conversation = conversation;
    this.message = message;
    this.replaces = replaces ?? null;
    this.attachments = attachments ?? [];
    this.order = order;
    this.since = since;
    this.#mustAsk = message === null;
    if (message !== null) this.state = "answering";
    else if (refused) {
      this.state = "refused";
      this.problem = new Problem(refused.status, refused.detail);
    }
  }

  /**
   * Say something new.
   * @param {Client} client
   * @param {number | null} conversation
   * @param {string} text
   * @param {number | null} replaces the message in whose place it comes
   * @param {Attachment[]} attachments
   */
  static saying(client, conversation, text, replaces, attachments) {
    const said = { key: newKey(), text, conversation, replaces, attachments, order: nextOrder(), since: Date.now() };
    return new Turn(client, { ...said, message: null, refused: null });
  }

  /**
   * Follow an answer that another page asked for.
   * @param {Client} client
   * @param {number} conversation
   * @param {number} message
   */
  static of(client, conversation, message) {
    const key = `turn-${message}`;
    const said = { key, text: null, conversation, order: nextOrder(), since: Date.now() };
    return new Turn(client, { ...said, message, refused: null });
  }

  get isAccepted() {
    return this.message !== null;
  }

  /** More will happen automatically. */
  get isOpen() {
    return this.state === "sending" || this.state === "waiting" || this.state === "answering";
  }

  /** Only who said it knows the key under which it can be asked again. */
  get canRetry() {
    return this.text !== null && !this.isOpen && this.state !== "answered";
  }

  /** Go on until nothing more will happen automatically, or `leave`. */
  async run() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let failures = 0; this.isOpen && !this.#abort.signal.aborted; ) {
      let problem = null;
      try {
        for await (const event of await this.#events()) {
          if (event.type === "delta") failures = 0;
          this.#take(event);
          if (!this.isOpen) break;
        }
      } catch (error) {
        if (this.#abort.signal.aborted) break;
        problem = Problem.from(error);
        this.#fail(problem);
      }
      if (this.isOpen) await this.#waitBefore(++failures, problem);
    }
    this.#isRunning = false;
  }

  /** Ask again, under the same key: what was accepted is not accepted twice. */
  retry() {
    this.wake();
    if (!this.canRetry) return;
    this.#mustAsk = true;
    this.since = Date.now();
    this.isStopping = false;
    this.isLost = false;
    this.#become(this.isAccepted ? "answering" : "sending", null);
    this.dispatchEvent(new Event("retried"));
    void this.run();
  }

  /** Try at once instead of after the pause. */
  wake() {
    this.dispatchEvent(new Event("wake"));
  }

  /** End the answer where it is. */
  async stop() {
    this.isStopping = true;
    this.#changed();
    if (this.conversation === null || this.message === null) return; // `#accept` does it
    try {
      await this.#client.stop(this.conversation, this.message);
    } catch {
      this.isStopping = false; // it may be tried again; the answer goes on
      this.#changed();
    }
  }

  /** There is no answer, and there will be none unless it is asked for again. */
  giveUp() {
    this.#become("unanswered", new Problem(404, "no answer was kept"));
  }

  /** The page shows it no more. The server finishes the answer all the same. */
  leave() {
    this.#abort.abort();
  }

  /** @returns {Promise<AsyncIterable<StreamEvent>>} */
  async #events() {
    const { signal } = this.#abort;
    if (this.isAccepted && !this.#mustAsk) return this.#resumed(signal);
    if (this.text === null) throw new Error("only its own words can be sent");
    if (Date.now() - this.since > KEY_LIVES_MS && !this.isAccepted) {
      throw new Problem(410, "too old to be sent by itself");
    }
    if (this.conversation === null) {
      // A key of its own: the turn's key is used for the message.
      const opened = await this.#client.startChat(`${this.key}-start`, signal);
      this.conversation = opened.conversationId;
      this.dispatchEvent(new Event("opened"));
    }
    const response = await this.#client.say(this.conversation, this.text, this.key, signal, this);
    this.#startAnew();
    return eventsIn(response);
  }

  /** @param {AbortSignal} signal */
  async #resumed(signal) {
    const conversation = /** @type {number} */ (this.conversation);
    const message = /** @type {number} */ (this.message);
    if (!this.#lastEventId) this.#startAnew();
    const response = await this.#client.resume(conversation, message, this.#lastEventId, signal);
    this.isLost = response.status === 204;
    if (this.isLost) this.dispatchEvent(new Event("lost"));
    return eventsIn(response);
  }

  /** The next text replaces what is shown; until it comes, that stays. */
  #startAnew() {
    this.#startsAnew = true;
    this.#lastEventId = "";
  }

  /** @param {StreamEvent} event */
  #take({ type, data, id }) {
    if (id) this.#lastEventId = id;
    const content = JSON.parse(data);
    if (type === "start") this.#accept(content);
    else if (type === "delta") this.#extend(content.text);
    else if (type === "end") this.#end(content);
    else if (type === "error") {
      this.#break(new Problem(content.status, content.detail, content.retryAfter ?? null));
    }
  }

  /** @param {{messageId: number, remembersFrom?: number}} start */
  #accept({ messageId, remembersFrom }) {
    const isNew = this.message === null;
    this.message = messageId;
    this.remembersFrom = remembersFrom ?? this.remembersFrom;
    this.#mustAsk = false;
    this.isReconnecting = false;
    this.#become("answering", null);
    if (isNew) this.dispatchEvent(new Event("accepted"));
    if (isNew && this.isStopping) void this.stop();
  }

  /** @param {string} text */
  #extend(text) {
    this.answer = this.#startsAnew ? text : this.answer + text;
    this.#startsAnew = false;
    this.isReconnecting = false;
    this.#changed();
  }

  /** @param {Answer} answer */
  #end({ replyId, response, status, finish }) {
    this.reply = replyId;
    this.answer = response;
    this.finish = finish ?? null;
    this.wasInterrupted = status === "interrupted";
    this.#become("answered", null);
  }

  /**
   * The server could not finish the answer: no process works on it, so it must be asked for again.
   * @param {Problem} problem
   */
  #break(problem) {
    this.#mustAsk = this.text !== null;
    this.#fail(problem);
  }

  /** @param {Problem} problem */
  #fail(problem) {
    if (!this.isAccepted) {
      // A missing sign-in is no failure of the message: it waits.
      const waits = problem.isPassing || problem.status === 401;
      this.#become(waits ? "waiting" : "refused", problem);
      if (problem.status === 401) this.leave();
    } else if (problem.isPassing) {
      this.isReconnecting = true;
      this.#become("answering", problem);
    } else {
      this.#become("unanswered", problem);
    }
  }

  /**
   * @param {number} failures
   * @param {Problem | null} problem
   */
  async #waitBefore(failures, problem) {
    if (this.isAccepted && !this.isLost) {
      this.isReconnecting = true;
      this.#changed();
    }
    const seconds = delaySeconds(failures, problem?.retryAfter ?? null);
    await pause(seconds, { signal: this.#abort.signal, waker: this });
  }

  /**
   * @param {State} state
   * @param {Problem | null} problem
   */
  #become(state, problem) {
    this.state = state;
    this.problem = problem;
    if (!this.isOpen) this.isReconnecting = false;
    this.#changed();
    if (!this.isOpen) this.dispatchEvent(new Event("settled"));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
