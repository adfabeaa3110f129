/** Numbers, sizes, dates and plurals, as the language of the page writes them. */

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

/** @param {string | Date} time */
export function minute(time) {
  return formats.minute.format(new Date(time));
}

/** @param {string | Date} time */
export function second(time) {
  return formats.second.format(new Date(time));
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
    minute: new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }),
    second: new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }),
    month: new Intl.DateTimeFormat(locale, { month: "long", year: "numeric" }),
  };
}
