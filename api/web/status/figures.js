/** From two looks at the counters: rates and percentiles of the time between them. */

/**
 * @typedef {object} Figures What `/status.json` answers.
 * @property {number} at_ms the log's clock
 * @property {boolean} is_open
 * @property {number} accepted
 * @property {{entries: number, bytes: number, oldest_ms: number, partitions: number[]}} backlog
 * @property {number} redis_memory_ratio
 * @property {Record<"committed" | "duplicates" | "discarded" | "dead_letters" | "batches", number>} drained
 * @property {[number | null, number][]} lag entries by the upper bound of their lag, in ms
 * @property {string | null} flower
 */

/**
 * How many a second were counted between two looks; null where that is unknown.
 * @param {Figures} before
 * @param {Figures} now
 * @param {(figures: Figures) => number} count
 */
export function rate(before, now, count) {
  const seconds = (now.at_ms - before.at_ms) / 1000;
  const counted = count(now) - count(before);
  // Counters start anew with a new Redis.
  return seconds > 0 && counted >= 0 ? counted / seconds : null;
}

/**
 * The lag in ms that a part of the entries between two looks did not exceed, interpolated within
 * its bucket as Prometheus does; null without entries.
 * @param {Figures} before
 * @param {Figures} now
 * @param {number} part 0 to 1
 */
export function lagPercentile(before, now, part) {
  const counts = now.lag.map(([, count], index) => count - (before.lag[index]?.[1] ?? 0));
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total <= 0 || counts.some((count) => count < 0)) return null;
  let below = 0;
  let lower = 0;
  for (const [index, [bound]] of now.lag.entries()) {
    const count = counts[index] ?? 0;
    if (below + count >= part * total && count > 0) {
      const upper = bound ?? lower; // beyond the last bound nothing more is known
      return lower + ((upper - lower) * (part * total - below)) / count;
    }
    below += count;
    lower = bound ?? lower;
  }
  return lower;
}

/** @param {number | null} ms */
export function duration(ms) {
  if (ms === null) return "–";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 ** 2) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

/** @param {number | null} value */
export function number(value) {
  if (value === null) return "–";
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
}
