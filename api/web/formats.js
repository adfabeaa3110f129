/** Numbers, sizes, dates and plurals, as the language of the page writes them. */

/** Units of time in seconds, the largest first. */
const UNITS = /** @type {[Intl.RelativeTimeFormatUnit, number][]} */ ([
  ["year", 365 * 24 * 3600],
  ["month", 30 * 24 * 3600],
  ["day", 24 * 3600],
  ["hour", 3600],
  ["minute", 60],
]);

let formats = formatsOf("en");

/** @param {string} locale a language, with or without a region, as BCP 47 has it */
export function formatFor(locale) {
  formats = formatsOf(locale);
}

/** @param {number} value */
export function number(value) {
  return formats.number.format(value);
}

/** @param {number} bytes */
export function size(bytes) {
  const isSmall = bytes < 1_000_000;
  return isSmall ? formats.kilobytes.format(Math.ceil(bytes / 1000)) : formats.megabytes.format(bytes / 1_000_000);
}

/**
 * The words for so many.
 * @param {number} count
 * @param {{one: string, other: string} & Partial<Record<Intl.LDMLPluralRule, string>>} forms
 */
export function plural(count, forms) {
  return forms[formats.plurals.select(count)] ?? forms.other;
}

/** @param {string | Date} time */
export function day(time) {
  return formats.day.format(new Date(time));
}

/** @param {string} date of a day in UTC, as ISO 8601 has it */
export function utcDay(date) {
  return formats.utcDay.format(new Date(date));
}

/** @param {number} seconds until something happens, in hours or minutes */
export function fromNow(seconds) {
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? formats.relative.format(minutes, "minute") : formats.relative.format(Math.round(minutes / 60), "hour");
}

/** @param {string | Date} time */
export function minute(time) {
  return formats.minute.format(new Date(time));
}

/** @param {string | Date} time */
export function second(time) {
  return formats.second.format(new Date(time));
}

/**
 * How long ago it was, in the largest unit of which it is one at least: “3 hours ago”, “yesterday”, “now”.
 * @param {string | Date} time
 * @param {Date} [now]
 */
export function ago(time, now = new Date()) {
  const seconds = (new Date(time).getTime() - now.getTime()) / 1000;
  const [unit, size] = UNITS.find(([, most]) => Math.abs(seconds) >= most) ?? ["second", Number.POSITIVE_INFINITY];
  return formats.ago.format(Math.trunc(seconds / size), unit);
}

/** @param {string | Date} time */
export function month(time) {
  return formats.month.format(new Date(time));
}

/**
 * Made once: that takes longer than using them.
 * @param {string} locale
 */
function formatsOf(locale) {
  const unit = { style: /** @type {const} */ ("unit"), maximumFractionDigits: 1 };
  return {
    number: new Intl.NumberFormat(locale),
    kilobytes: new Intl.NumberFormat(locale, { ...unit, unit: "kilobyte" }),
    megabytes: new Intl.NumberFormat(locale, { ...unit, unit: "megabyte" }),
    plurals: new Intl.PluralRules(locale),
    day: new Intl.DateTimeFormat(locale, { dateStyle: "medium" }),
    utcDay: new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: "UTC" }),
    relative: new Intl.RelativeTimeFormat(locale),
    minute: new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }),
    second: new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }),
    ago: new Intl.RelativeTimeFormat(locale, { numeric: "auto" }),
    month: new Intl.DateTimeFormat(locale, { month: "long", year: "numeric" }),
  };
}
