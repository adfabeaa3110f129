/** A signed-in user, with their conversations and the one that is open. */

import { Couriers } from "./couriers.js";
import { Outbox } from "./outbox.js";
import { delaySeconds, newKey, pause } from "./backoff.js";
import { Problem } from "./problem.js";
import { ConversationList } from "./conversation-list.js";
import { ofBrowser, ofTab } from "./storage.js";
import { Tags } from "./tags.js";
import { Thread } from "./thread.js";
import { texts } from "../texts.js";

/**
 * @import { Client } from "./client.js"
 * @import { User } from "./wire.js"
 */

/** A conversation, and a message in it. */
const PLACE = /^([1-9]\d{0,15})(?::([1-9]\d{0,15}))?$/;
/** A title comes a moment after the first answer. */
const TITLE_SECONDS = [0.5, 2, 5];

/**
 * Events: `entered` and `left` when a user signs in or out; `opened` when another
 * thread is shown; `moved` when another place of it is; `identified` when the open one got its id; `change` when its title may have
 * changed.
 */
export class Session extends EventTarget {
  /** @type {User | null} */
  user = null;
  /** @type {ConversationList | null} */
  conversations = null;
  /** @type {Tags | null} */
  tags = null;
  /** @type {Thread | null} */
  thread = null;
  /** Not chosen by the user: the page has just been opened. */
  isInitial = true;
  /** The session ended without a sign-out. */
  isExpired = false;

  #client;
  #signal;
  /** @type {Outbox | null} */
  #outbox = null;
  /** @type {Couriers | null} */
  #couriers = null;
  /** @type {BroadcastChannel | null} */
  #channel = null;
  /** @type {string | null} what is to be shown after sign-in */
  #wanted = null;
  /** @type {number | null} what one user looked at is nothing to the next */
  #lastUser = null;
  /** @type {string | null} the id, or `new`; null while nothing is open */
  #shown = null;
  /** @type {number | null} the position of the message that was asked for, in what is open */
  sought = null;

  /**
   * @param {Client} client
   * @param {AbortSignal} signal
   */
  constructor(client, signal) {
    super();
    this.#client = client;
    this.#signal = signal;
    client.addEventListener("signedout", () => this.#expire());
  }

  /** What is open, as the element's attribute has it. */
  get conversation() {
    return this.sought === null ? this.#shown : `${this.#shown}:${this.sought}`;
  }

  get title() {
    const { id = null, state } = this.thread ?? {};
    if (state === "missing") return texts.missingTitle;
    return (id !== null && this.conversations?.titleOf(id)) || texts.untitled;
  }

  /** Where the open conversation's draft is kept. */
  get draftName() {
    return this.#draftNameOf(this.#shown);
  }

  /** @param {number | string | null} conversation */
  #draftNameOf(conversation) {
    return `draft:${this.#client.base}:${this.user?.id}:${conversation}`;
  }

  /** Where it is kept who is signed in. */
  get #userName() {
    return `user:${this.#client.base}`;
  }

  /** Tells this tab's new conversation from those that other tabs are about to open. */
  get #opening() {
    const kept = ofTab.read(this.#openingName);
    if (kept) return kept;
    const made = newKey();
    ofTab.write(this.#openingName, made);
    return made;
  }

  get #openingName() {
    return `opening:${this.#client.base}:${this.user?.id}`;
  }

  get hasUnsent() {
    return this.#outbox?.hasUnsent ?? false;
  }

  /** @param {string | null} conversation what to show first */
  async start(conversation) {
    this.#wanted = conversation;
    for (let failures = 1; !this.#signal.aborted; failures++) {
      try {
        return this.enter(await this.#client.me());
      } catch (error) {
        const problem = Problem.from(error);
        if (problem.status === 401) return this.#close(false);
        // Chat goes on without the database: who was signed in a moment ago still is.
        const known = ofTab.read(this.#userName);
        if (known && problem.status === 503) return this.enter(JSON.parse(known));
        await pause(delaySeconds(failures, problem.retryAfter), { signal: this.#signal });
      }
    }
  }

  /** @param {User} user */
  async enter(user) {
    if (this.#lastUser !== null && this.#lastUser !== user.id) this.#wanted = null;
    this.#lastUser = user.id;
    this.learnUser(user);
    this.#outbox = new Outbox(this.#client.base, user.id);
    this.#couriers = new Couriers(this.#client, this.#outbox);
    this.#couriers.addEventListener("opened", (event) => {
      this.#listed(/** @type {CustomEvent<Thread>} */ (event).detail);
    });
    this.#couriers.addEventListener("news", (event) => {
      this.#broadcast(/** @type {CustomEvent<Thread>} */ (event).detail.id);
      void this.conversations?.refresh().catch(() => {});
    });
    this.tags = new Tags(this.#client);
    this.conversations = new ConversationList(this.#client);
    this.conversations.addEventListener("change", () => this.dispatchEvent(new Event("change")));
    this.conversations.addEventListener("changed", (event) => {
      this.#broadcast(null);
      void this.tags?.refresh(/** @type {CustomEvent<number>} */ (event).detail).catch(() => {});
    });
    this.conversations.addEventListener("deleted", () => this.#broadcast(null));
    this.conversations.addEventListener("gone", (event) => {
      ofBrowser.write(this.#draftNameOf(/** @type {CustomEvent<number>} */ (event).detail), null);
    });
    this.#listen(user);
    this.isInitial = true;
    this.dispatchEvent(new Event("entered"));
    if (this.#wanted) this.open(this.#wanted);
    else await this.openLatest();
    await this.#loadConversations();
    await this.tags?.refresh().catch(() => {}); // a change of tags reads them again
    await this.#learnTitle();
  }

  /** @param {User} user as the server has it now */
  learnUser(user) {
    this.user = user;
    ofTab.write(this.#userName, JSON.stringify(user));
  }

  /**
   * @param {string | null} conversation an id, or one and the position of a message as `id:position`, or
   *   `new`; null for the latest
   */
  open(conversation) {
    if (conversation === this.conversation && conversation !== null) return;
    this.#wanted = conversation;
    if (!this.user || !this.#outbox) return;
    if (conversation === null) return void this.openLatest();
    const [, id = "new", position] = PLACE.exec(conversation) ?? [];
    const wasShown = id === this.#shown && id !== "new";
    this.#shown = id;
    this.sought = position === undefined ? null : Number(position);
    if (wasShown) return void this.dispatchEvent(new Event("moved"));
    const place = id === "new" ? { conversation: null, opening: this.#opening } : { conversation: Number(id), opening: null };
    this.#show(new Thread(this.#client, this.#outbox, place, this.sought));
  }

  /** Show the conversation with the newest activity; a new one only if there is none at all. */
  async openLatest() {
    const { conversations, user } = this;
    for (let failures = 1; conversations && !conversations.isKnown && !this.#signal.aborted; failures++) {
      try {
        await conversations.refresh();
      } catch (error) {
        const problem = Problem.from(error);
        if (problem.status === 401) return;
        // Writing does not have to wait for the list.
        if (failures === 1) this.open("new");
        await pause(delaySeconds(failures, problem.retryAfter), { signal: this.#signal });
      }
    }
    if (this.user !== user || !conversations) return;
    if (this.#shown === null || this.#isUntouched || this.thread?.state === "missing") {
      const latest = conversations.shown[0];
      this.open(latest ? String(latest.id) : "new");
    }
  }

  /** A new conversation is open, and nothing has been written. */
  get #isUntouched() {
    return this.#shown === "new" && !this.thread?.turns.length && !ofBrowser.read(this.draftName);
  }

  /**
   * @param {number} id
   * @param {string} title
   */
  async rename(id, title) {
    await this.conversations?.rename(id, title);
  }

  /**
   * Hide conversations; `commit` deletes them, `undo` brings them back, with the one that was open.
   * @param {number[]} ids
   */
  remove(ids) {
    const list = /** @type {ConversationList} */ (this.conversations);
    const deletions = ids.map((id) => list.remove(id));
    const shown = this.#shown;
    const wasCurrent = ids.some((id) => String(id) === shown);
    if (wasCurrent) {
      const heir = list.shown[0];
      this.open(heir ? String(heir.id) : "new");
    }
    const commit = () => deletions.forEach((deletion) => deletion.commit());
    const undo = () => {
      for (const deletion of deletions) deletion.undo();
      if (wasCurrent) this.open(shown);
    };
    return { commit, undo };
  }

  /** The server answers again: try at once what waits. */
  wake() {
    this.thread?.wake();
    this.#couriers?.wake();
    void this.lookAround();
  }

  /** See what others did meanwhile. */
  async lookAround() {
    if (!this.user) return;
    this.#sendKept();
    await Promise.allSettled([this.thread?.lookAround(), this.conversations?.refresh()]);
  }

  /** Sign out, and leave nothing behind. */
  async leave() {
    this.conversations?.leave();
    await this.#client.signOut().catch(() => {});
    this.#wanted = null;
    this.#broadcast(null);
    this.#close(false);
  }

  stop() {
    this.conversations?.leave();
    this.#leaveThreads();
    this.#channel?.close();
  }

  /** @param {Thread} thread */
  #show(thread) {
    this.thread?.close();
    this.thread = thread;
    thread.addEventListener("opened", () => this.#identified(thread));
    thread.addEventListener("change", () => {
      if (thread.state === "missing" && thread.id !== null) this.conversations?.forget(thread.id);
    });
    thread.addEventListener("news", () => {
      this.#broadcast(thread.id);
      void this.#refreshTitle();
    });
    this.dispatchEvent(new Event("opened"));
    this.isInitial = false;
    void thread.open();
    this.#sendKept();
    void this.#learnTitle();
  }

  /** What is open may be so old that the list has not got to it. */
  async #learnTitle() {
    const { conversations, thread } = this;
    if (!conversations?.isKnown || !thread?.id || conversations.knows(thread.id)) return;
    await this.#client.conversation(thread.id).then((row) => conversations.see([row]), () => {});
  }

  /** @param {Thread} thread */
  #identified(thread) {
    if (thread.id === null) return;
    this.#listed(thread);
    ofTab.write(this.#openingName, null);
    if (thread !== this.thread) return;
    this.#shown = String(thread.id);
    this.#wanted = this.#shown;
    this.dispatchEvent(new Event("identified"));
  }

  /** @param {Thread} thread which got its id just now */
  #listed(thread) {
    if (thread.id !== null) this.conversations?.opened(thread.id, thread.turns[0]?.text ?? "");
  }

  async #loadConversations() {
    for (let failures = 1; this.conversations && !this.conversations.isKnown && !this.#signal.aborted; failures++) {
      const problem = await this.conversations.refresh().then(() => null, Problem.from);
      if (problem) await pause(delaySeconds(failures, problem.retryAfter), { signal: this.#signal });
    }
  }

  /** The list moves, and a first answer brings a title. */
  async #refreshTitle() {
    for (const seconds of TITLE_SECONDS) {
      await pause(seconds);
      await this.conversations?.refresh().catch(() => {});
      const id = this.thread?.id;
      if (this.conversations?.rows.some((row) => row.id === id && row.title !== null)) return;
    }
  }

  /** @param {User} user */
  #listen(user) {
    this.#channel?.close();
    this.#channel = new BroadcastChannel(`verbatim:${this.#client.base}:${user.id}`);
    this.#channel.addEventListener("message", ({ data }) => {
      // Who is not looked at looks later. Each answer that is followed holds a connection, and a
      // browser has six for all its tabs.
      if (document.hidden) return;
      void this.conversations?.refresh().catch(() => {});
      if (data.conversation !== null && data.conversation === this.thread?.id) {
        void this.thread?.lookAround();
      }
    });
  }

  /** @param {number | null} conversation that other tabs should look at */
  #broadcast(conversation) {
    this.#channel?.postMessage({ conversation });
  }

  #expire() {
    if (this.user) this.#close(true);
  }

  /** Also what another tab kept, which may be closed by now. */
  #sendKept() {
    const { thread } = this;
    if (thread) this.#couriers?.send({ conversation: thread.id, opening: thread.opening });
  }

  #leaveThreads() {
    this.thread?.close();
    this.#couriers?.close();
  }

  /** @param {boolean} isExpired */
  #close(isExpired) {
    this.#leaveThreads();
    this.#channel?.close();
    if (isExpired) this.#wanted = this.conversation;
    else [ofTab, ofBrowser].forEach((store) => store.clear());
    this.isExpired = isExpired;
    this.thread = null;
    this.conversations = null;
    this.tags = null;
    this.user = null;
    this.#shown = null;
    this.sought = null;
    this.dispatchEvent(new Event("left"));
  }
}
