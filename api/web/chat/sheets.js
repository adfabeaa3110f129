/** Where the CSS comes from: files of the server's. In the package `@verbatim/chat` they are in the place of this. */

/**
 * @param {string} name of a file
 * @returns {Promise<string>}
 */
export async function sheet(name) {
  const response = await fetch(new URL(`../styles/${name}`, import.meta.url));
  return response.text();
}
