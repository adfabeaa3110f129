/** A client of one server, for one caller. */
import type { Options } from "./exchange.js";
import type { AcceptedBatch, AcceptedMessage, ApiKey, Branch, Change, ChatAnswer, ChatSession, Conversation, Hit, Json, Message, NewMessage, Reference, Role, RunningTurn, SaidMessage, User } from "./types.js";
export type Write = {
    /**
     * one of its own unless it is given
     */
    idempotencyKey?: string;
    signal?: AbortSignal;
};
export type Guarded = Write & {
    ifLast?: number;
};
/**
 * @typedef {object} Write
 * @property {string} [idempotencyKey] one of its own unless it is given
 * @property {AbortSignal} [signal]
 */
/** @typedef {Write & {ifLast?: number}} Guarded `ifLast`: the id that the last message must have, 0 for none */
/**
 * Every write has an idempotency key of its own and is repeated until its outcome is known, so it
 * happens once. A read includes what the same client has written before. Lists are async iterables.
 */
export declare class Client {
    #private;
    /** @param {Options} options */
    constructor(options: Options);
    /**
     * A client that acts for another person; for the same one, the same client.
     * @param {string} subject
     */
    actingFor(subject: string): Client;
    /** @returns {Promise<User>} */
    me(): Promise<User>;
    /**
     * Make an API key; with `acts_for: "subjects"` it acts for people of the program's own.
     * @param {{name: string, scopes?: string[], acts_for?: "self" | "subjects"}} wanted
     * @returns {Promise<ApiKey & {key: string}>} with its secret
     */
    makeKey(wanted: {
        name: string;
        scopes?: string[];
        acts_for?: "self" | "subjects";
    }): Promise<ApiKey & {
        key: string;
    }>;
    /** @returns {Promise<ApiKey[]>} oldest first */
    keys(): Promise<ApiKey[]>;
    /** @param {string} id */
    revokeKey(id: string): Promise<void>;
    /**
     * Open a conversation, or return the one that has this `external_id` already, as it is.
     * @param {{title?: string, external_id?: string, metadata?: Json, tags?: string[], expires_in_days?: number, created_at?: string}} [wanted]
     * @param {Write} [how]
     * @returns {Promise<Conversation>}
     */
    openConversation(wanted?: {
        title?: string;
        external_id?: string;
        metadata?: Json;
        tags?: string[];
        expires_in_days?: number;
        created_at?: string;
    }, how?: Write): Promise<Conversation>;
    /**
     * @param {Reference} conversation
     * @returns {Promise<Conversation>}
     */
    conversation(conversation: Reference): Promise<Conversation>;
    /**
     * Go through all conversations; `q` is looked for in titles.
     * @param {{q?: string, tag?: string, archived?: boolean, pinned?: boolean, sort?: "created_at" | "updated_at", order?: "asc" | "desc", pageSize?: number}} [filter]
     * @returns {AsyncGenerator<Conversation, void, undefined>}
     */
    conversations({ pageSize, ...filter }?: {
        q?: string;
        tag?: string;
        archived?: boolean;
        pinned?: boolean;
        sort?: "created_at" | "updated_at";
        order?: "asc" | "desc";
        pageSize?: number;
    }): AsyncGenerator<Conversation, void, undefined>;
    /**
     * Change what is given; null removes, and what is left out stays.
     * @param {Reference} conversation
     * @param {{title?: string, metadata?: Json | null, tags?: string[], archived?: boolean, pinned?: boolean, expires_in_days?: number | null}} change
     * @param {Write} [how]
     * @returns {Promise<Change>}
     */
    changeConversation(conversation: Reference, change: {
        title?: string;
        metadata?: Json | null;
        tags?: string[];
        archived?: boolean;
        pinned?: boolean;
        expires_in_days?: number | null;
    }, how?: Write): Promise<Change>;
    /**
     * @param {Reference} conversation
     * @param {Write} [how]
     * @returns {Promise<Change>}
     */
    deleteConversation(conversation: Reference, how?: Write): Promise<Change>;
    /**
     * Open a conversation with copies of another's messages, up to a position.
     * @param {Reference} conversation
     * @param {number} position
     * @param {Write & {title?: string}} [how]
     * @returns {Promise<Conversation>}
     */
    fork(conversation: Reference, position: number, { title, ...how }?: Write & {
        title?: string;
    }): Promise<Conversation>;
    /**
     * What is aside of a conversation.
     * @param {Reference} conversation
     * @returns {Promise<Branch[]>}
     */
    branches(conversation: Reference): Promise<Branch[]>;
    /**
     * Bring a branch back, and put aside what is in its place.
     * @param {Reference} conversation
     * @param {number} branch
     * @param {Guarded} [how]
     * @returns {Promise<Change>}
     */
    switchTo(conversation: Reference, branch: number, how?: Guarded): Promise<Change>;
    /**
     * @param {Reference} conversation
     * @param {NewMessage} message
     * @param {Guarded} [how]
     * @returns {Promise<AcceptedMessage>}
     */
    addMessage(conversation: Reference, message: NewMessage, how?: Guarded): Promise<AcceptedMessage>;
    /**
     * Add 1 to 100 messages: all of them, in this order with nothing between them, or none.
     * @param {Reference} conversation
     * @param {NewMessage[]} messages
     * @param {Guarded} [how]
     * @returns {Promise<AcceptedBatch>}
     */
    addMessages(conversation: Reference, messages: NewMessage[], how?: Guarded): Promise<AcceptedBatch>;
    /**
     * Go through a conversation's messages, oldest first, from after a position on.
     * @param {Reference} conversation
     * @param {{after?: number, extra?: boolean, pageSize?: number}} [from]
     * @returns {AsyncGenerator<Message, void, undefined>}
     */
    messages(conversation: Reference, { after, extra, pageSize }?: {
        after?: number;
        extra?: boolean;
        pageSize?: number;
    }): AsyncGenerator<Message, void, undefined>;
    /**
     * Go through a conversation's messages, newest first, from before a position on.
     * @param {Reference} conversation
     * @param {{before?: number, extra?: boolean, pageSize?: number}} [from]
     * @returns {AsyncGenerator<Message, void, undefined>}
     */
    latestMessages(conversation: Reference, { before, extra, pageSize }?: {
        before?: number;
        extra?: boolean;
        pageSize?: number;
    }): AsyncGenerator<Message, void, undefined>;
    /**
     * The message with one's own id, or null.
     * @param {Reference} conversation
     * @param {string} externalId
     * @returns {Promise<Message | null>}
     */
    findMessage(conversation: Reference, externalId: string): Promise<Message | null>;
    /**
     * Change a message's text, its `extra`, or both; an `extra` of null removes it.
     * @param {Reference} conversation
     * @param {Reference} message
     * @param {{content?: string, extra?: Json | null}} change
     * @param {Guarded} [how]
     * @returns {Promise<Change>}
     */
    putMessage(conversation: Reference, message: Reference, change: {
        content?: string;
        extra?: Json | null;
    }, how?: Guarded): Promise<Change>;
    /**
     * Empty one message; its place stays, with the status `deleted`.
     * @param {Reference} conversation
     * @param {Reference} message
     * @param {Guarded} [how]
     * @returns {Promise<Change>}
     */
    deleteMessage(conversation: Reference, message: Reference, how?: Guarded): Promise<Change>;
    /**
     * Cut off a message and all after it; `keep` puts them aside as a branch.
     * @param {Reference} conversation
     * @param {Reference} message
     * @param {Guarded & {keep?: boolean}} [how]
     * @returns {Promise<Change>}
     */
    truncate(conversation: Reference, message: Reference, { keep, ...how }?: Guarded & {
        keep?: boolean;
    }): Promise<Change>;
    /**
     * Go through the messages, and titles, that have all words of `q`.
     * @param {string} q
     * @param {{role?: Role, conversation?: number, from?: string, to?: string, tag?: string, archived?: boolean, order?: "relevance" | "time", pageSize?: number}} [filter]
     * @returns {AsyncGenerator<Hit, void, undefined>}
     */
    search(q: string, { pageSize, ...filter }?: {
        role?: Role;
        conversation?: number;
        from?: string;
        to?: string;
        tag?: string;
        archived?: boolean;
        order?: "relevance" | "time";
        pageSize?: number;
    }): AsyncGenerator<Hit, void, undefined>;
    /**
     * Start a chat session, which is a conversation too.
     * @param {Write} [how]
     * @returns {Promise<ChatSession>}
     */
    startChat(how?: Write): Promise<ChatSession>;
    /**
     * Say something to the assistant, perhaps in place of a message, and return its answer. `extra` is
     * stored with the message.
     * @param {string} sessionId
     * @param {string} message
     * @param {Write & {replaces?: number, extra?: Json}} [how]
     * @returns {Promise<ChatAnswer>}
     */
    say(sessionId: string, message: string, { replaces, extra, ...how }?: Write & {
        replaces?: number;
        extra?: Json;
    }): Promise<ChatAnswer>;
    /**
     * Have the last message answered again; the answer that was there stays as a branch.
     * @param {string} sessionId
     * @param {Write} [how]
     * @returns {Promise<ChatAnswer>}
     */
    regenerate(sessionId: string, how?: Write): Promise<ChatAnswer>;
    /**
     * Say something and get the answer as it is made, with its parts if wanted. It is finished and
     * stored though nobody reads on.
     * @param {string} sessionId
     * @param {string} message
     * @param {Write & {replaces?: number, extra?: Json, parts?: boolean}} [how]
     */
    stream(sessionId: string, message: string, { replaces, extra, parts, ...how }?: Write & {
        replaces?: number;
        extra?: Json;
        parts?: boolean;
    }): AsyncGenerator<import("./stream.js").StreamEvent, void, undefined>;
    /**
     * Have the last message answered again, and get the answer as it is made.
     * @param {string} sessionId
     * @param {Write & {parts?: boolean}} [how]
     */
    streamRegenerated(sessionId: string, { parts, ...how }?: Write & {
        parts?: boolean;
    }): AsyncGenerator<import("./stream.js").StreamEvent, void, undefined>;
    /**
     * Watch a turn from its beginning, running or finished; nothing if nothing is known of it.
     * @param {string} sessionId
     * @param {number} turn the id of the turn's message
     * @param {{parts?: boolean, signal?: AbortSignal}} [how]
     */
    watch(sessionId: string, turn: number, { parts, signal }?: {
        parts?: boolean;
        signal?: AbortSignal;
    }): AsyncGenerator<import("./stream.js").StreamEvent, void, undefined>;
    /**
     * The streamed turns that are running. Reads after it include their messages.
     * @param {string} sessionId
     * @returns {Promise<RunningTurn[]>}
     */
    turns(sessionId: string): Promise<RunningTurn[]>;
    /**
     * Stop a turn, or all of the session's.
     * @param {string} sessionId
     * @param {number} [turn]
     * @returns {Promise<number[]>} those that were asked to stop
     */
    stop(sessionId: string, turn?: number): Promise<number[]>;
    /**
     * Go through what the user and the assistant said, oldest first.
     * @param {string} sessionId
     * @param {{pageSize?: number}} [how]
     * @returns {AsyncGenerator<SaidMessage, void, undefined>}
     */
    history(sessionId: string, { pageSize }?: {
        pageSize?: number;
    }): AsyncGenerator<SaidMessage, void, undefined>;
    /**
     * End a session: it takes no more messages, and its history stays readable.
     * @param {string} sessionId
     * @param {Write} [how]
     * @returns {Promise<{message: string, sessionId: string, entryId: number}>}
     */
    endChat(sessionId: string, how?: Write): Promise<{
        message: string;
        sessionId: string;
        entryId: number;
    }>;
}
