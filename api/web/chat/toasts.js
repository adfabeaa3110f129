/** Short notices that go away by themselves; one may offer a way back. */

import { iconButton, make } from "./dom.js";
import { texts } from "../texts.js";

const SHOWN_SECONDS = 8;

export class Toasts {
  element = make("div", { class: "toasts" });

  /**
   * @param {string} words
   * @param {object} [how]
   * @param {string} [how.label] of what can be done about it
   * @param {() => void} [how.act]
   * @param {() => void} [how.gone] nothing was done about it
   * @param {number} [how.seconds]
   */
  show(words, { label, act, gone, seconds = SHOWN_SECONDS } = {}) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    /** @param {(() => void) | undefined} then */
    const close = (then) => {
      clearTimeout(timer);
      if (!toast.isConnected) return;
      toast.remove();
      then?.();
    };
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => close(gone), seconds * 1000);
    };
    const toast = make("div", { class: "toast" }, make("span", { role: "status" }, words));
    if (label) {
      toast.append(make("button", { type: "button", onclick: () => close(act) }, label));
    }
    toast.append(iconButton("close", texts.dismiss, () => close(gone)));
    // While the pointer or the focus is in it, it stays.
    for (const name of ["pointerenter", "focusin"]) toast.addEventListener(name, () => clearTimeout(timer));
    for (const name of ["pointerleave", "focusout"]) toast.addEventListener(name, wait);
    this.element.append(toast);
    wait();
    return () => close(undefined);
  }
}
