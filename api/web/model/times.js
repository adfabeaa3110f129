/** Times of the API, to compare. */

/**
 * @param {string} time ISO 8601 in UTC, with any number of digits after the second
 * @returns {number} microseconds since 1970
 */
export function microsOf(time) {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? "";
  const seconds = Math.floor(Date.parse(time) / 1000);
  return seconds * 1_000_000 + Number(fraction.slice(0, 6).padEnd(6, "0"));
}
