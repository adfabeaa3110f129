/**
 * Markdown of answers: `marked` reads it, DOMPurify decides what may become elements. Both come
 * from npm and are put into `vendor/` at install time; without them answers are plain text.
 *
 * The only HTML sink of the whole page is inside DOMPurify, behind its Trusted Types policy
 * `dompurify`: the Content-Security-Policy allows no other.
 */

import { icon, make } from "./dom.js";
import { formulas } from "./math.js";
import { texts } from "../texts.js";

/** @typedef {(source: string) => DocumentFragment} Renderer */

const TAGS = [
  ...["p", "br", "hr", "blockquote", "pre", "code", "ul", "ol", "li", "h3", "h4", "h5", "h6"],
  ...["strong", "em", "del", "a", "span", "table", "thead", "tbody", "tr", "th", "td"],
];
const ATTRIBUTES = ["href", "title", "start", "align", "class"];
const LINKS = /^(?:https?:\/\/|mailto:)/i;

/** @type {Renderer | null} */
let renderer = null;
/** @type {import("../vendor/purify.es.mjs").DOMPurify | null} */
let purifier = null;

/** Settled once it is known whether there is a renderer. */
export const isReady = load();

async function load() {
  try {
    const [{ Marked }, { default: purify }] = await Promise.all([
      import("../vendor/marked.esm.js"),
      import("../vendor/purify.es.mjs"),
    ]);
    renderer = rendererOf(Marked, purify);
    purifier = purify;
  } catch {
    console.info("Verbatim: no Markdown library was installed; answers are shown as plain text.");
  }
}

/** Whether there is no renderer, and answers stay as they are. */
export function isPlain() {
  return renderer === null;
}

/**
 * @param {string} source Markdown
 * @returns {DocumentFragment | null} null where it stays as it is: nested deeper than the parser can go
 */
export function formatted(source) {
  try {
    return renderer && renderer(source);
  } catch {
    return null;
  }
}

/**
 * @param {string} spans code with its colours, as a highlighter writes it
 * @returns {Node}
 */
export function coloured(spans) {
  if (!purifier) throw new Error("there is no sanitizer");
  return purifier.sanitize(spans, { ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: true });
}

/**
 * @param {typeof import("../vendor/marked.esm.js").Marked} Marked
 * @param {import("../vendor/purify.es.mjs").DOMPurify} purify
 * @returns {Renderer}
 */
function rendererOf(Marked, purify) {
  const marked = new Marked({ gfm: true });
  marked.use({
    extensions: formulas(escaped),
    renderer: {
      // Raw HTML in an answer is text that the reader wants to see.
      html: ({ text }) => escaped(text),
      // Loading an image would tell a stranger's server who reads this, and when.
      image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(texts.image(text))}</a>`,
      heading({ tokens, depth }) {
        // Below the heading that each message has; most answers begin with the second level.
        const level = Math.min(Math.max(depth + 1, 3), 6);
        return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
      },
      checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    },
  });
  const allowed = {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOWED_URI_REGEXP: LINKS,
    ALLOW_ARIA_ATTR: false,
    ALLOW_DATA_ATTR: false,
    RETURN_DOM_FRAGMENT: /** @type {const} */ (true),
  };
  return (source) => finished(purify.sanitize(marked.parse(source, { async: false }), allowed));
}

/**
 * Dress the sanitized elements.
 * @param {DocumentFragment} fragment
 */
function finished(fragment) {
  for (const link of fragment.querySelectorAll("a")) {
    // What may not be followed is no link: its words stay.
    if (!link.href) link.replaceWith(...link.childNodes);
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const table of fragment.querySelectorAll("table")) {
    const frame = make("div", { class: "table", tabindex: 0 });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const code of fragment.querySelectorAll("pre > code")) dressCode(code);
  // The only spans there are: what else was HTML is text.
  for (const formula of fragment.querySelectorAll("span.formula")) formula.className = "formula ours";
  for (const element of fragment.querySelectorAll("[class]:not(.ours, .ours *, .table)")) {
    element.removeAttribute("class"); // an answer does not borrow our own styles
  }
  // Right to left or left to right: each paragraph, but a list as a whole, with its bullets.
  for (const block of fragment.children) if (!block.hasAttribute("dir")) block.setAttribute("dir", "auto");
  return fragment;
}

/** @param {Element} code */
function dressCode(code) {
  const language = /^language-([\w+#.-]{1,30})$/.exec(code.className)?.[1] ?? "";
  code.removeAttribute("class");
  if (language) code.setAttribute("data-language", language);
  const pre = /** @type {HTMLPreElement} */ (code.parentElement);
  const copy = make("button", { type: "button", class: "copy-code" }, icon("copy"), texts.copyCode);
  const bar = make("div", { class: "code-bar" }, make("span", {}, language), copy);
  const frame = make("div", { class: "code ours", dir: "ltr" }, bar);
  pre.replaceWith(frame);
  pre.tabIndex = 0; // long lines scroll, by keyboard too
  frame.append(pre);
}

/** @param {string} text */
function escaped(text) {
  const names = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (found) => names[/** @type {keyof typeof names} */ (found)]);
}
