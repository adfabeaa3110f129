/** Where a message is written. What is not sent yet is kept, though the tab is closed. */

import { iconButton, make } from "./dom.js";
import { FileTray } from "./file-tray.js";
import { ofBrowser } from "../model/storage.js";
import { texts } from "../texts.js";

/** The API takes this many code points. */
const MOST = 100_000;
/** From here on the rest is counted. */
const COUNT_FROM = 95_000;

/**
 * @import { Upload } from "./file-tray.js"
 * @import { Attachment } from "../model/wire.js"
 *
 * @typedef {object} Actions
 * @property {(text: string, attachments: Attachment[]) => void} send
 * @property {() => void} stop
 * @property {() => void} editLast
 * @property {Upload} upload
 */

export class Composer {
  #field = make("textarea", {
    rows: 1,
    dir: "auto",
    "aria-label": texts.composer,
    placeholder: texts.placeholder,
    enterkeyhint: "send",
    // Until there is a conversation to write to.
    disabled: true,
    autocomplete: "off",
  });
  #count = make("div", { class: "count", role: "status" });
  #send = make("button");
  #tray;
  #stop;
  #onSend;
  #onEditLast;
  #draft = "";

  /** @param {Actions} actions */
  constructor({ send, stop, editLast, upload }) {
    this.#onSend = send;
    this.#onEditLast = editLast;
    this.#send = iconButton("send", texts.send, () => {}, { type: "submit", class: "send" });
    this.#stop = make(
      "button",
      { type: "button", class: "stop", "aria-label": texts.stop, title: texts.stop, hidden: true, onclick: stop },
      make("i"),
    );
    const buttons = make("div", { class: "buttons" }, this.#stop, this.#send);
    this.#tray = new FileTray(upload, () => this.#changed());
    const frame = make("div", { class: "frame" }, this.#tray.button, this.#field, buttons);
    this.element = make("form", { class: "composer" }, this.#count, this.#tray.element, frame);
    this.element.addEventListener("submit", (event) => this.#submit(event));
    this.#field.addEventListener("keydown", (event) => this.#pressed(event));
    this.#field.addEventListener("input", () => this.#changed());
    this.#field.addEventListener("paste", (event) => this.#pasted(event));
    frame.addEventListener("click", (event) => {
      if (event.target === frame) this.focus();
    });
    this.#changed();
  }

  focus() {
    this.#field.focus({ preventScroll: true });
  }

  /**
   * Take up the draft of another conversation.
   * @param {string} name where it is kept
   */
  open(name) {
    this.#draft = name;
    this.#field.disabled = false;
    this.#field.value = ofBrowser.read(name) ?? "";
    this.#tray.open(name);
  }

  /**
   * The conversation got its id: what is written belongs to it, and no longer to the next new one.
   * @param {string} name where it is kept
   */
  move(name) {
    ofBrowser.write(this.#draft, null);
    this.#draft = name;
    ofBrowser.write(name, this.#field.value);
    this.#tray.move(name);
  }

  /** Somebody else may be next. */
  leave() {
    // What the field still says is not to be kept again.
    this.#draft = "";
    this.#field.value = "";
    this.#tray.clear();
  }

  /**
   * Take the files that are dropped there.
   * @param {HTMLElement} area
   */
  takeDropsOn(area) {
    area.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files") || this.element.hidden) return;
      event.preventDefault();
      area.classList.add("dropping");
    });
    area.addEventListener("dragleave", (event) => {
      const to = /** @type {Node | null} */ (event.relatedTarget);
      if (!to || !area.contains(to)) area.classList.remove("dropping");
    });
    area.addEventListener("drop", (event) => {
      area.classList.remove("dropping");
      if (!event.dataTransfer?.files.length || this.element.hidden) return;
      event.preventDefault();
      this.#tray.add(event.dataTransfer.files);
      this.focus();
    });
  }

  /**
   * @param {string} text to be changed and sent again
   * @param {Attachment[]} attachments
   */
  edit(text, attachments) {
    this.#field.value = this.#field.value ? `${text}\n${this.#field.value}` : text;
    this.#tray.restore(attachments);
    this.focus();
  }

  /** @param {{isAnswering: boolean, isStopping: boolean, isClosed: boolean}} state */
  show({ isAnswering, isStopping, isClosed }) {
    const hadFocus = this.#stop.matches(":focus");
    this.#stop.hidden = !isAnswering;
    // Not `disabled`: that would take the focus away from the button.
    this.#stop.setAttribute("aria-disabled", String(isStopping));
    if (hadFocus && !isAnswering) this.focus();
    this.element.hidden = isClosed;
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    if (!this.#isSendable) return;
    const text = this.#field.value;
    this.#field.value = "";
    this.#onSend(text.trim() ? text : "", this.#tray.take());
    this.focus();
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key === "ArrowUp" && this.#field.value === "") {
      event.preventDefault();
      return this.#onEditLast();
    }
    // While a word is being composed, Enter chooses it; Safari says so only by the key code.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.element.requestSubmit();
  }

  /** @param {ClipboardEvent} event */
  #pasted(event) {
    const files = event.clipboardData?.files;
    if (!files?.length) return;
    event.preventDefault();
    this.#tray.add(files);
  }

  #changed() {
    const { value } = this.#field;
    const length = value.length < COUNT_FROM ? 0 : [...value].length;
    this.#count.textContent = length < COUNT_FROM ? "" : texts.charactersLeft(MOST - length);
    this.#count.classList.toggle("over", length > MOST);
    this.#send.disabled = !this.#isSendable;
    // As high as its text, up to what the style allows.
    this.#field.style.blockSize = "auto";
    this.#field.style.blockSize = `${this.#field.scrollHeight}px`;
    if (this.#draft) ofBrowser.write(this.#draft, value);
  }

  get #isSendable() {
    const { value } = this.#field;
    const saysSomething = value.trim() !== "" || !this.#tray.isEmpty;
    return saysSomething && this.#tray.isReady && (value.length <= MOST || [...value].length <= MOST);
  }
}
