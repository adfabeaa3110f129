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

export {};
