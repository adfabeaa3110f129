/** Who a client acts for: somebody with a key or token, somebody who signs in, or nobody. */

/** A token is renewed this long before its end. */
const MARGIN_SECONDS = 30;

/**
 * @typedef {string | (() => string | Promise<string>)} Key an API key or access token, or what gives
 *   one; it is asked for each request
 */

/** @typedef {(path: string, body: object) => Promise<any>} Post sends what needs no token */

/** A name and a password, and the tokens that they were last good for. */
export class SignIn {
  #login;
  #post;
  /** @type {string | null} */
  #access = null;
  /** @type {string | null} */
  #refresh = null;
  #goodUntil = 0;
  /** @type {Promise<void> | null} */
  #renewing = null;

  /**
   * @param {{username: string, password: string}} login
   * @param {Post} post
   */
  constructor(login, post) {
    this.#login = login;
    this.#post = post;
  }

  /** A token that is good for now. */
  async token() {
    if (this.#access === null || performance.now() > this.#goodUntil) await this.renew(this.#access);
    return this.#access ?? "";
  }

  /**
   * Get new tokens, unless another call just did. A refresh token is good once, and whoever sends it
   * again loses the session: so calls wait for one renewal, which sends it once.
   * @param {string | null} stale the token that is not to be used
   */
  async renew(stale) {
    if (this.#access !== stale) return;
    this.#renewing ??= this.#renewed().finally(() => (this.#renewing = null));
    await this.#renewing;
  }

  async #renewed() {
    const refresh = this.#refresh;
    this.#refresh = null;
    if (refresh !== null) {
      try {
        this.#take(await this.#post("/auth/refresh", { refresh_token: refresh }));
        return;
      } catch {
        // Whatever became of it, there may be a new session.
      }
    }
    this.#take(await this.#post("/auth/login", this.#login));
  }

  /** @param {{access_token: string, refresh_token: string, expires_in: number}} tokens */
  #take(tokens) {
    this.#access = tokens.access_token;
    this.#refresh = tokens.refresh_token;
    this.#goodUntil = performance.now() + (tokens.expires_in - MARGIN_SECONDS) * 1000;
  }
}
