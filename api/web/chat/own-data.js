/** One's conversations as a file, and a file's conversations into the account. */

import { make } from "./dom.js";
import { save } from "./files.js";
import { Section } from "./section.js";
import { exportAll } from "../model/exporter.js";
import { importFile } from "../model/importer.js";
import { texts } from "../texts.js";

/**
 * @import { Client } from "../model/client.js"
 * @import { Summary } from "../model/importer.js"
 */

/** So many refused lines are told; the others are counted. */
const TOLD = 20;

export class OwnData {
  #client;
  #imported;
  #section;
  #progress = make("progress", { max: 1, "aria-label": texts.progress, hidden: true });
  #status = make("p", { class: "list-hint", role: "status" });
  #refused = make("ul", { class: "refused" });
  #export;
  #choose;
  #stop;
  #file = make("input", { type: "file", accept: ".jsonl,.ndjson,.json", hidden: true, "aria-label": texts.import });
  /** @type {AbortController | null} */
  #running = null;

  /**
   * @param {Client} client
   * @param {() => void} imported there are conversations that the list does not show yet
   */
  constructor(client, imported) {
    this.#client = client;
    this.#imported = imported;
    this.#file.addEventListener("change", () => void this.#import(this.#file.files?.[0]));
    this.#export = button(texts.export, () => this.#save());
    this.#choose = button(texts.import, () => this.#file.click());
    this.#stop = button(texts.cancel, () => this.#running?.abort());
    this.#stop.hidden = true;
    const drop = make(
      "div",
      { class: "drop" },
      make("p", { class: "list-hint" }, texts.dropHint),
      make("div", { class: "actions" }, this.#export, this.#choose, this.#stop),
      this.#file,
      this.#progress,
      this.#status,
      this.#refused,
    );
    this.#section = new Section(texts.yourData, drop);
    this.element = this.#section.element;
    this.#listen(drop);
  }

  focus() {
    this.#choose.focus();
  }

  /** The dialog is gone: what runs here ends. */
  stop() {
    this.#running?.abort();
    this.#status.textContent = "";
    this.#refused.replaceChildren();
    this.#section.complain("");
  }

  /** @param {HTMLElement} drop */
  #listen(drop) {
    drop.addEventListener("dragover", (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      this.#import(event.dataTransfer?.files[0]);
    });
  }

  #save() {
    return this.#run(async (signal) => {
      const every = { archived: "any" };
      const { total } = await this.#client.conversations(every, { cursor: null, limit: 1, readAfter: null });
      const file = await exportAll(
        this.#client,
        (count, bytes) => this.#tell(total ? count / total : 1, texts.exporting(Math.min(count, total), total, bytes)),
        signal,
      );
      save(file, `verbatim-${new Date().toISOString().slice(0, 10)}.jsonl`);
      this.#status.textContent = texts.exported(total, file.size);
    });
  }

  /** @param {File | undefined} file */
  #import(file) {
    this.#file.value = "";
    if (!file) return;
    return this.#run(async (signal) => {
      this.#tell(0, texts.importing(0));
      const summary = await importFile(
        this.#client,
        file,
        (part, { conversations }) => this.#tell(part, texts.importing(conversations.size)),
        signal,
      );
      this.#summarize(summary);
      if (summary.conversations.size) this.#imported();
    });
  }

  /** @param {Summary} summary */
  #summarize({ conversations, messages, skipped, refused }) {
    const left = [...skipped.values()].reduce((sum, count) => sum + count, 0);
    this.#status.textContent = texts.imported(conversations.size, messages, left, refused.length);
    const told = refused.slice(0, TOLD).map(({ line, detail }) => make("li", {}, texts.refusedLine(line, detail)));
    this.#refused.replaceChildren(...told);
  }

  /**
   * One at a time, with its progress.
   * @param {(signal: AbortSignal) => Promise<void>} act
   */
  async #run(act) {
    if (this.#running) return;
    const running = (this.#running = new AbortController());
    this.#refused.replaceChildren();
    this.#show(true);
    const done = await this.#section.attempt(() => act(running.signal));
    this.#running = null;
    this.#show(false);
    if (running.signal.aborted) this.#section.complain(texts.stopped);
    if (!done) this.#status.textContent = "";
  }

  /** @param {boolean} isRunning */
  #show(isRunning) {
    const hadFocus = this.#stop.matches(":focus");
    this.#progress.hidden = this.#stop.hidden = !isRunning;
    this.#progress.value = 0;
    // Not `disabled`: that would take the focus away.
    for (const one of [this.#export, this.#choose]) one.setAttribute("aria-disabled", String(isRunning));
    if (hadFocus) this.#choose.focus();
  }

  /**
   * @param {number} part 0 to 1
   * @param {string} words
   */
  #tell(part, words) {
    this.#progress.value = part;
    this.#status.textContent = words;
  }
}

/**
 * @param {string} words
 * @param {() => unknown} onclick
 */
function button(words, onclick) {
  return make("button", { type: "button", class: "plain", onclick }, words);
}
