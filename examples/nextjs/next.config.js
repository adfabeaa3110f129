import { fileURLToPath } from "node:url";

/** There is a package.json above this folder, too. */
export default { turbopack: { root: fileURLToPath(new URL(".", import.meta.url)) } };
