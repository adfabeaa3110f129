/** Retries: the delay before the next attempt, and the key that lets a write be repeated. */

/** The longest wait between two attempts, unless the server asks for more. */
const LONGEST_SECONDS = 15;

/**
 * How long to wait before the next attempt: what the server asked for, else twice as long as last
 * time. Never quite the same, so that a thousand pages do not come back in one moment.
 * @param {number} failures in a row, 1 or more
 * @param {number | null} retryAfter
 */
export function delaySeconds(failures, retryAfter) {
  const doubling = Math.min(0.5 * 2 ** (failures - 1), LONGEST_SECONDS);
  return Math.max(retryAfter ?? 0, doubling) * (1 + Math.random() / 4);
}

/**
 * Wait, but no longer than until the network is back or the waker calls.
 * @param {number} seconds
 * @param {{signal?: AbortSignal, waker?: EventTarget}} [interrupts] the waker's `wake` ends it
 * @returns {Promise<void>}
 */
export function pause(seconds, { signal, waker } = {}) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal?.removeEventListener("abort", done);
      waker?.removeEventListener("wake", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    addEventListener("online", done);
    signal?.addEventListener("abort", done);
    waker?.addEventListener("wake", done);
  });
}

/** A new idempotency key; `crypto.randomUUID` exists on secure origins only. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
