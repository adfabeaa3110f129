/** What can go wrong. */

/** No answer came: there was no connection, it was lost, or it took too long. */
export class NoAnswer extends Error {
  /**
   * @param {string} detail
   * @param {unknown} [cause]
   */
  constructor(detail, cause) {
    super(detail, { cause });
    this.name = "NoAnswer";
    /** @type {string | null} with which the write can be repeated, within the hour */
    this.idempotencyKey = null;
  }
}

/** The server refused the request; the fields are those of its problem document (RFC 9457). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{type?: string, title?: string, detail?: string, errors?: {where: string, field: string, message: string}[]}} document
   * @param {{retryAfter?: number | null, isOfServer?: boolean}} [more]
   */
  constructor(status, document, { retryAfter = null, isOfServer = true } = {}) {
    const said = [`${status} ${document.title ?? ""}`.trim(), document.detail];
    super(said.filter(Boolean).join(": "));
    this.name = "Problem";
    this.status = status;
    this.type = document.type ?? "about:blank";
    this.title = document.title ?? "";
    this.detail = document.detail ?? "";
    /** One for each field that is not allowed. */
    this.errors = document.errors ?? [];
    /** Seconds that the server asks to wait. */
    this.retryAfter = retryAfter;
    /** False where something else answered, such as a proxy. */
    this.isOfServer = isOfServer;
    /** @type {string | null} with which the write can be repeated, within the hour */
    this.idempotencyKey = null;
  }

  /**
   * Read what a response says.
   * @param {Response} response
   */
  static async of(response) {
    const retryAfter = seconds(response.headers.get("Retry-After"));
    const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
    try {
      const document = JSON.parse(await response.text());
      if (isProblem && typeof document === "object" && document !== null) {
        return new Problem(response.status, document, { retryAfter });
      }
    } catch {
      // It is no JSON, or was cut.
    }
    return new Problem(response.status, {}, { retryAfter, isOfServer: false });
  }
}

/**
 * Read a `Retry-After`: seconds, or a date, as proxies send it.
 * @param {string | null} text
 */
function seconds(text) {
  if (text === null) return null;
  const found = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isNaN(found) ? null : Math.max(0, found);
}
