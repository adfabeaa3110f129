/** What can go wrong between here and the server. */

/** No answer of ours: no network, no server, or a proxy on the way that says so. */
export const UNREACHED = 0;

const OURS = "application/problem+json";

/** A request that was not served: a problem document (RFC 9457), or no answer of ours. */
export class Problem extends Error {
  /**
   * @param {number} status the HTTP status; `UNREACHED` without one
   * @param {string} detail
   * @param {number | null} retryAfter seconds that the server asks to wait
   */
  constructor(status, detail, retryAfter = null) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }

  /** Trying again later, unchanged, is right: the server is away, full, or asks for patience. */
  get isPassing() {
    return this.status === UNREACHED || this.status === 429 || this.status === 503;
  }

  /**
   * Read the problem document of a response.
   * @param {Response} response
   */
  static async of(response) {
    const { status, statusText } = response;
    const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
    const retryAfter = Number.isFinite(seconds) ? seconds : null;
    const isOurs = response.headers.get("Content-Type")?.startsWith(OURS) ?? false;
    // A proxy's own page: it could not reach the server, or knows of none while one is restarted.
    if (!isOurs && (status >= 500 || status === 404)) return new Problem(UNREACHED, statusText, retryAfter);
    try {
      const { detail } = await response.json();
      return new Problem(status, String(detail), retryAfter);
    } catch {
      return new Problem(status, statusText, retryAfter); // not ours, or cut off
    }
  }

  /**
   * Make a problem of whatever `fetch` or a broken stream threw.
   * @param {unknown} error
   */
  static from(error) {
    return error instanceof Problem ? error : new Problem(UNREACHED, String(error));
  }
}
