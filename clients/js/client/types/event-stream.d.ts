/** Server-sent events out of a response, as https://html.spec.whatwg.org/multipage/server-sent-events.html has them. */
/**
 * Yield events: their name, their data, and their id if they have one of their own. Throws a
 * NoAnswer when the connection breaks or falls silent; ends when the server ends it.
 * @param {Response} response
 * @param {AbortSignal | undefined} signal
 */
export declare function eventsOf(response: Response, signal: AbortSignal | undefined): AsyncGenerator<{
    type: string;
    data: string;
    id: string | null;
}, void, unknown>;
