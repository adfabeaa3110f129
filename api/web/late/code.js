/** Colours for code, by highlight.js: the core, and each language when code in it is shown. */

import { coloured } from "../chat/markdown.js";
import { GRAMMARS, WITHIN } from "./grammars.js";
import { library } from "./libraries.js";

/**
 * @typedef {object} Highlighter of highlight.js, as far as it is used here
 * @property {(code: string, how: {language: string, ignoreIllegals: boolean}) => {value: string}} highlight
 * @property {(name: string, language: unknown) => void} registerLanguage
 */

/** Longer code (in characters) stays as it is: one step must not take long. */
const LONGEST = 10_000;

/** @type {Map<string, Promise<void>>} by the name of the file */
const known = new Map();
/** @type {{default: Highlighter}} */
const { default: highlighter } = await library("highlight");

/**
 * @param {Element} code
 * @returns {Promise<(() => void) | null>} what gives it colours; null where its language is not known
 */
export async function adorner(code) {
  const language = GRAMMARS.get(code.getAttribute("data-language")?.toLowerCase() ?? "");
  const text = code.textContent ?? "";
  if (!language || text.length > LONGEST) return null;
  await Promise.all([language, ...(WITHIN.get(language) ?? [])].map(learn));
  return () => {
    code.replaceChildren(coloured(highlighter.highlight(text, { language, ignoreIllegals: true }).value));
  };
}

/** @param {string} language */
function learn(language) {
  const learning = known.get(language) ?? load(language);
  known.set(language, learning);
  return learning;
}

/** @param {string} language */
async function load(language) {
  const { default: grammar } = await library(`languages/${language}.min`);
  highlighter.registerLanguage(language, grammar);
}
