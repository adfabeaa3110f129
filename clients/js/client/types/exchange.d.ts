/** Requests, each repeated until its outcome is known. */
import { NoAnswer, Problem } from "./errors.js";
import { Patience } from "./retries.js";
import { Written } from "./written.js";
import type { Key } from "./identity.js";
export type Options = {
    /**
     * the server, perhaps with a path before the API's own
     */
    url: string;
    key?: Key;
    /**
     * instead of a key: who signs in, with `password`
     */
    username?: string;
    /**
     * it is kept, to sign in again when a session has ended
     */
    password?: string;
    /**
     * with a key that acts for subjects: the person to act for
     */
    subject?: string;
    /**
     * how long a call goes on trying after its first failure (60)
     */
    retrySeconds?: number;
    /**
     * how long one attempt may take (30)
     */
    timeoutSeconds?: number;
    fetch?: typeof fetch;
};
export type Call = {
    method: string;
    path: string;
    /**
     * what is null or
     * undefined is left out
     */
    query?: Record<string, string | number | boolean | null | undefined>;
    /**
     * sent as JSON
     */
    body?: unknown;
    headers?: Record<string, string>;
    /**
     * its `Idempotency-Key`
     */
    key?: string | undefined;
    /**
     * it takes `read_after`
     */
    awaitsWrites?: boolean;
    /**
     * how many times as long as others it may take
     */
    patience?: number;
    /**
     * its answer is read as it is made
     */
    streams?: boolean;
    signal?: AbortSignal | undefined;
};
/** @import { Key } from "./identity.js" */
/**
 * @typedef {object} Options
 * @property {string} url the server, perhaps with a path before the API's own
 * @property {Key} [key]
 * @property {string} [username] instead of a key: who signs in, with `password`
 * @property {string} [password] it is kept, to sign in again when a session has ended
 * @property {string} [subject] with a key that acts for subjects: the person to act for
 * @property {number} [retrySeconds] how long a call goes on trying after its first failure (60)
 * @property {number} [timeoutSeconds] how long one attempt may take (30)
 * @property {typeof fetch} [fetch]
 */
/**
 * @typedef {object} Call
 * @property {string} method
 * @property {string} path
 * @property {Record<string, string | number | boolean | null | undefined>} [query] what is null or
 *   undefined is left out
 * @property {unknown} [body] sent as JSON
 * @property {Record<string, string>} [headers]
 * @property {string | undefined} [key] its `Idempotency-Key`
 * @property {boolean} [awaitsWrites] it takes `read_after`
 * @property {number} [patience] how many times as long as others it may take
 * @property {boolean} [streams] its answer is read as it is made
 * @property {AbortSignal | undefined} [signal]
 */
/** The requests of one caller to one server. */
export declare class Exchange {
    #private;
    retrySeconds: number;
    written: Written;
    /** @param {Options} options */
    constructor({ url, key, username, password, subject, retrySeconds, timeoutSeconds, ...more }: Options);
    /**
     * Send a call until its outcome is known, and return what it answers.
     * @param {Call} call
     */
    send(call: Call): Promise<any>;
    /**
     * Wait before the next attempt. Throws where there is none.
     * @param {NoAnswer | Problem} failure
     * @param {Patience} patience
     * @param {Call} call
     */
    recover(failure: NoAnswer | Problem, patience: Patience, call: Call): Promise<void>;
    /**
     * Make one attempt; a token that is refused is renewed once.
     * @param {Call} call
     * @returns {Promise<Response>} one that succeeded; its body is to be read
     */
    open(call: Call): Promise<Response>;
}
/**
 * Return a failure that may be mended; throw any other.
 * @param {unknown} error
 * @returns {NoAnswer | Problem}
 */
export declare function known(error: unknown): NoAnswer | Problem;
