/** What a client has written: it reads what includes that. */
/** The newest id of each partition that was written to; for `read_after`. */
export declare class Written {
    #private;
    /**
     * Take note of all ids that the answer to a write has.
     * @param {any} answer
     */
    note(answer: any): void;
    /** Forget it all: some of it is lost, and would be asked for in vain for ever. */
    forget(): void;
    /** What a read has to include, one id for each partition. */
    get ids(): number[];
}
