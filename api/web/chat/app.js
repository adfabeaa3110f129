/** Puts the parts of the ChatBot together for one element. */

import { Banner } from "./banner.js";
import { Composer } from "./composer.js";
import { Copies } from "./copies.js";
import { make } from "./dom.js";
import { LanguageChoice } from "./language-choice.js";
import { Account, Drawer, Header, themeOf } from "./layout.js";
import { Menu } from "./menu.js";
import { MessageList } from "./message-list.js";
import { Share } from "./share.js";
import { Shortcuts } from "./shortcuts.js";
import { Organiser } from "./organiser.js";
import { Sidebar } from "./sidebar.js";
import { SignIn } from "./sign-in.js";
import { TagEditor } from "./tag-editor.js";
import { Toasts } from "./toasts.js";
import { Client } from "../model/client.js";
import { Hits } from "../model/hits.js";
import { Session } from "../model/session.js";
import { spoken, texts } from "../texts.js";

/**
 * @import { AccountPanel } from "./account-panel.js"
 * @import { Token } from "../model/client.js"
 * @import { Turn } from "../model/turn.js"
 * @import { Thread } from "../model/thread.js"
 * @import { Attachment, Rating, User } from "../model/wire.js"
 */

/** Another device says nothing to us: we look. And more often while the server does not answer. */
const POLL_SECONDS = 10;
const PROBE_SECONDS = 2;

export class ChatApp {
  #host;
  #client;
  #session;
  #stop = new AbortController();

  #announcer = make("div", { class: "unseen", role: "status" });
  #toasts = new Toasts();
  #menu = new Menu();
  #banner = new Banner();
  #signIn;
  #account;
  #share;
  #shortcuts;
  /** @type {AccountPanel | null} it is loaded when it is opened first */
  #panel = null;
  #copies;
  #tagEditor;
  #sidebar;
  #header;
  #messages;
  #composer;
  #drawer;
  #layout;
  /** @type {Thread | null} */
  #thread = null;
  #title = "";
  #hasJustSignedIn = false;
  #hasNewLanguage;

  /**
   * @param {HTMLElement} host
   * @param {ShadowRoot} root
   * @param {string} base
   * @param {Token | null} token
   * @param {boolean} hasNewLanguage its user has just chosen it
   */
  constructor(host, root, base, token, hasNewLanguage) {
    this.#host = host;
    this.#hasNewLanguage = hasNewLanguage;
    this.#client = new Client(base, token);
    this.#session = new Session(this.#client, this.#stop.signal);
    this.#banner.watch(this.#client);
    this.#signIn = new SignIn(this.#client, this.#languageChoice(), {
      signedIn: (user) => {
        this.#hasJustSignedIn = true;
        void this.#session.enter(user);
      },
      asked: () => {
        this.#tell("verbatim-signin", {});
        void this.start(host.getAttribute("conversation"));
      },
    });
    this.#account = new Account(this.#client, {
      account: () => void this.#openPanel((panel, user) => panel.open(user)),
      shortcuts: () => this.#shortcuts.open(),
      theme: (theme) => this.#chooseTheme(theme),
      signOut: () => this.#signOut(),
    });
    this.#share = new Share(this.#client);
    this.#shortcuts = new Shortcuts([
      { letter: "N", label: texts.newChat, act: () => this.#choose(null) },
      { letter: "M", label: texts.writeMessage, act: () => this.#composer.focus() },
      { letter: "S", label: texts.searchAll, act: () => this.#search() },
      { letter: "B", label: texts.toggleSidebar, act: () => this.#drawer.toggle() },
      { letter: "X", label: texts.stop, act: () => this.#stopAnswer(), can: () => this.#thread?.running != null },
    ]);
    this.#header = new Header(
      () => this.#drawer.open(),
      () => this.#thread?.id && void this.#share.open(this.#thread.id),
      (opener) => this.#menu.open(opener, texts.conversation, this.#copies.choices),
    );
    this.#messages = new MessageList({
      retry: (turn) => turn.retry(),
      edit: (turn) => this.#edit(turn),
      discard: (turn) => this.#thread?.discard(turn),
      replace: (message, text, files) => this.#replace(message, text, files),
      urlOf: (asset) => this.#client.urlOf(asset),
      switchTo: (branch) => void this.#switchTo(branch),
      rate: (message, rating, comment) => this.#rate(message, rating, comment),
      toLatest: () => void this.#session.openLatest(),
      suggest: (text) => this.#suggest(text),
      import: () => void this.#openPanel((panel, user) => panel.openData(user)),
    });
    this.#composer = new Composer({
      send: (text, files) => this.#send(text, files),
      upload: (file, progress, signal) => this.#client.upload(file, progress, signal),
      stop: () => this.#stopAnswer(),
      editLast: () => this.#messages.editLast(),
    });
    this.#copies = new Copies(this.#client, this.#session, this.#toasts, root);
    this.#tagEditor = new TagEditor();
    this.#sidebar = new Sidebar(
      {
        open: (id) => this.#choose(id),
        find: (id, position) => this.#find(id, position),
        rename: (id, title) => this.#rename(id, title),
        organise: new Organiser(this.#session, this.#toasts, this.#tagEditor),
        menu: this.#menu,
        save: (id) => void this.#copies.save(id),
        announce: (words) => this.#announce(words),
        close: () => this.#drawer.hide(),
      },
      (place) => `?conversation=${place}`,
      this.#account.element,
    );
    const chat = make(
      "section",
      { class: "chat", "aria-label": texts.conversation },
      this.#header.element,
      this.#banner.element,
      this.#messages.element,
      this.#composer.element,
    );
    this.#composer.takeDropsOn(chat);
    this.#drawer = new Drawer(this.#sidebar.element, chat, this.#header.menu);
    this.#layout = make("div", { class: "layout" }, this.#sidebar.element, this.#drawer.scrim, chat);
    root.replaceChildren(
      make(
        "div",
        { class: "app", lang: spoken.language, dir: host.getAttribute("dir") ?? spoken.dir },
        this.#layout,
        this.#signIn.element,
        this.#share.element,
        this.#tagEditor.element,
        this.#shortcuts.element,
        this.#menu.element,
        this.#toasts.element,
        this.#announcer,
      ),
    );
    this.#layout.hidden = this.#signIn.element.hidden = true; // until it is known who is here
    this.#listen();
    this.showTheme(host.getAttribute("theme"));
  }

  /** What is open, as the element's attribute has it. */
  get conversation() {
    return this.#session.conversation;
  }

  /** @param {string | null} conversation */
  async start(conversation) {
    await this.#session.start(conversation);
  }

  stop() {
    this.#session.stop();
    this.#stop.abort();
  }

  /** @param {string | null} conversation as in the attribute */
  show(conversation) {
    this.#session.open(conversation);
  }

  /** @param {string | null} theme */
  showTheme(theme) {
    this.#account.showTheme(themeOf(theme));
  }

  #listen() {
    const { signal } = this.#stop;
    const session = this.#session;
    this.#host.addEventListener("keydown", (event) => this.#copies.pressed(event), { signal });
    session.addEventListener("entered", () => this.#entered());
    session.addEventListener("left", () => this.#left());
    session.addEventListener("opened", () => this.#opened());
    session.addEventListener("moved", () => this.#moved());
    session.addEventListener("identified", () => this.#identified());
    session.addEventListener("change", () => {
      this.#showTitle();
      this.#messages.greet(session.conversations?.isEmpty ?? false);
    });
    this.#banner.addEventListener("back", () => session.wake());
    const look = () => document.visibilityState === "visible" && void session.lookAround();
    document.addEventListener("visibilitychange", look, { signal });
    addEventListener("focus", look, { signal });
    document.addEventListener("keydown", (event) => this.#pressed(event), { signal });
    addEventListener("online", () => session.wake(), { signal });
    addEventListener("pagehide", () => session.conversations?.leave(), { signal });
    const poll = setInterval(look, POLL_SECONDS * 1000);
    const probe = setInterval(() => this.#banner.isAway && look(), PROBE_SECONDS * 1000);
    signal.addEventListener("abort", () => [poll, probe].forEach(clearInterval));
  }

  #entered() {
    this.#layout.hidden = false;
    this.#signIn.element.hidden = true;
    this.#account.showName(this.#session.user?.username ?? "");
    const { conversations, tags } = this.#session;
    if (conversations && tags) this.#sidebar.use(conversations, new Hits(this.#client), tags);
    if (this.#hasNewLanguage) void this.#openPanel((panel, user) => panel.showLanguage(user));
    this.#hasNewLanguage = false;
  }

  #left() {
    this.#share.close();
    this.#panel?.close();
    this.#tagEditor.close();
    this.#shortcuts.close();
    this.#composer.leave();
    this.#layout.hidden = true;
    this.#signIn.element.hidden = false;
    this.#messages.open(null);
    if (this.#hasNewLanguage) this.#signIn.showLanguage();
    else this.#signIn.open(this.#session.isExpired ? texts.signedOut : "");
    this.#hasNewLanguage = false;
  }

  /** Another conversation is shown. */
  #opened() {
    const thread = (this.#thread = this.#session.thread);
    this.#messages.open(thread);
    if (!thread) return;
    this.#composer.open(this.#session.draftName);
    // What is typed right after signing in is meant for the conversation.
    if (this.#hasJustSignedIn) this.#composer.focus();
    this.#hasJustSignedIn = false;
    this.#sidebar.select(thread.id);
    this.#showState();
    this.#showTitle();
    this.#tell("verbatim-navigate", { isInitial: this.#session.isInitial });
    const isCurrent = () => thread === this.#thread;
    thread.addEventListener("change", () => {
      if (!isCurrent()) return;
      this.#messages.update();
      this.#showState();
      this.#showTitle();
    });
    thread.addEventListener("turn", (event) => {
      if (!isCurrent()) return;
      const turn = /** @type {CustomEvent<Turn>} */ (event).detail;
      this.#messages.updateTurn(turn);
      this.#showState();
      this.#announceTurn(turn);
    });
  }

  /** Another place of the open conversation is asked for. */
  #moved() {
    this.#tell("verbatim-navigate", { isInitial: false });
    const { sought } = this.#session;
    if (sought === null) void this.#messages.toEnd();
    else this.#thread?.around(sought).catch(() => {}); // the banner says why
  }

  /** A new conversation got its id from its first message. */
  #identified() {
    this.#composer.move(this.#session.draftName);
    this.#sidebar.select(this.#thread?.id ?? null);
    this.#showTitle();
    this.#tell("verbatim-navigate", { isInitial: false });
  }

  #showState() {
    const running = this.#thread?.running ?? null;
    this.#header.showTools(Boolean(this.#thread?.id) && this.#thread?.state !== "missing");
    this.#composer.show({
      isAnswering: running !== null,
      isStopping: running?.isStopping ?? false,
      isClosed: this.#thread?.state === "missing",
    });
  }

  #showTitle() {
    const { title } = this.#session;
    if (title === this.#title) return;
    this.#title = title;
    this.#header.show(title);
    this.#tell("verbatim-title", {});
  }

  /** @param {Turn} turn */
  #announceTurn(turn) {
    if (turn.state === "answered") this.#announce(`${texts.answered} ${turn.answer}`);
    else if (turn.state === "refused") this.#announce(texts.refused);
    else if (turn.state === "unanswered") this.#announce(texts.unanswered);
    else if (turn.state === "answering" && !turn.answer && !turn.isReconnecting) {
      this.#announce(texts.thinking);
    }
  }

  /** @param {string} words for screen readers; long ones are theirs to cut */
  #announce(words) {
    if (this.#announcer.textContent !== words) this.#announcer.textContent = words;
  }

  /**
   * @param {string} text
   * @param {Attachment[]} files
   */
  #send(text, files) {
    this.#thread?.say(text, null, files);
    this.#messages.follow();
  }

  /** @param {string} text */
  #suggest(text) {
    this.#send(text, []);
    this.#composer.focus();
  }

  /**
   * @param {number} message of the user's, which is said anew
   * @param {string} text
   * @param {Attachment[]} files
   */
  #replace(message, text, files) {
    this.#thread?.say(text, message, files);
    this.#composer.focus();
    this.#messages.follow();
  }

  /** @param {number} branch */
  async #switchTo(branch) {
    const problem = await this.#thread?.switchTo(branch);
    if (problem) this.#toasts.show(texts.notSwitched);
    else this.#announce(texts.switched);
  }

  /**
   * @param {number} message
   * @param {Rating | null} rating
   * @param {string | null} comment
   * @returns {Promise<boolean>} whether the server took it
   */
  async #rate(message, rating, comment) {
    const conversation = this.#thread?.id;
    if (!conversation) return false;
    return this.#client.rate(conversation, message, rating, comment).then(
      () => true,
      () => false,
    );
  }

  /** @param {Turn} turn */
  #edit(turn) {
    if (turn.text === null) return;
    this.#thread?.discard(turn);
    this.#composer.edit(turn.text, turn.attachments);
  }

  /** @param {number | null} id */
  #choose(id) {
    const wasOpen = this.#drawer.isOpen;
    this.#drawer.close();
    this.#session.open(id === null ? "new" : String(id));
    if (id === null || wasOpen) this.#composer.focus();
  }

  #stopAnswer() {
    void this.#thread?.running?.stop();
  }

  #search() {
    this.#drawer.open();
    this.#sidebar.focus();
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (this.#layout.hidden || !Shortcuts.isAskedFor(event, this.#host)) return;
    if (this.#host.shadowRoot?.querySelector("dialog[open]")) return;
    event.preventDefault();
    this.#shortcuts.open();
  }

  /**
   * @param {number} id
   * @param {number} position
   */
  #find(id, position) {
    this.#drawer.close();
    this.#session.open(`${id}:${position}`);
  }

  /**
   * @param {number} id
   * @param {string} title
   */
  #rename(id, title) {
    this.#session.rename(id, title).catch(() => this.#toasts.show(texts.notRenamed));
  }

  #signOut() {
    if (!this.#session.hasUnsent) return void this.#session.leave();
    const act = () => void this.#session.leave();
    this.#toasts.show(texts.signOutUnsent, { label: texts.signOutAnyway, act });
  }

  /** @param {User} user with another name */
  #renamed(user) {
    this.#session.learnUser(user);
    this.#account.showName(user.username);
  }

  #languageChoice() {
    return new LanguageChoice(this.#host.getAttribute("lang"), (chosen) => this.#chooseLanguage(chosen));
  }

  /** @param {(panel: AccountPanel, user: User) => void} open */
  async #openPanel(open) {
    try {
      const { AccountPanel } = await import("./account-panel.js");
      const { user } = this.#session;
      if (!user) return;
      if (!this.#panel) {
        this.#panel = new AccountPanel(this.#client, this.#languageChoice(), {
          renamed: (known) => this.#renamed(known),
          imported: () => void this.#session.lookAround(),
          deleted: () => void this.#deleted(),
        });
        this.#layout.after(this.#panel.element);
      }
      open(this.#panel, user);
    } catch {
      this.#toasts.show(texts.signInLater);
    }
  }

  /** The account is gone, and all that was kept of it here. */
  async #deleted() {
    await this.#session.leave();
    this.#toasts.show(texts.accountDeleted);
  }

  /** @param {"auto" | "light" | "dark"} theme */
  #chooseTheme(theme) {
    this.#host.setAttribute("theme", theme);
    this.#tell("verbatim-theme", { theme });
  }

  /** @param {string | null} language null: the browser's */
  #chooseLanguage(language) {
    if (language) this.#host.setAttribute("lang", language);
    else this.#host.removeAttribute("lang");
  }

  /**
   * @param {string} name
   * @param {Record<string, unknown>} more
   */
  #tell(name, more) {
    const { conversation, title } = this.#session;
    const detail = { conversation, title, ...more };
    this.#host.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}
