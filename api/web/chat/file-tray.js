/** The files of the message that is being written: each is sent at once, and shown until that goes. */

import { iconButton, make } from "./dom.js";
import { Problem } from "../model/problem.js";
import { ACCEPTED, FILES_MOST } from "../model/uploads.js";
import { texts } from "../texts.js";

/**
 * @import { Attachment } from "../model/wire.js"
 *
 * @typedef {(file: File, progress: (share: number) => void, signal: AbortSignal) => Promise<Attachment>} Upload
 *
 * @typedef {object} Entry
 * @property {string} name
 * @property {Attachment | null} attachment once it is there
 * @property {AbortController} abort
 * @property {HTMLLIElement} element
 */

/** Calls `changed` whenever there is more or less to be sent. Files stay with their draft. */
export class FileTray {
  element;
  /** Chooses files. */
  button;
  #field = make("input", { type: "file", multiple: true, accept: ACCEPTED, hidden: true });
  #list = make("ul", { class: "tray", "aria-label": texts.files, hidden: true });
  #note = make("div", { class: "count", role: "status" });
  #upload;
  #changed;
  #draft = "";
  /** @type {Map<string, Entry[]>} by the name of their draft */
  #drafts = new Map();

  /**
   * @param {Upload} upload
   * @param {() => void} changed
   */
  constructor(upload, changed) {
    this.#upload = upload;
    this.#changed = changed;
    this.button = iconButton("clip", texts.attach, () => this.#field.click(), { class: "attach" });
    this.element = make("div", {}, this.#note, this.#list, this.#field);
    this.#field.addEventListener("change", () => {
      this.add(this.#field.files ?? []);
      this.#field.value = ""; // the same one may be chosen again
    });
  }

  get isEmpty() {
    return this.#entries.length === 0;
  }

  /** Whether all of them are there. */
  get isReady() {
    return this.#entries.every(({ attachment }) => attachment !== null);
  }

  /** @param {string} draft whose files are shown from now on */
  open(draft) {
    this.#draft = draft;
    this.#show();
  }

  /** @param {string} draft the same message's new name */
  move(draft) {
    const entries = this.#entries;
    this.#drafts.delete(this.#draft);
    this.#drafts.set(draft, entries);
    this.open(draft);
  }

  /** @param {Iterable<File>} files */
  add(files) {
    for (const file of files) {
      if (this.#entries.length >= FILES_MOST) {
        this.#note.textContent = texts.filesMost(FILES_MOST);
        break;
      }
      const entry = this.#entryOf(file.name);
      void this.#send(file, entry);
    }
    this.#show();
  }

  /** @param {Attachment[]} attachments of a message that is written anew */
  restore(attachments) {
    for (const attachment of attachments) {
      const entry = this.#entryOf(attachment.name);
      entry.attachment = attachment;
      this.#label(entry);
    }
    this.#show();
  }

  /** Take them out, for the message that is sent now. */
  take() {
    const taken = this.#entries.flatMap(({ attachment }) => attachment ?? []);
    this.#drafts.delete(this.#draft);
    this.#show();
    return taken;
  }

  /** Forget all: somebody else may be next. */
  clear() {
    for (const { abort } of [...this.#drafts.values()].flat()) abort.abort();
    this.#drafts.clear();
    this.#show();
  }

  get #entries() {
    return this.#drafts.get(this.#draft) ?? [];
  }

  /** @param {string} name */
  #entryOf(name) {
    /** @type {Entry} */
    const entry = { name, attachment: null, abort: new AbortController(), element: make("li") };
    this.#drafts.set(this.#draft, [...this.#entries, entry]);
    return entry;
  }

  /**
   * @param {File} file
   * @param {Entry} entry
   */
  async #send(file, entry) {
    const bar = make("progress", { max: 1, value: 0, "aria-label": texts.uploading(entry.name) });
    this.#label(entry, bar);
    try {
      entry.attachment = await this.#upload(file, (share) => (bar.value = share), entry.abort.signal);
      this.#label(entry);
    } catch (error) {
      if (entry.abort.signal.aborted) return;
      const { detail, isPassing } = Problem.from(error);
      const why = make("span", { class: "bad", role: "alert" }, isPassing ? texts.notUploaded : detail);
      const again = () => void this.#send(file, entry);
      this.#label(entry, why, make("button", { type: "button", onclick: again }, texts.retry));
    }
    this.#changed();
  }

  /**
   * @param {Entry} entry
   * @param {Node[]} state what is to be said beside its name
   */
  #label(entry, ...state) {
    const drop = () => this.#remove(entry);
    const remove = iconButton("close", texts.removeFile(entry.name), drop, { class: "remove" });
    const name = make("span", { class: "name", dir: "auto" }, entry.name);
    entry.element.replaceChildren(name, ...state, remove);
  }

  /** @param {Entry} entry */
  #remove(entry) {
    entry.abort.abort();
    const left = this.#entries.filter((other) => other !== entry);
    this.#drafts.set(this.#draft, left);
    this.#show();
    // A button that was pressed and went away must not throw its user to the top of the page.
    (this.#list.querySelector("button") ?? this.button).focus();
  }

  #show() {
    const entries = this.#entries;
    this.#list.replaceChildren(...entries.map(({ element }) => element));
    this.#list.hidden = entries.length === 0;
    if (entries.length < FILES_MOST) this.#note.textContent = "";
    this.#changed();
  }
}
