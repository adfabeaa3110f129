/**
 * Every word that is shown comes from the table of the chosen language, in `texts/`. Nothing else of
 * the page may be made before `speak` has loaded it. The queue page is for operators, and English.
 */

import { formatFor } from "./formats.js";

/**
 * @import { Texts } from "./texts/en.js"
 *
 * @typedef {object} Language
 * @property {string} name as its speakers call it
 * @property {"ltr" | "rtl"} dir
 * @property {() => Promise<{texts: Texts}>} load
 */

/** @type {Record<string, Language>} */
export const LANGUAGES = {
  en: { name: "English", dir: "ltr", load: () => import("./texts/en.js") },
  de: { name: "Deutsch", dir: "ltr", load: () => import("./texts/de.js") },
};

/** The words of the language that is spoken. */
export const texts = /** @type {Texts} */ ({});

/** What is spoken: the language, its direction, and its locale (with the reader's region). */
export const spoken = { language: "en", dir: /** @type {Language["dir"]} */ ("ltr"), locale: "en" };

/**
 * Speak a language from now on; what is shown already stays as it is.
 * @param {string | null} chosen null for the first of the browser's languages that there is a table for
 */
export async function speak(chosen) {
  const wanted = chosen === null ? navigator.languages : [chosen, ...navigator.languages];
  const language = wanted.map(languageOf).find((known) => known !== null) ?? "en";
  const { dir, load } = /** @type {Language} */ (LANGUAGES[language]);
  const table = await load();
  const locale = navigator.languages.find((one) => languageOf(one) === language) ?? language;
  Object.assign(spoken, { language, dir, locale });
  Object.assign(texts, table.texts);
  formatFor(locale);
}

/** @param {string} locale */
function languageOf(locale) {
  const language = locale.toLowerCase().split("-")[0] ?? "";
  return Object.hasOwn(LANGUAGES, language) ? language : null;
}
