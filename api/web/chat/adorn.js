/** Colours for code and typeset formulas. What they take is loaded when the first of each is shown. */

import { slices } from "./slices.js";

/**
 * @typedef {object} Late a module that is loaded late
 * @property {(element: Element) => Promise<(() => void) | null>} adorner what adorns an element; null where
 *   it stays as it is
 */

/** @type {Set<Promise<void>>} what is being loaded, and will be done in one of the next frames */
const loading = new Set();

/** All that was to be adorned has what it takes. */
export async function settled() {
  while (loading.size) await Promise.all(loading);
}

/**
 * Adorn a block of an answer, a little in each frame.
 * @param {Element} block which does not change any more
 */
export function adorn(block) {
  for (const code of block.querySelectorAll("code[data-language]")) {
    begin(adornOne(code, () => import("../late/code.js")));
  }
  for (const formula of block.querySelectorAll(".formula")) {
    begin(adornOne(formula, () => import("../late/formula.js")));
  }
}

/** @param {Promise<void>} adorning */
function begin(adorning) {
  const tracked = adorning.finally(() => loading.delete(tracked));
  loading.add(tracked);
}

/**
 * @param {Element} element
 * @param {() => Promise<Late>} load
 */
async function adornOne(element, load) {
  try {
    const act = await (await load()).adorner(element);
    if (!act) return;
    slices.later(() => {
      if (element.isConnected) act();
      return false;
    });
  } catch {
    // Not installed, or the server is away: it stays as it is.
  }
}
