/**
 * What has to survive a reload, in `sessionStorage`: this tab's alone, gone with it. Without storage
 * (it is full, or forbidden) everything works, and lives as long as the page. Never a token.
 */

const PREFIX = "verbatim:";

/**
 * @param {string} name
 * @returns {string | null}
 */
export function read(name) {
  try {
    return sessionStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {string | null} text null or empty removes it
 */
export function write(name, text) {
  try {
    if (text) sessionStorage.setItem(PREFIX + name, text);
    else sessionStorage.removeItem(PREFIX + name);
  } catch {
    // See above.
  }
}

/** Leave nothing of ours behind. */
export function clear() {
  try {
    for (const name of Object.keys(sessionStorage)) {
      if (name.startsWith(PREFIX)) sessionStorage.removeItem(name);
    }
  } catch {
    // Then there is nothing.
  }
}
