/** What is done with conversations in the list, each with a way back: archive, pin, tag, delete. */

import { texts } from "../texts.js";

/**
 * @import { TagEditor } from "./tag-editor.js"
 * @import { Toasts } from "./toasts.js"
 * @import { Change } from "../model/changes.js"
 * @import { Session } from "../model/session.js"
 * @import { ConversationRow } from "../model/wire.js"
 */

export class Organiser {
  #session;
  #toasts;
  #editor;

  /**
   * @param {Session} session
   * @param {Toasts} toasts
   * @param {TagEditor} editor
   */
  constructor(session, toasts, editor) {
    this.#session = session;
    this.#toasts = toasts;
    this.#editor = editor;
  }

  /**
   * @param {number} id
   * @param {boolean} isPinned
   */
  pin(id, isPinned) {
    this.#change(new Map([[id, { pinned: isPinned }]]));
  }

  /**
   * @param {number[]} ids
   * @param {boolean} isArchived
   */
  archive(ids, isArchived) {
    const said = isArchived ? texts.archivedMany : texts.unarchivedMany;
    /** @param {boolean} archived */
    const all = (archived) => this.#change(new Map(ids.map((id) => [id, { archived }])));
    all(isArchived);
    this.#toasts.show(said(ids.length), { label: texts.undo, act: () => all(!isArchived) });
  }

  /**
   * @param {number[]} ids
   * @param {() => void} [closed] the dialog is
   */
  tag(ids, closed = () => {}) {
    const { conversations, tags } = this.#session;
    const rows = conversations?.rowsOf(ids) ?? [];
    const known = tags?.known.map(({ tag }) => tag) ?? [];
    /** @param {Set<string>} add @param {Set<string>} remove */
    const save = (add, remove) => this.#retag(rows, add, remove);
    this.#editor.open(rows.map((row) => row.tags), known, save, closed);
  }

  /** @param {number[]} ids */
  remove(ids) {
    const title = this.#session.conversations?.titleOf(ids[0] ?? 0) ?? texts.untitled;
    const deletion = this.#session.remove(ids);
    const said = ids.length === 1 ? texts.deleted(title) : texts.deletedMany(ids.length);
    this.#toasts.show(said, { label: texts.undo, act: deletion.undo, gone: deletion.commit });
  }

  /**
   * @param {ConversationRow[]} rows
   * @param {Set<string>} add
   * @param {Set<string>} remove
   */
  #retag(rows, add, remove) {
    /** @type {Map<number, Change>} */
    const changes = new Map();
    /** @type {Map<number, Change>} */
    const back = new Map();
    for (const { id, tags } of rows) {
      const before = tags ?? [];
      const after = [...new Set([...before.filter((tag) => !remove.has(tag)), ...add])];
      if (after.length === before.length && after.every((tag) => before.includes(tag))) continue;
      changes.set(id, { tags: after });
      back.set(id, { tags: before });
    }
    if (!changes.size) return;
    this.#change(changes);
    this.#toasts.show(texts.taggedMany(changes.size), { label: texts.undo, act: () => this.#change(back) });
  }

  /** @param {Map<number, Change>} changes */
  #change(changes) {
    this.#session.conversations?.change(changes).catch(() => this.#toasts.show(texts.notChanged));
  }
}
