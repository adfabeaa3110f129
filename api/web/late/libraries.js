/**
 * Where the libraries come from that are loaded late: files of the server's, if they are installed. In
 * the package `@verbatim/chat` a module that spells out each path, since not all bundlers follow another,
 * is in the place of this.
 */

/**
 * @param {string} name of a file in `vendor`, without its ending
 * @returns {Promise<any>}
 */
export function library(name) {
  return import(`../vendor/${name}.js`);
}
