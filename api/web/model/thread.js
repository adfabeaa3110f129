/** One open conversation: the part of its history in memory, and what is being said now. */

import { Items } from "./items.js";
import { isWaiting } from "./outbox.js";
import { delaySeconds, newKey, pause } from "./backoff.js";
import { Problem } from "./problem.js";
import { Turn } from "./turn.js";
import { VariantIndex } from "./variants.js";
import { HistoryWindow } from "./window.js";

/**
 * @import { Client } from "./client.js"
 * @import { Outbox, Place } from "./outbox.js"
 * @import { Item } from "./items.js"
 * @import { Attachment, MessageRow } from "./wire.js"
 */

/**
 * Events: `change` when anything shown changes; `opened` when a new conversation got its id;
 * `news` when the server has something that other tabs have not seen; `delivered` when nothing waits
 * any longer to be sent.
 */
export class Thread extends EventTarget {
  /** @type {"loading" | "ready" | "missing"} */
  state = "loading";
  /** @type {Problem | null} why the history is not here (yet) */
  problem = null;
  /** @type {Turn[]} in the order they were said */
  turns = [];
  /** @type {number | null} the position of the message to be shown next; who shows it, clears it */
  sought;

  #client;
  #outbox;
  #abort = new AbortController();
  /** @type {HistoryWindow | null} */
  #window = null;
  /** @type {VariantIndex | null} */
  #variants = null;
  #items = new Items();
  #isSettling = false;

  /**
   * @param {Client} client
   * @param {Outbox} outbox
   * @param {Place} place its conversation is null until its first message opens it
   * @param {number | null} [sought] the position of the message to begin with; the end without one
   */
  constructor(client, outbox, { conversation, opening }, sought = null) {
    super();
    this.#client = client;
    this.#outbox = outbox;
    this.id = conversation;
    this.opening = opening;
    this.sought = sought;
    outbox.whenRemoved((key) => this.#removed(key), this.#abort.signal);
  }

  /** @returns {Item[]} */
  get items() {
    const isAtRest = this.isAtEnd && !this.turns.some((turn) => turn.isOpen);
    const variantsOf = isAtRest ? this.#variantsOf : null;
    return this.#items.of(this.#rows, this.isAtEnd ? this.turns : [], variantsOf);
  }

  get isAtEnd() {
    return this.#window?.isAtEnd ?? true;
  }

  get hasOlder() {
    return this.#window?.hasOlder ?? false;
  }

  /** The answer that is being written now, if any: the one that can be stopped. */
  get running() {
    return this.turns.findLast((turn) => turn.state === "answering") ?? null;
  }

  /** Load the latest page, and go on with what was not finished; keep trying while it is away. */
  async open() {
    for (const kept of this.#kept) this.#add(new Turn(this.#client, kept));
    if (this.id === null) return this.#become("ready", null);
    this.#window = new HistoryWindow(this.#client, this.id, this.#abort.signal);
    this.#variants = new VariantIndex(this.#client, this.id, this.#abort.signal);
    void this.#follow();
    for (let failures = 1; this.state === "loading" && this.#isOpen; failures++) {
      const { sought } = this;
      const problem = await this.#attempt(() => (sought === null ? this.latest() : this.around(sought)));
      if (problem && this.#isOpen) {
        await pause(delaySeconds(failures, problem.retryAfter), { signal: this.#abort.signal });
      }
    }
  }

  /** Only send what waits, and show nothing. */
  deliver() {
    for (const kept of this.#kept.filter(isWaiting)) this.#add(new Turn(this.#client, kept));
  }

  /** Show the end of the history. */
  async latest() {
    await this.#window?.latest();
    this.#taken();
    this.#become("ready", null);
  }

  /**
   * Show a message, with what is before and after it.
   * @param {number} position
   */
  async around(position) {
    await this.#window?.around(position);
    this.sought = position;
    this.#taken();
    this.#become("ready", null);
  }

  older() {
    return this.#attempt(async () => {
      await this.#window?.older();
      this.#taken();
    });
  }

  newer() {
    return this.#attempt(async () => {
      await this.#window?.newer();
      this.#taken();
    });
  }

  /**
   * Take in what others wrote, and what we wrote once it is stored.
   * @param {number | null} [readAfter]
   * @returns {Promise<Problem | null>} why it did not work
   */
  catchUp(readAfter = null) {
    if (this.state !== "ready") return Promise.resolve(null);
    return this.#attempt(async () => {
      await this.#window?.refresh(readAfter);
      this.#taken();
      const last = this.#rows.at(-1);
      if (last?.role === "user" && !this.turns.some((turn) => turn.message === last.id)) {
        await this.#follow();
      }
    });
  }

  /** Another tab said something here: its answer may be running. */
  async lookAround() {
    await this.#follow();
    await this.catchUp();
  }

  /**
   * @param {string} text
   * @param {number | null} [replaces] the message in whose place it comes; that one is put aside, with
   *   all that follows it
   * @param {Attachment[]} [attachments]
   */
  say(text, replaces = null, attachments = []) {
    const turn = Turn.saying(this.#client, this.id, text, replaces, attachments);
    this.#keep(turn);
    this.#add(turn);
    if (!this.isAtEnd) void this.#attempt(() => this.latest());
  }

  /**
   * Show another variant, with what followed it.
   * @param {number} branch
   * @returns {Promise<Problem | null>} why it did not work
   */
  async switchTo(branch) {
    const { id } = this;
    if (id === null) return null;
    try {
      const { entry_id } = await this.#client.switchTo(id, branch, newKey());
      const problem = await this.catchUp(entry_id);
      this.#news();
      return problem;
    } catch (error) {
      void this.catchUp(); // another page switched first
      return Problem.from(error);
    }
  }

  /**
   * Take back what was not accepted, or what got no answer and needs none.
   * @param {Turn} turn
   */
  discard(turn) {
    turn.leave();
    this.#drop(turn);
    this.#pump();
    this.#changed();
  }

  /** Try at once what waits. */
  wake() {
    for (const turn of this.turns) turn.wake();
  }

  /** The page shows it no more; the server finishes answers all the same. */
  close() {
    this.#abort.abort();
    for (const turn of this.turns) turn.leave();
  }

  get #isOpen() {
    return !this.#abort.signal.aborted;
  }

  get #rows() {
    return this.#window?.messages ?? [];
  }

  /** What was said here earlier and is not known to be stored. */
  get #kept() {
    return this.#outbox.of({ conversation: this.id, opening: this.opening });
  }

  /** @param {string} key of what another tab took back, or knows to be stored */
  #removed(key) {
    const turn = this.turns.find((other) => other.key === key && !other.isAccepted);
    if (turn) this.discard(turn);
  }

  /** Show the answers that other pages asked for and that are being written. */
  async #follow() {
    const { id } = this;
    if (id === null) return;
    try {
      const { turns } = await this.#client.runningTurns(id, this.#abort.signal);
      for (const { messageId } of turns) {
        const isKnown = this.turns.some((turn) => turn.message === messageId);
        const isBeingAccepted = this.turns.some((turn) => !turn.isAccepted && turn.isOpen);
        if (!isKnown && !isBeingAccepted) this.#add(Turn.of(this.#client, id, messageId));
      }
    } catch {
      // They show up in the history all the same, when they are finished.
    }
  }

  /** @param {Turn} turn */
  #add(turn) {
    turn.addEventListener("change", () => this.dispatchEvent(new CustomEvent("turn", { detail: turn })));
    turn.addEventListener("opened", () => this.#opened(turn));
    turn.addEventListener("accepted", () => {
      this.#keep(turn);
      this.#news();
      this.#pump();
      this.#noteDelivery();
    });
    turn.addEventListener("retried", () => this.#keep(turn));
    turn.addEventListener("lost", () => void this.#lost(turn));
    turn.addEventListener("settled", () => {
      if (turn.state === "answered") this.#news();
      if (turn.state === "refused") this.#keep(turn);
      this.#pump();
      this.#noteDelivery();
      void this.#settle();
    });
    this.turns.push(turn);
    this.#pump();
    this.#changed();
  }

  /**
   * The server makes no answer to it, and knows of none: it is in the history, or there is none.
   * @param {Turn} turn
   */
  async #lost(turn) {
    const problem = await this.catchUp();
    if (!problem && this.state === "ready" && this.turns.includes(turn)) turn.giveUp();
  }

  #noteDelivery() {
    if (!this.turns.some((turn) => turn.isOpen && !turn.isAccepted)) this.dispatchEvent(new Event("delivered"));
  }

  /** Send in order: a message waits until the one before it is accepted, or given up. */
  #pump() {
    for (const turn of this.turns) {
      if (turn.conversation === null) turn.conversation = this.id;
      if (turn.isOpen) void turn.run();
      if (turn.isOpen && !turn.isAccepted) return;
    }
  }

  /** @param {Turn} turn */
  #opened(turn) {
    if (this.id === null && turn.conversation !== null) {
      this.id = turn.conversation;
      this.#window = HistoryWindow.ofNew(this.#client, this.id, this.#abort.signal);
      this.#variants = new VariantIndex(this.#client, this.id, this.#abort.signal);
      this.dispatchEvent(new Event("opened"));
    }
    for (const other of this.turns) {
      if (other.text !== null) {
        other.conversation ??= this.id;
        this.#keep(other);
      }
    }
  }

  /** Follow accepted answers until the history has them; the drain may be far behind. */
  async #settle() {
    if (this.#isSettling) return;
    this.#isSettling = true;
    const waiting = () => this.turns.find((turn) => turn.state === "answered" && this.isAtEnd);
    for (let failures = 1; waiting() && this.#isOpen; failures++) {
      const problem = await this.catchUp(waiting()?.reply);
      if (waiting()) await pause(delaySeconds(failures, problem?.retryAfter ?? null), this.#abort);
    }
    this.#isSettling = false;
  }

  /** @param {MessageRow} row */
  #variantsOf = (row) => this.#variants?.of(row) ?? null;

  async #learnVariants() {
    // Without them a message is shown as it is; the next look tries again.
    if (await this.#variants?.learn(this.#rows).catch(() => false)) this.#changed();
  }

  /** Let go of the turns that the history now has. */
  #taken() {
    void this.#learnVariants();
    for (const turn of this.#items.stored(this.#rows, this.turns)) {
      turn.leave();
      this.#drop(turn);
    }
    this.#changed();
  }

  /** @param {Turn} turn */
  #keep({ key, text, conversation, message, replaces, attachments, order, since, state, problem }) {
    const refused = state === "refused" && problem ? { status: problem.status, detail: problem.detail } : null;
    const { opening } = this;
    if (text === null) return;
    const said = { key, text, conversation, opening, message, replaces, attachments, order, since, refused };
    this.#outbox.put(said);
  }

  /** @param {Turn} turn */
  #drop(turn) {
    this.turns = this.turns.filter((other) => other !== turn);
    this.#outbox.remove(turn.key);
  }

  /**
   * @param {() => Promise<void>} work
   * @returns {Promise<Problem | null>}
   */
  async #attempt(work) {
    try {
      await work();
      this.problem = null;
      return null;
    } catch (error) {
      const problem = Problem.from(error);
      if (this.#isOpen) this.#become(problem.status === 404 ? "missing" : this.state, problem);
      return problem;
    }
  }

  /**
   * @param {Thread["state"]} state
   * @param {Problem | null} problem
   */
  #become(state, problem) {
    this.state = state;
    this.problem = problem;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #news() {
    this.dispatchEvent(new Event("news"));
  }
}
