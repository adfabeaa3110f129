/**
 * Makes `dist` of the server's own page: the element with all that it loads, without the pages around
 * it. The CSS becomes a module, and the path of each library is spelled out, so that bundlers take them
 * along.
 */

import { access, cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { extname } from "node:path";
import { GRAMMARS } from "../../../api/web/late/grammars.js";

const WEB = new URL("../../../api/web/", import.meta.url);
const DIST = new URL("dist/", import.meta.url);
/** Of the pages, not of the element. */
const LEFT_OUT = new Set(["page.js", "shared", "status"].map((name) => new URL(name, WEB).pathname));
/** Of types, those that the types of the page name. */
const TAKEN = new Set(["", ".js", ".mjs", ".ts", ".LICENSE"]);
/** What is loaded late of `vendor`. */
const LIBRARIES = ["highlight", "temml", ...[...new Set(GRAMMARS.values())].map((name) => `languages/${name}.min`)];

/** @param {string} path of a file or folder of the page */
function isTaken(path) {
  const [, library] = /\/vendor\/(languages\/.*)\.js$/.exec(path) ?? [];
  if (library) return LIBRARIES.includes(library);
  return !LEFT_OUT.has(path) && TAKEN.has(extname(path)) && !/\/(styles|stamp)$/.test(path);
}

await access(new URL("vendor/marked.esm.js", WEB)).catch(() => {
  throw new Error("the modules for Markdown are missing: run `npm ci && npm run vendor` where README.md is");
});
await rm(DIST, { recursive: true, force: true });
await cp(WEB, DIST, { recursive: true, filter: isTaken });

const styles = new URL("styles/", WEB);
const names = [...(await readdir(styles)).sort(), "../vendor/temml.css"];
const sheets = await Promise.all(names.map(async (name) => [name, await readFile(new URL(name, styles), "utf8")]));
await writeFile(
  new URL("chat/sheets.js", DIST),
  `const SHEETS = ${JSON.stringify(Object.fromEntries(sheets), null, 1)};

/** @param {keyof typeof SHEETS} name */
export async function sheet(name) {
  return SHEETS[name];
}
`,
);

const imports = LIBRARIES.map((name) => `  "${name}": () => import("../vendor/${name}.js"),\n`);
await writeFile(
  new URL("late/libraries.js", DIST),
  `const LIBRARIES = {
${imports.join("")}};

/** @param {keyof typeof LIBRARIES} name */
export function library(name) {
  return LIBRARIES[name]();
}
`,
);
