/** Rows in groups by day: today, yesterday, the seven days before, and months. */

import { month } from "../formats.js";
import { texts } from "../texts.js";

const DAY_MS = 24 * 60 * 60 * 1000;
const MINUTE_MS = 60 * 1000;

/**
 * @template Row
 * @typedef {{label: string, rows: Row[]}} Group an empty label: it has no heading
 */

/**
 * @template Row
 * @param {Row[]} rows the newest first
 * @param {(row: Row) => string} timeOf
 * @param {Date} now
 * @returns {Group<Row>[]} in the same order
 */
export function groupsOf(rows, timeOf, now) {
  /** @type {Map<string, Row[]>} */
  const groups = new Map();
  /** @type {Map<number, string>} by day: to make a label of each of thousands of times takes long */
  const labels = new Map();
  for (const row of rows) {
    const time = new Date(timeOf(row));
    const day = dayOf(time);
    const label = labels.get(day) ?? labelOf(time, now);
    labels.set(day, label);
    const group = groups.get(label);
    if (group) group.push(row);
    else groups.set(label, [row]);
  }
  return [...groups].map(([label, rowsOfIt]) => ({ label, rows: rowsOfIt }));
}

/**
 * @param {Date} time
 * @param {Date} now
 */
function labelOf(time, now) {
  const days = dayOf(now) - dayOf(time);
  if (days < 1) return texts.today;
  if (days === 1) return texts.yesterday;
  return days <= 8 ? texts.previousDays : month(time);
}

/** @param {Date} time which days begin at the local midnight */
function dayOf(time) {
  return Math.floor((time.getTime() - time.getTimezoneOffset() * MINUTE_MS) / DAY_MS);
}
