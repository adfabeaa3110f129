/** Formulas, by Temml: TeX becomes MathML, which browsers set themselves, with the fonts of the system. */

import { style } from "../chat/styles.js";
import { library } from "./libraries.js";

/** A longer formula (in characters) stays as it is. */
const LONGEST = 4_000;
/** What stands between delimiters. What has none is an environment, whose delimiters are part of it. */
const INLINE = /^(?:\\\((?<brackets>[^]*)\\\)|\$(?!\$)(?<dollars>[^]*)\$)$/;
const DISPLAY = /^(?:\\\[(?<brackets>[^]*)\\\]|\$\$(?<dollars>[^]*)\$\$)$/;
/** No formula is to grow over the page: the most em, and points, of a length in it. */
const MOST = [40, 400];

/** @type {{default: {render: (tex: string, into: Element, how: Record<string, unknown>) => void}}} */
const { default: temml } = await library("temml");
const sheet = await style("../vendor/temml.css");

/**
 * @param {Element} formula
 * @returns {Promise<(() => void) | null>} what sets it; null where it stays as it is
 */
export async function adorner(formula) {
  const source = formula.textContent ?? "";
  if (source.length > LONGEST) return null;
  const within = INLINE.exec(source)?.groups;
  const apart = DISPLAY.exec(source)?.groups;
  const tex = (within ?? apart)?.["brackets"] ?? (within ?? apart)?.["dollars"] ?? source;
  return () => set(formula, tex, !within);
}

/**
 * @param {Element} formula
 * @param {string} tex
 * @param {boolean} displayMode
 */
function set(formula, tex, displayMode) {
  const made = document.createElement("span");
  try {
    temml.render(tex, made, { displayMode, throwOnError: true, trust: false, maxSize: MOST, maxExpand: 1_000 });
  } catch {
    return; // What is no TeX stays as it was written.
  }
  const root = formula.getRootNode();
  if (root instanceof ShadowRoot && !root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets.push(sheet);
  formula.classList.toggle("apart", displayMode);
  formula.replaceChildren(...made.childNodes);
}
