/**
 * The wire shapes of the API (docs/contract.md), for the type checker; there is no code here.
 *
 * @typedef {object} User
 * @property {number} id
 * @property {string} username
 * @property {string} email
 * @property {number | null} [expires_in_days]
 * @property {number | null} [retention_days] the server's; null: nothing is deleted by age
 *
 * @typedef {"read" | "write" | "chat"} KeyScope what an API key may do
 *
 * @typedef {object} Key An API key, without its secret.
 * @property {string} id
 * @property {string} name
 * @property {KeyScope[]} scopes
 * @property {"self" | "subjects"} acts_for
 * @property {string} created_at
 *
 * @typedef {object} SignInSession
 * @property {string} id
 * @property {string} created_at
 * @property {string} renewed_at
 * @property {boolean} browser
 * @property {string | null} device such as `Firefox on Linux`, or one of both
 * @property {boolean} current
 *
 * @typedef {{answers: number, input_tokens: number, output_tokens: number}} Sums
 *
 * @typedef {object} Usage What models took.
 * @property {(Sums & {day: string})[]} days in UTC, the oldest first
 * @property {{tokens_per_day: number, tokens_today: number, seconds_left: number} | null} limit
 *
 * @typedef {object} ConversationRow
 * @property {number} id
 * @property {string | null} title
 * @property {string} created_at
 * @property {string} updated_at
 * @property {number} message_count
 * @property {string | null} archived_at
 * @property {string | null} pinned_at
 * @property {string[] | null} tags
 *
 * @typedef {object} ConversationPage
 * @property {ConversationRow[]} conversations
 * @property {number} total
 * @property {string | null} next_cursor
 *
 * @typedef {{tag: string, conversations: number}} TagRow
 *
 * @typedef {object} HitRow A message that a search found, or a conversation by its title.
 * @property {number} conversation_id
 * @property {string | null} title
 * @property {number} position 0 for a title
 * @property {string} snippet
 * @property {[number, number][]} marks code points of the snippet, from and up to
 *
 * @typedef {{hits: HitRow[], next_cursor: string | null}} HitPage
 *
 * @typedef {"up" | "down"} Rating
 *
 * @typedef {{rating: Rating, comment: string | null}} FeedbackRow
 *
 * @typedef {object} MessageRow
 * @property {number} id
 * @property {number} position 1 to n within its conversation, no gaps
 * @property {"user" | "assistant" | "system" | "tool"} role
 * @property {string} content
 * @property {"stored" | "interrupted" | "unavailable" | "deleted"} status
 * @property {string} created_at
 * @property {number} aside how many branches begin at its position
 * @property {FeedbackRow | null} feedback what its owner said of an answer
 * @property {{finish?: Finish, attachments?: unknown} | null} extra what belongs to it beside its text
 *
 * @typedef {{messages: MessageRow[], total: number}} MessagePage
 *
 * @typedef {object} BranchRow What was put aside of a conversation.
 * @property {number} id
 * @property {number} position of its first message
 * @property {number} first_id
 * @property {boolean} fits one can switch to it
 *
 * @typedef {object} Attachment A file that was uploaded, as a message names it.
 * @property {string} id
 * @property {string} name
 * @property {string} type
 * @property {number} size in bytes
 *
 * @typedef {"public" | "signed_in"} Audience whom a shared link shows something
 *
 * @typedef {object} SharedLink A shared link, without its secret.
 * @property {string} id
 * @property {string | null} title
 * @property {Audience} audience
 * @property {string} created_at
 * @property {string} expires_at
 *
 * @typedef {{role: "user" | "assistant", content: string, status: "stored" | "interrupted"}} SharedMessage
 *
 * @typedef {object} SharedConversation What a link shows.
 * @property {string | null} title
 * @property {string} created_at
 * @property {string} expires_at
 * @property {SharedMessage[]} messages
 *
 * @typedef {"length" | "content_filter"} Finish why an answer ends before its own end
 *
 * @typedef {object} Answer What the JSON form of a chat turn answers.
 * @property {number} conversationId
 * @property {number} messageId
 * @property {number} replyId
 * @property {string} response
 * @property {"stored" | "interrupted"} [status]
 * @property {Finish | null} [finish]
 */

export {};
