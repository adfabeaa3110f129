/** Whether a failed attempt is worth another one, and when. */
import { NoAnswer, Problem } from "./errors.js";
/** How long one call goes on trying: for some seconds after its first failure. */
export declare class Patience {
    #private;
    /** @param {number} seconds */
    constructor(seconds: number);
    /** Begin anew: there was progress. */
    renew(): void;
    /**
     * Wait before the next attempt, as long as the server asks for. Throws the failure where another
     * attempt is of no use, or would be too late.
     * @param {NoAnswer | Problem} failure
     * @param {{isRepeatable: boolean, key?: string | undefined, signal?: AbortSignal | undefined}} call
     */
    pause(failure: NoAnswer | Problem, { isRepeatable, key, signal }: {
        isRepeatable: boolean;
        key?: string | undefined;
        signal?: AbortSignal | undefined;
    }): Promise<void>;
}
