/**
 * What the API answers (docs/contract.md), for the type checker; there is no code here. Times are
 * texts in ISO 8601, which sort as texts.
 *
 * @typedef {number | string} Reference a conversation or message: the server's id, or one's own
 *
 * @typedef {"user" | "assistant" | "system" | "tool"} Role
 *
 * @typedef {Record<string, any>} Json an object
 *
 * @typedef {object} User
 * @property {number} id
 * @property {string} username
 * @property {string} email
 * @property {string} created_at
 *
 * @typedef {object} ApiKey An API key, without its secret.
 * @property {string} id
 * @property {string} name
 * @property {string[]} scopes
 * @property {"self" | "subjects"} acts_for
 * @property {string} created_at
 *
 * @typedef {object} Conversation
 * @property {number} id
 * @property {number} user_id
 * @property {string | null} title
 * @property {string} created_at
 * @property {string} updated_at
 * @property {number} message_count
 * @property {string | null} external_id
 * @property {Json | null} metadata
 * @property {string[] | null} tags
 * @property {string | null} archived_at
 * @property {string | null} pinned_at
 * @property {number | null} expires_in_days
 * @property {number | null} forked_from
 * @property {number | null} forked_at
 *
 * @typedef {object} NewMessage
 * @property {Role} role
 * @property {string} [content]
 * @property {string} [external_id]
 * @property {Json} [extra]
 *
 * @typedef {object} AcceptedMessage A message that is safe in the log, and will be stored.
 * @property {number} id
 * @property {number} user_id
 * @property {number} conversation_id
 * @property {Role} role
 * @property {string} content
 * @property {string} created_at
 * @property {"queued"} status
 * @property {string | null} external_id
 *
 * @typedef {{messages: AcceptedMessage[], entry_id: number}} AcceptedBatch
 *
 * @typedef {{id: number, entry_id: number}} Change of what, and the write's own id
 *
 * @typedef {object} Message
 * @property {number} id
 * @property {number} user_id
 * @property {number} conversation_id
 * @property {number} position 1, 2, 3, … within the conversation
 * @property {Role} role
 * @property {string} content
 * @property {"stored" | "interrupted" | "unavailable" | "deleted"} status
 * @property {string} created_at
 * @property {string | null} external_id
 * @property {Json | null} extra
 * @property {string | null} edited_at
 * @property {number} aside how many branches begin at its position
 *
 * @typedef {object} Branch
 * @property {number} id
 * @property {number} position
 * @property {number | null} parent_id
 * @property {number} first_id
 * @property {number} messages
 * @property {string} aside_at
 * @property {boolean} fits
 *
 * @typedef {object} Hit A message that was found, or a conversation by its title: then `position` is 0.
 * @property {number} conversation_id
 * @property {string | null} title
 * @property {number} position
 * @property {number | null} message_id
 * @property {Role | null} role
 * @property {string} created_at
 * @property {string} snippet
 * @property {[number, number][]} marks code points of the snippet, from and up to
 *
 * @typedef {{sessionId: string, conversationId: number, message: string}} ChatSession
 *
 * @typedef {{type: string, at: number} & Json} Part
 *
 * @typedef {object} ChatAnswer
 * @property {string} response
 * @property {string | null} intent
 * @property {boolean} processed
 * @property {string} sessionId
 * @property {number} conversationId
 * @property {number} messageId
 * @property {number} replyId
 * @property {"stored" | "interrupted" | "unavailable"} status
 * @property {"length" | "content_filter" | null} finish
 * @property {Json | null} extra
 *
 * @typedef {object} StreamStart
 * @property {string} sessionId
 * @property {number} conversationId
 * @property {number} messageId
 * @property {number} [remembersFrom]
 *
 * @typedef {{messageId: number, startedAt: string}} RunningTurn
 *
 * @typedef {object} SaidMessage A message of a session's history.
 * @property {number} id
 * @property {string} sessionId
 * @property {"user" | "ai"} sender
 * @property {string} content
 * @property {string} timestamp
 * @property {string | null} intent
 * @property {boolean} processed
 */
export type Reference = number | string;
export type Role = "user" | "assistant" | "system" | "tool";
export type Json = Record<string, any>;
export type User = {
    id: number;
    username: string;
    email: string;
    created_at: string;
};
export type ApiKey = {
    id: string;
    name: string;
    scopes: string[];
    acts_for: "self" | "subjects";
    created_at: string;
};
export type Conversation = {
    id: number;
    user_id: number;
    title: string | null;
    created_at: string;
    updated_at: string;
    message_count: number;
    external_id: string | null;
    metadata: Json | null;
    tags: string[] | null;
    archived_at: string | null;
    pinned_at: string | null;
    expires_in_days: number | null;
    forked_from: number | null;
    forked_at: number | null;
};
export type NewMessage = {
    role: Role;
    content?: string;
    external_id?: string;
    extra?: Json;
};
export type AcceptedMessage = {
    id: number;
    user_id: number;
    conversation_id: number;
    role: Role;
    content: string;
    created_at: string;
    status: "queued";
    external_id: string | null;
};
export type AcceptedBatch = {
    messages: AcceptedMessage[];
    entry_id: number;
};
export type Change = {
    id: number;
    entry_id: number;
};
export type Message = {
    id: number;
    user_id: number;
    conversation_id: number;
    /**
     * 1, 2, 3, … within the conversation
     */
    position: number;
    role: Role;
    content: string;
    status: "stored" | "interrupted" | "unavailable" | "deleted";
    created_at: string;
    external_id: string | null;
    extra: Json | null;
    edited_at: string | null;
    /**
     * how many branches begin at its position
     */
    aside: number;
};
export type Branch = {
    id: number;
    position: number;
    parent_id: number | null;
    first_id: number;
    messages: number;
    aside_at: string;
    fits: boolean;
};
export type Hit = {
    conversation_id: number;
    title: string | null;
    position: number;
    message_id: number | null;
    role: Role | null;
    created_at: string;
    snippet: string;
    /**
     * code points of the snippet, from and up to
     */
    marks: [number, number][];
};
export type ChatSession = {
    sessionId: string;
    conversationId: number;
    message: string;
};
export type Part = {
    type: string;
    at: number;
} & Json;
export type ChatAnswer = {
    response: string;
    intent: string | null;
    processed: boolean;
    sessionId: string;
    conversationId: number;
    messageId: number;
    replyId: number;
    status: "stored" | "interrupted" | "unavailable";
    finish: "length" | "content_filter" | null;
    extra: Json | null;
};
export type StreamStart = {
    sessionId: string;
    conversationId: number;
    messageId: number;
    remembersFrom?: number;
};
export type RunningTurn = {
    messageId: number;
    startedAt: string;
};
export type SaidMessage = {
    id: number;
    sessionId: string;
    sender: "user" | "ai";
    content: string;
    timestamp: string;
    intent: string | null;
    processed: boolean;
};
export {};
