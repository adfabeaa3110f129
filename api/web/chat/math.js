/** Formulas in Markdown are left as they were written: to Markdown, a backslash is nothing but its own. */

/** @import { TokenizerAndRendererExtension } from "../vendor/marked.esm.js" */

/** What encloses a formula. Between single dollars, which may be prices, it must have a backslash. */
const DELIMITERS = [
  ["\\(", "\\)"],
  ["\\[", "\\]"],
  ["$$", "$$"],
];
const DOLLARS = /^\$(?=[^\s$])[^$\n]*\\[^$\n]*\$(?!\d)/;
const ENVIRONMENT = /^\\begin\{([a-z]+\*?)\}/;

/**
 * Within a paragraph, and as lines of their own, where a minus would begin a list.
 * @param {(text: string) => string} escaped
 * @returns {TokenizerAndRendererExtension[]}
 */
export function formulas(escaped) {
  /** @param {string} raw */
  const spanOf = (raw) => `<span class="formula">${escaped(raw)}</span>`;
  return [
    {
      name: "formula",
      level: "inline",
      start: (source) => source.match(/\\[([]|\$|\\begin\{/)?.index,
      tokenizer: (source) => token("formula", formulaAt(source)),
      renderer: ({ raw }) => spanOf(raw),
    },
    {
      name: "formulaLines",
      level: "block",
      start: (source) => source.match(/^(?:\\\[|\$\$|\\begin\{)/m)?.index,
      tokenizer(source) {
        const raw = formulaAt(source);
        const isAlone = raw !== null && /^[ \t]*(?:\n|$)/.test(source.slice(raw.length));
        return token("formulaLines", isAlone ? raw : null);
      },
      // Marked adds the end of its line to what is raw.
      renderer: ({ raw }) => `<p>${spanOf(raw.trimEnd())}</p>`,
    },
  ];
}

/**
 * @param {string} type
 * @param {string | null} raw
 */
function token(type, raw) {
  return raw === null ? undefined : { type, raw };
}

/** @param {string} source that may begin with a formula */
function formulaAt(source) {
  const delimiter = DELIMITERS.find(([open]) => source.startsWith(/** @type {string} */ (open)));
  const environment = ENVIRONMENT.exec(source)?.[1];
  const close = delimiter?.[1] ?? (environment && `\\end{${environment}}`);
  if (!close) return DOLLARS.exec(source)?.[0] ?? null;
  const end = source.indexOf(close, 2);
  return end < 0 ? null : source.slice(0, end + close.length);
}
