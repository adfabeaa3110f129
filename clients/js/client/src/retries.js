/** Whether a failed attempt is worth another one, and when. */

import { NoAnswer, Problem } from "./errors.js";

const FIRST_SECONDS = 0.1;
const MOST_SECONDS = 5;
const BUSY = new Set([408, 429, 503]);
/** Of the server itself, these mean that the model failed: said again, it would fail again. */
const GATEWAY = new Set([502, 504]);

/**
 * @param {NoAnswer | Problem} failure
 * @param {boolean} isRepeatable it may be sent again where it is unknown whether it was accepted
 */
function isWorthRepeating(failure, isRepeatable) {
  if (failure instanceof NoAnswer) return isRepeatable;
  if (GATEWAY.has(failure.status)) {
    return isRepeatable && (!failure.isOfServer || failure.retryAfter !== null);
  }
  return BUSY.has(failure.status) && (isRepeatable || failure.status === 429);
}

/** How long one call goes on trying: for some seconds after its first failure. */
export class Patience {
  #seconds;
  #failures = 0;
  #deadline = 0;

  /** @param {number} seconds */
  constructor(seconds) {
    this.#seconds = seconds;
  }

  /** Begin anew: there was progress. */
  renew() {
    this.#failures = 0;
  }

  /**
   * Wait before the next attempt, as long as the server asks for. Throws the failure where another
   * attempt is of no use, or would be too late.
   * @param {NoAnswer | Problem} failure
   * @param {{isRepeatable: boolean, key?: string | undefined, signal?: AbortSignal | undefined}} call
   */
  async pause(failure, { isRepeatable, key, signal }) {
    failure.idempotencyKey = key ?? null;
    if (!isWorthRepeating(failure, isRepeatable)) throw failure;
    if (this.#failures === 0) this.#deadline = performance.now() + this.#seconds * 1000;
    const longest = Math.min(MOST_SECONDS, FIRST_SECONDS * 2 ** this.#failures++);
    // Clients that failed together shall not come back together.
    const asked = failure instanceof Problem ? (failure.retryAfter ?? 0) : 0;
    const wait = Math.max(asked, longest * (0.5 + Math.random() / 2)) * 1000;
    if (performance.now() + wait > this.#deadline) throw failure;
    await pause(wait, signal);
  }
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<void>}
 */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const aborted = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    }, milliseconds);
    if (signal?.aborted) aborted();
    else signal?.addEventListener("abort", aborted, { once: true });
  });
}
