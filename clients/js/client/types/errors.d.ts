/** What can go wrong. */
/** No answer came: there was no connection, it was lost, or it took too long. */
export declare class NoAnswer extends Error {
    /** @type {string | null} with which the write can be repeated, within the hour */
    idempotencyKey: string | null;
    /**
     * @param {string} detail
     * @param {unknown} [cause]
     */
    constructor(detail: string, cause?: unknown);
}
/** The server refused the request; the fields are those of its problem document (RFC 9457). */
export declare class Problem extends Error {
    status: number;
    type: string;
    title: string;
    detail: string;
    /** One for each field that is not allowed. */
    errors: {
        where: string;
        field: string;
        message: string;
    }[];
    /** Seconds that the server asks to wait. */
    retryAfter: number | null;
    /** False where something else answered, such as a proxy. */
    isOfServer: boolean;
    /** @type {string | null} with which the write can be repeated, within the hour */
    idempotencyKey: string | null;
    /**
     * @param {number} status
     * @param {{type?: string, title?: string, detail?: string, errors?: {where: string, field: string, message: string}[]}} document
     * @param {{retryAfter?: number | null, isOfServer?: boolean}} [more]
     */
    constructor(status: number, document: {
        type?: string;
        title?: string;
        detail?: string;
        errors?: {
            where: string;
            field: string;
            message: string;
        }[];
    }, { retryAfter, isOfServer }?: {
        retryAfter?: number | null;
        isOfServer?: boolean;
    });
    /**
     * Read what a response says.
     * @param {Response} response
     */
    static of(response: Response): Promise<Problem>;
}
