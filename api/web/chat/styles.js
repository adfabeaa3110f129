/** The element's styles, made once for all its instances: plain CSS, no inline styles. */

import { sheet } from "./sheets.js";

const FILES = ["base.css", "sidebar.css", "organise.css", "messages.css", "answer.css", "composer.css", "files.css", "sign-in.css", "panel.css", "print.css"];

/** @type {Promise<CSSStyleSheet[]> | null} */
let loading = null;

/** @returns {Promise<CSSStyleSheet[]>} */
export function styles() {
  loading ??= Promise.all(FILES.map(style));
  return loading;
}

/** @param {string} name of a file that not all pages need */
export async function style(name) {
  return new CSSStyleSheet().replace(await sheet(name));
}
