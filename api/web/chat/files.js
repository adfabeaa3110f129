/** Files that the browser saves. */

import { make } from "./dom.js";

/**
 * @param {Blob} file
 * @param {string} name
 */
export function save(file, name) {
  const href = URL.createObjectURL(file);
  make("a", { href, download: name }).click();
  URL.revokeObjectURL(href);
}
