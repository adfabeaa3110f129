/** English. */

import { number, plural, size } from "../formats.js";

/** @typedef {typeof texts} Texts */

export const texts = {
  name: "Verbatim",
  conversations: "Conversations",
  conversation: "Conversation",
  untitled: "New conversation",
  newChat: "New chat",
  openSidebar: "Show conversations",
  closeSidebar: "Hide conversations",
  search: "Search",
  noConversations: "Your conversations will appear here. Write a message, and the first one begins.",
  nothingFound: "No title contains this.",
  inMessages: "In messages",
  noHits: "No message contains this.",
  searchHint: "\"Words in quotes\" find a phrase, and -word leaves out what contains it.",
  moreHits: "Show more",
  /**
   * @param {number} titles
   * @param {number} messages
   */
  found: (titles, messages) =>
    `${conversations(titles)} and ${plural(messages, { one: "1 message", other: `${number(messages)} messages` })} found`,
  loadingMore: "Loading more …",
  rename: "Rename",
  delete: "Delete",
  /** @param {string} title */
  titleOf: (title) => `Title of ${title}`,
  /** @param {string} title */
  deleted: (title) => `Deleted “${title}”`,
  undo: "Undo",

  sort: "Order",
  sorts: { updated_at: "Last activity", created_at: "Created", title: "Title" },
  pinned: "Pinned",
  today: "Today",
  yesterday: "Yesterday",
  previousDays: "Previous 7 days",
  more: "More",
  pin: "Pin",
  unpin: "Unpin",
  archive: "Archive",
  unarchive: "Take out of the archive",
  showArchive: "Show the archive",
  noneArchived: "Nothing is archived. What you archive leaves the list, and stays here and in the search.",
  noneTagged: "No conversation has this tag.",
  noTags: "There are no tags yet. Each one is a folder above the list, and a conversation may be in several.",
  tags: "Tags",
  /** @param {string} tag */
  tagged: (tag) => `Tag: ${tag}`,
  editTags: "Tags …",
  newTag: "New tag",
  save: "Save",
  /** @param {number} count */
  tagsOf: (count) =>
    plural(count, { one: "Tags of the conversation", other: `Tags of ${conversations(count)}` }),
  select: "Select several",
  selectAll: "Select all",
  /** @param {number} count */
  selected: (count) => `${number(count)} selected`,
  /** @param {string} title */
  selectOne: (title) => `Select ${title}`,
  done: "Done",
  /** @param {number} count */
  archivedMany: (count) => plural(count, { one: "Archived", other: `Archived ${conversations(count)}` }),
  /** @param {number} count */
  unarchivedMany: (count) =>
    plural(count, { one: "Taken out of the archive", other: `Took ${conversations(count)} out of the archive` }),
  /** @param {number} count */
  taggedMany: (count) =>
    plural(count, { one: "Changed its tags", other: `Changed the tags of ${conversations(count)}` }),
  /** @param {number} count */
  deletedMany: (count) => `Deleted ${conversations(count)}`,
  notChanged: "This could not be changed.",
  exportMarkdown: "Save as Markdown",
  notExported: "This could not be saved at the moment.",
  print: "Print …",
  preparing: "All messages are being laid out for printing …",
  notPrinted: "This could not be printed at the moment.",
  printedPart: "Only a part of this conversation. “Print …” in its menu prints all of it.",

  dismiss: "Dismiss",
  notRenamed: "The title was not changed.",

  messages: "Messages",
  you: "You",
  assistant: "Assistant",
  greeting: "What is on your mind?",
  greetingHint: "Every word is kept, exactly as you wrote it.",
  firstHint: "Write below, or begin with one of these. Every word is kept, exactly as you wrote it.",
  suggestions: ["Hello! What can you do?", "Remember this for later: my train leaves at 7:42."],
  firstImport: "Bring conversations from elsewhere …",
  loading: "Loading …",
  missing: "This conversation does not exist, or it is not yours.",
  missingTitle: "Not found",
  toLatest: "Go to your latest conversation",
  jumpToEnd: "Go to the latest message",
  historyAway: "Earlier messages cannot be loaded right now. They will appear by themselves.",
  composer: "Message",
  placeholder: "Write a message …",
  send: "Send",
  attach: "Attach files",
  files: "Files",
  /** @param {string} name */
  uploading: (name) => `Uploading ${name}`,
  /** @param {string} name */
  removeFile: (name) => `Remove ${name}`,
  notUploaded: "Not uploaded: the server is busy or away.",
  /** @param {number} most */
  filesMost: (most) => `A message has at most ${number(most)} files.`,
  fileGone: "is no longer there",
  stop: "Stop the answer",
  stopping: "Stopping …",
  /** @param {number} left */
  charactersLeft: (left) =>
    left >= 0
      ? plural(left, { one: "1 character left", other: `${number(left)} characters left` })
      : plural(-left, { one: "1 character too many", other: `${number(-left)} characters too many` }),

  sending: "Sending …",
  waiting: "Waiting for the connection. It will be sent by itself.",
  waitingBusy: "The server is busy. It will be sent by itself.",
  refused: "Not sent",
  refusedLate: "Not sent, and this is a while ago. Send it now?",
  unanswered: "The assistant could not answer.",
  unansweredLost: "The answer was lost before it was finished.",
  horizon: "This is as far back as the assistant sees.",
  interrupted: "Stopped here.",
  ended: {
    length: "The answer ends here: it reached the model’s limit.",
    content_filter: "The answer ends here: the model’s content filter stopped it.",
  },
  unavailable: "This message cannot be shown at the moment. Its place is kept.",
  thinking: "The assistant is thinking",
  reconnecting: "Reconnecting …",
  messageDeleted: "This message was deleted.",
  retry: "Try again",
  regenerate: "Answer anew",
  editMessage: "Change your message",
  sendAnew: "Send",
  cancel: "Cancel",
  variantBefore: "The one before",
  variantAfter: "The one after",
  /**
   * @param {number} at
   * @param {number} count
   */
  variant: (at, count) => `${number(at)} of ${number(count)}`,
  switched: "Another version is shown.",
  notSwitched: "The other version cannot be shown at the moment.",
  edit: "Edit",
  discard: "Discard",
  copy: "Copy",
  copyCode: "Copy code",
  copied: "Copied",
  notCopied: "Copying is not allowed here",
  answered: "The assistant answered:",
  /** @param {string} alternative */
  image: (alternative) => (alternative ? `image: ${alternative}` : "image"),

  offline: "You are offline. What you write is kept and sent later.",
  unreached: "The server does not answer. Trying again …",
  back: "Connected again.",

  signIn: "Sign in",
  signUp: "Create an account",
  signInHint: "Your conversations are waiting.",
  signUpHint: "A name, an email address and a password are all it takes.",
  toSignUp: "New here? Create an account",
  toSignIn: "Have an account? Sign in",
  username: "Username",
  usernameHint: "3 to 64 letters, digits, dots, dashes or underscores",
  email: "Email",
  password: "Password",
  passwordHint: "At least 8 characters",
  wrongPassword: "The username or the password is wrong.",
  taken: "This username or email address is taken.",
  signInLater: "The server does not answer. Please try again in a moment.",
  tooMany: "Too many attempts. Please try again in a moment.",
  signOut: "Sign out",
  signOutUnsent: "Some messages were not sent yet.",
  signOutAnyway: "Sign out anyway",
  signedOut: "You have been signed out. Sign in to go on.",

  account: "Account",
  profile: "Who you are",
  changeUsername: "Change the username",
  newUsername: "New username",
  /** @param {string} username */
  usernameChanged: (username) => `Changed. From now on you sign in as ${username}.`,
  usernameTaken: "This username is taken.",
  currentPassword: "Current password",
  newPassword: "New password",
  changePassword: "Change the password",
  passwordChanged: "The password is changed. All other sessions are over.",
  wrongCurrent: "The password is wrong.",
  sessions: "Where you are signed in",
  sessionOfBrowser: "Browser",
  sessionOfProgram: "Program",
  /**
   * @param {string} program
   * @param {string} system
   */
  device: (program, system) => `${program} on ${system}`,
  thisSession: "This one",
  endSession: "End",
  /** @param {string} since */
  endSessionOf: (since) => `End the session from ${since}`,
  endOthers: "End all others",
  /**
   * @param {string} since
   * @param {string} last
   */
  signedInSince: (since, last) => `since ${since}, last used ${last}`,
  usage: "What models took",
  /**
   * @param {number} tokens
   * @param {number} count of answers
   */
  usageToday: (tokens, count) =>
    `Today: ${plural(tokens, { one: "1 token", other: `${number(tokens)} tokens` })} for ${plural(count, { one: "1 answer", other: `${number(count)} answers` })}.`,
  usageNone: "In the last 30 days no model told what it took.",
  usageOfLimit: "Tokens of today",
  /**
   * @param {number} tokens
   * @param {number} limit
   * @param {string} when
   */
  usageLimit: (tokens, limit, when) =>
    `${number(tokens)} of the ${number(limit)} tokens that a day may take. A new day begins ${when}.`,
  usageByDay: "By day",
  day: "Day",
  answers: "Answers",
  tokensIn: "Tokens read",
  tokensOut: "Tokens written",
  yourData: "Your data",
  dropHint:
    "Drop a file here to import its conversations: an export from here, or JSON lines in that form. Exports of other chats are imported with the command “verbatim import”.",
  export: "Export",
  import: "Import a file …",
  progress: "Progress",
  stopped: "Stopped. An import keeps what it brought until then.",
  /**
   * @param {number} count
   * @param {number} total
   * @param {number} bytes
   */
  exporting: (count, total, bytes) => `${number(count)} of ${conversations(total)}, ${size(bytes)}`,
  /**
   * @param {number} count
   * @param {number} bytes
   */
  exported: (count, bytes) => `Exported ${conversations(count)}, ${size(bytes)}.`,
  /** @param {number} count */
  importing: (count) => `${conversations(count)} so far`,
  /**
   * @param {number} count of conversations
   * @param {number} messages
   * @param {number} skipped
   * @param {number} refused
   */
  imported: (count, messages, skipped, refused) =>
    [
      `Imported ${plural(messages, { one: "1 message", other: `${number(messages)} messages` })} of ${conversations(count)}.`,
      skipped &&
        plural(skipped, { one: "1 message was here already.", other: `${number(skipped)} messages were here already.` }),
      refused && plural(refused, { one: "1 line was refused:", other: `${number(refused)} lines were refused:` }),
    ]
      .filter(Boolean)
      .join(" "),
  /**
   * @param {number} line
   * @param {string} detail
   */
  refusedLine: (line, detail) => `Line ${number(line)}: ${detail}`,
  retention: "How long it is kept",
  ownDays: "Days without activity until a conversation is deleted; empty for the server’s rule",
  saved: "Saved.",
  keptForGood: "This server deletes nothing by age.",
  /** @param {number} days */
  keptFor: (days) =>
    plural(days, {
      one: "This server deletes conversations a day after their last activity.",
      other: `This server deletes conversations ${number(days)} days after their last activity. You may choose fewer.`,
    }),
  end: "The end",
  deleteAccount: "Delete the account",
  deleteHint:
    "All your conversations go with it, at once and for good, and so do your API keys. Export first what you want to keep.",
  /** @param {string} username */
  typeName: (username) => `Type ${username} to confirm`,
  wrongName: "This is not your username.",
  accountDeleted: "The account is deleted.",

  keys: "API keys",
  keysHint: "With a key, a program of yours reads and writes your conversations until you revoke it.",
  noKeys: "You have no keys.",
  keyName: "Name of the new key",
  keyMay: "It may",
  keyScopes: { read: "read conversations", write: "write conversations", chat: "chat with the assistant" },
  keySubjects: "for people whom the program names, each with conversations of their own",
  makeKey: "Make a key",
  newKey: "New key",
  keyShownOnce: "This is the key. Keep it in a safe place: it is not shown again.",
  revoke: "Revoke",
  /** @param {string} name */
  revokeKey: (name) => `Revoke ${name}`,
  revokeSurely: "Revoke for good?",
  close: "Close",

  rate: { up: "A good answer", down: "A bad answer" },
  comment: "What makes it so?",
  sendComment: "Send the comment",
  thanks: "Thank you.",
  notRated: "Your rating did not reach the server.",

  share: "Share",
  shareHint: "Whoever has the link sees what was said here so far, and nothing that comes later.",
  shareFor: "For",
  shareWith: { public: "everybody who has the link", signed_in: "people who are signed in here" },
  shareUntil: "The link ends after",
  /** @param {number} days */
  days: (days) => plural(days, { one: "1 day", other: `${number(days)} days` }),
  makeLink: "Make a link",
  newLink: "New link",
  linkShownOnce: "This is the link. It is not shown again.",
  /**
   * @param {string} made
   * @param {string} ends
   */
  sharedAsOf: (made, ends) => `As it was on ${made}. The link ends on ${ends}.`,
  sharedTitle: "Shared conversation",
  sharedUser: "User",
  sharedNothing: "This link shows nothing.",
  sharedNothingHint: "It was revoked or has ended, or it is for people who are signed in.",
  sharedAway: "The server does not answer. Please try again in a moment.",
  importShared: "Take a copy into my conversations",
  importSignedOut: "Sign in first, then open the link again.",

  shortcuts: "Keyboard",
  shortcutsHint: "Ctrl+/ opens this from anywhere, and so does ? outside of fields. Then one letter does it:",
  writeMessage: "Write a message",
  searchAll: "Search conversations and messages",
  toggleSidebar: "Show or hide the conversations",
  keysOfComposer: "In the message",
  newLine: "New line",
  editLast: "Change your last message, while nothing is written",
  keysOfList: "In the list of conversations",
  goThrough: "Go through them",
  selectSeveral: "Select, where several are selected",
  keyNames: { enter: "Enter", shift: "Shift", up: "↑", down: "↓", space: "Space", delete: "Delete" },

  language: "Language",
  languageOfBrowser: "As the browser",
  theme: { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" },
};

/** @param {number} count */
function conversations(count) {
  return plural(count, { one: "1 conversation", other: `${number(count)} conversations` });
}
