/** Who a client acts for: somebody with a key or token, somebody who signs in, or nobody. */
export type Key = string | (() => string | Promise<string>);
export type Post = (path: string, body: object) => Promise<any>;
/**
 * @typedef {string | (() => string | Promise<string>)} Key an API key or access token, or what gives
 *   one; it is asked for each request
 */
/** @typedef {(path: string, body: object) => Promise<any>} Post sends what needs no token */
/** A name and a password, and the tokens that they were last good for. */
export declare class SignIn {
    #private;
    /**
     * @param {{username: string, password: string}} login
     * @param {Post} post
     */
    constructor(login: {
        username: string;
        password: string;
    }, post: Post);
    /** A token that is good for now. */
    token(): Promise<string>;
    /**
     * Get new tokens, unless another call just did. A refresh token is good once, and whoever sends it
     * again loses the session: so calls wait for one renewal, which sends it once.
     * @param {string | null} stale the token that is not to be used
     */
    renew(stale: string | null): Promise<void>;
}
