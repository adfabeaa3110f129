/** The conversations: search, list, and what can be done with each. */

import { Entries } from "./entries.js";
import { HitList } from "./hit-list.js";
import { ListTools } from "./list-tools.js";
import { Selection } from "./selection.js";
import { iconButton, icon, make } from "./dom.js";
import { groupsOf } from "../model/date-groups.js";
import { Problem } from "../model/problem.js";
import { isPlain, queryOf } from "../model/view.js";
import { texts } from "../texts.js";

/**
 * @import { Menu } from "./menu.js"
 * @import { Organiser } from "./organiser.js"
 * @import { ConversationList } from "../model/conversation-list.js"
 * @import { Hits } from "../model/hits.js"
 * @import { Tags } from "../model/tags.js"
 * @import { View } from "../model/view.js"
 *
 * @typedef {object} SidebarActions
 * @property {(id: number | null) => void} open null for a new one
 * @property {(id: number, position: number) => void} find a message
 * @property {(id: number, title: string) => void} rename
 * @property {Organiser} organise
 * @property {Menu} menu
 * @property {(id: number) => void} save as a file
 * @property {(words: string) => void} announce
 * @property {() => void} close
 */

/** Closer to the end of the list than this (in pixels), the next page is loaded. */
const NEAR_END = 600;
const SEARCH_PAUSE_MS = 200;

export class Sidebar {
  #entries;
  #selection;
  #tools;
  #hint = make("p", { class: "list-hint" });
  #scroller;
  #search;
  #actions;
  /** @type {ConversationList | null} */
  #conversations = null;
  /** @type {Hits | null} */
  #hits = null;
  #found;
  /** @type {number | null} */
  #current = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #searching;

  /**
   * @param {SidebarActions} actions
   * @param {(place: string | number) => string} hrefOf of a conversation, or a message as `id:position`
   * @param {HTMLElement} footer
   */
  constructor(actions, hrefOf, footer) {
    this.#actions = actions;
    const { open, rename, organise } = actions;
    this.#entries = new Entries(
      {
        open,
        rename,
        remove: (id) => organise.remove([id]),
        more: (id, opener) => this.#openMenu(id, opener),
        select: (id, isSelected, isRange) => this.#selection.select(id, isSelected, isRange),
      },
      hrefOf,
    );
    this.#selection = new Selection(
      {
        archive: (ids, isArchived) => organise.archive(ids, isArchived),
        tag: (ids) => organise.tag(ids),
        remove: (ids) => organise.remove(ids),
        changed: (hadFocus) => this.#selectionChanged(hadFocus),
      },
      () => this.#entries.order,
    );
    this.#tools = new ListTools({
      look: (part) => void this.#look(part),
      select: () => this.#selection.toggle(),
    });
    this.#search = make("input", {
      type: "search",
      "aria-label": texts.search,
      placeholder: texts.search,
      autocomplete: "off",
      oninput: () => this.#typed(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#searchKey(event),
    });
    this.#found = new HitList(
      { open: (id, position) => actions.find(id, position), more: () => void this.#more() },
      (id, position) => hrefOf(`${id}:${position}`),
    );
    this.#scroller = make(
      "div",
      { class: "entries-scroller" },
      this.#entries.element,
      this.#hint,
      this.#found.element,
    );
    this.#scroller.addEventListener("scroll", () => this.#fill(), { passive: true });
    this.element = make(
      "nav",
      { class: "sidebar", "aria-label": texts.conversations },
      make(
        "div",
        { class: "brand" },
        make("span", { class: "mark", "aria-hidden": "true" }, "“"),
        make("span", { class: "name" }, texts.name),
        iconButton("close", texts.closeSidebar, () => actions.close()),
      ),
      make(
        "button",
        { type: "button", class: "new", onclick: () => open(null) },
        icon("plus"),
        texts.newChat,
      ),
      make("div", { class: "search", role: "search" }, icon("search"), this.#search),
      this.#tools.element,
      this.#scroller,
      this.#selection.element,
      footer,
    );
    this.element.addEventListener("keydown", (event) => this.#pressed(event));
  }

  /**
   * @param {ConversationList} conversations
   * @param {Hits} hits
   * @param {Tags} tags
   */
  use(conversations, hits, tags) {
    this.#conversations = conversations;
    this.#hits = hits;
    this.#found.show(hits);
    this.#search.value = "";
    this.#tools.use(tags);
    this.#selection.end();
    conversations.addEventListener("change", () => this.update());
    this.update();
  }

  /** @param {number | null} id */
  select(id) {
    this.#current = id;
    this.#entries.reach(id);
    this.update();
  }

  focus() {
    this.#search.focus();
  }

  update() {
    const conversations = this.#conversations;
    if (!conversations) return;
    this.#tools.show(conversations.view);
    const groups = this.#groupsOf(conversations);
    this.#entries.show({ groups, current: this.#current, selected: this.#selection.ids });
    this.#selection.isInArchive = conversations.shownView.isArchived;
    this.#selection.keepShown();
    this.#hint.textContent = this.#hintOf(this.#entries.order.length);
    this.#fill();
  }

  /** @param {ConversationList} conversations */
  #groupsOf({ shown, pinned, shownView }) {
    const above = isPlain(shownView) ? pinned : [];
    const rest = isPlain(shownView) ? shown.filter((row) => row.pinned_at === null) : shown;
    const { sort } = shownView;
    const groups = sort === "title" ? [{ label: "", rows: rest }] : groupsOf(rest, (row) => row[sort], new Date());
    return above.length ? [{ label: texts.pinned, rows: above }, ...groups] : groups;
  }

  /** @param {boolean} hadFocus */
  #selectionChanged(hadFocus) {
    this.#tools.showSelecting(this.#selection.ids !== null);
    if (hadFocus) this.#tools.focusSelect();
    this.update();
  }

  /**
   * @param {number} id
   * @param {HTMLElement} opener
   */
  #openMenu(id, opener) {
    const { organise, menu, save } = this.#actions;
    const [row] = this.#conversations?.rowsOf([id]) ?? [];
    if (!row) return;
    const isPinned = row.pinned_at !== null;
    const isArchived = row.archived_at !== null;
    menu.open(opener, row.title ?? texts.untitled, [
      { label: isPinned ? texts.unpin : texts.pin, act: () => organise.pin(id, !isPinned) },
      { label: texts.editTags, act: () => organise.tag([id], () => this.#entries.focusMore(id)) },
      { label: isArchived ? texts.unarchive : texts.archive, act: () => organise.archive([id], !isArchived) },
      { label: texts.exportMarkdown, act: () => save(id) },
    ]);
  }

  /** @param {number} count */
  #hintOf(count) {
    if (this.#conversations?.isLoading) return texts.loadingMore;
    if (count > 0 || !this.#conversations?.isKnown) return "";
    const { query, isArchived, tag } = this.#conversations.shownView;
    if (query) return texts.nothingFound;
    if (tag !== null) return texts.noneTagged;
    return isArchived ? texts.noneArchived : texts.noConversations;
  }

  /** Load more where the end of the list is near. */
  async #fill() {
    const conversations = this.#conversations;
    if (!conversations?.hasMore || conversations.isLoading) return;
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    if (scrollHeight - scrollTop - clientHeight > NEAR_END) return;
    await conversations.more().catch(() => {}); // the next scroll tries again
  }

  #typed() {
    clearTimeout(this.#searching);
    this.#searching = setTimeout(() => void this.#find(), SEARCH_PAUSE_MS);
  }

  /** @param {Partial<View>} [part] what is looked for otherwise, besides the words */
  async #find(part = {}) {
    const conversations = this.#conversations;
    const hits = this.#hits;
    if (!conversations || !hits) return;
    const view = { ...part, query: this.#search.value.trim() };
    const { archived, tag } = queryOf({ ...conversations.view, ...view });
    try {
      const found = hits.search(this.#search.value, { archived, tag }).catch(isNoWord);
      await Promise.all([conversations.look(view), found]);
      this.#found.show(hits);
      if (view.query) this.#actions.announce(texts.found(conversations.total, hits.shown.length));
      this.#scroller.scrollTop = 0;
    } catch {
      // The banner says why; typing on tries again.
    }
  }

  /** @param {Partial<View>} part */
  async #look(part) {
    this.#selection.end();
    const looked = this.#find(part);
    this.update();
    await looked;
  }

  async #more() {
    await this.#hits?.more().catch(() => {}); // another click tries again
    if (this.#hits) this.#found.show(this.#hits);
  }

  /** @param {KeyboardEvent} event */
  #searchKey(event) {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      if (!this.#entries.focus()) this.#found.focus();
    } else if (event.key === "Escape" && this.#search.value) {
      event.stopPropagation();
      event.preventDefault();
      this.#search.value = "";
      void this.#find();
    }
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key !== "Escape" || !this.#selection.ids) return;
    event.stopImmediatePropagation();
    this.#selection.end();
  }
}

/**
 * What is typed need not be anything to search messages for; titles are searched all the same.
 * @param {unknown} error
 */
function isNoWord(error) {
  if (Problem.from(error).status !== 422) throw error;
}
