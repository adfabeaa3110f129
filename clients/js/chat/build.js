/**
 * Makes `dist` of the server's own page: the element with all that it loads, without the pages around
 * it. The CSS becomes a module, so that bundlers take it along.
 */

import { access, cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { extname } from "node:path";

const WEB = new URL("../../../api/web/", import.meta.url);
const DIST = new URL("dist/", import.meta.url);
/** Of the pages, not of the element. */
const LEFT_OUT = new Set(["page.js", "shared", "status"].map((name) => new URL(name, WEB).pathname));
const TAKEN = new Set(["", ".js", ".mjs", ".LICENSE"]);

await access(new URL("vendor/marked.esm.js", WEB)).catch(() => {
  throw new Error("the modules for Markdown are missing: run `npm ci && npm run vendor` where README.md is");
});
await rm(DIST, { recursive: true, force: true });
await cp(WEB, DIST, {
  recursive: true,
  filter: (path) => !LEFT_OUT.has(path) && TAKEN.has(extname(path)) && !/\/(styles|stamp)$/.test(path),
});

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
