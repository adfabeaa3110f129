/** Colours for code, by highlight.js: the core, and each language when code in it is shown. */

import { coloured } from "../chat/markdown.js";

/**
 * @typedef {object} Highlighter of highlight.js, as far as it is used here
 * @property {(code: string, how: {language: string, ignoreIllegals: boolean}) => {value: string}} highlight
 * @property {(name: string, language: unknown) => void} registerLanguage
 */

/** Longer code (in characters) stays as it is: one step must not take long. */
const LONGEST = 10_000;

/** What is in `vendor/languages`, by the names that answers give it. */
const LANGUAGES = new Map(
  Object.entries({
    bash: "bash sh zsh",
    c: "c h",
    clojure: "clojure clj",
    cmake: "cmake",
    cpp: "cpp c++ cc hpp",
    csharp: "csharp cs c#",
    css: "css",
    dart: "dart",
    diff: "diff patch",
    dockerfile: "dockerfile docker",
    elixir: "elixir ex exs",
    erlang: "erlang erl",
    fsharp: "fsharp fs f#",
    go: "go golang",
    graphql: "graphql gql",
    haskell: "haskell hs",
    http: "http",
    ini: "ini toml",
    java: "java",
    javascript: "javascript js jsx mjs cjs",
    json: "json jsonc json5 jsonl",
    julia: "julia jl",
    kotlin: "kotlin kt kts",
    latex: "latex tex",
    less: "less",
    lisp: "lisp elisp",
    lua: "lua",
    makefile: "makefile make mk",
    markdown: "markdown md",
    matlab: "matlab",
    nginx: "nginx",
    nix: "nix",
    objectivec: "objectivec objc",
    ocaml: "ocaml ml",
    perl: "perl pl",
    pgsql: "pgsql postgres postgresql plpgsql",
    php: "php",
    powershell: "powershell ps1 pwsh",
    properties: "properties",
    protobuf: "protobuf proto",
    python: "python py python3",
    r: "r",
    ruby: "ruby rb",
    rust: "rust rs",
    scala: "scala",
    scss: "scss",
    shell: "shell console shellsession",
    sql: "sql",
    swift: "swift",
    typescript: "typescript ts tsx",
    vbnet: "vbnet vb",
    verilog: "verilog v",
    vim: "vim",
    wasm: "wasm wat",
    xml: "xml html svg xhtml vue",
    yaml: "yaml yml",
  }).flatMap(([file, names]) => names.split(" ").map((name) => [name, file])),
);
/** What code in a language contains of others. */
const WITHIN = new Map([["xml", ["css", "javascript"]]]);

/** @type {Map<string, Promise<void>>} by the name of the file */
const known = new Map();
// Not a literal: there may be none installed, and no types.
const core = "../vendor/highlight.js";
/** @type {{default: Highlighter}} */
const { default: highlighter } = await import(core);

/**
 * @param {Element} code
 * @returns {Promise<(() => void) | null>} what gives it colours; null where its language is not known
 */
export async function adorner(code) {
  const language = LANGUAGES.get(code.getAttribute("data-language")?.toLowerCase() ?? "");
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
  const { default: grammar } = await import(`../vendor/languages/${language}.min.js`);
  highlighter.registerLanguage(language, grammar);
}
