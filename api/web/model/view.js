/** Which conversations a list shows, and in which order. */

/**
 * @import { ConversationRow } from "./wire.js"
 *
 * @typedef {"updated_at" | "created_at" | "title"} Sort
 *
 * @typedef {object} View
 * @property {string} query part of a title; empty for all
 * @property {boolean} isArchived the archived ones; a query without it searches both
 * @property {boolean} isPinned the pinned ones alone
 * @property {string | null} tag those with it alone
 * @property {Sort} sort
 */

/** @type {View} */
export const PLAIN = { query: "", isArchived: false, isPinned: false, tag: null, sort: "updated_at" };

/**
 * @param {View} one
 * @param {View} other
 */
export function isSame(one, other) {
  return Object.entries(one).every(([name, value]) => other[/** @type {keyof View} */ (name)] === value);
}

/**
 * No search, no tag, no archive: the list that begins with what is pinned.
 * @param {View} view
 */
export function isPlain({ query, isArchived, tag }) {
  return !query && !isArchived && tag === null;
}

/**
 * Whether a conversation that was in a view still is, after a change here.
 * @param {View} view
 * @param {ConversationRow} row
 */
export function includes({ query, isArchived, isPinned, tag }, row) {
  if (isArchived ? row.archived_at === null : !query && row.archived_at !== null) return false;
  if (isPinned && row.pinned_at === null) return false;
  return tag === null || (row.tags?.includes(tag) ?? false);
}

/**
 * The view as the API's list takes it.
 * @param {View} view
 */
export function queryOf({ query, isArchived, isPinned, tag, sort }) {
  return {
    q: query || null,
    archived: isArchived ? "true" : query ? "any" : "false",
    pinned: isPinned ? "true" : null,
    tag,
    sort,
    order: sort === "title" ? "asc" : "desc",
  };
}
