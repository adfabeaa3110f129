/** What can go wrong between here and the server. */

/** No answer: no network, or no server. */
export const UNREACHED = 0;

/** A request that was not served: a problem document (RFC 9457), or no answer at all. */
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
    const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
    const retryAfter = Number.isFinite(seconds) ? seconds : null;
    try {
      const { detail } = await response.json();
      return new Problem(response.status, String(detail), retryAfter);
    } catch {
      // A proxy's page, or a body that was cut off: the status has to do.
      return new Problem(response.status, response.statusText, retryAfter);
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
