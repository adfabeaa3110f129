/**
 * Cuts Markdown into pieces that can be read apart from each other: paragraphs, headings, lists,
 * code. One pass over the lines, so that its cost grows with the text and no faster.
 *
 * @typedef {object} Piece
 * @property {string} text as it is shown while it is plain
 * @property {string | null} source what the Markdown renderer reads; null where it stays plain
 */

/** A list of more characters goes on in the next piece. */
const LIST_LENGTH = 2_000;
/** What is longer (in characters), and no block of code, stays plain: one step must not take long. */
const LONGEST = 16_000;
/** An answer has no more pieces; the rest of it is one, and plain. */
const MOST = 1_000;
/** Link definitions beyond this many characters are not looked at. */
const DEFINITIONS_LENGTH = 4_000;

const LIST = /^(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)/;
const HEADING = /^#{1,6}(?:[ \t]|$)/;
const DEFINITION = /^ {0,3}\[[^\]]{1,200}\]:[ \t]*\S/;
const INDENTED = /^[ \t]/;
const OPENS_CODE = /^[ \t>]*(?:(`{3,})[^`]*|(~{3,}).*)$/;

/**
 * @param {string} text
 * @returns {Piece[]}
 */
export function piecesOf(text) {
  const { cuts, definitions } = scan(text);
  const pieces = cuts.map((start, index) => text.slice(start, cuts[index + 1]));
  const rest = pieces.splice(MOST).join("");
  const found = pieces.map((piece) => ({ text: piece.trimEnd(), source: sourceOf(piece, definitions) }));
  return rest ? [...found, { text: rest, source: null }] : found;
}

/**
 * @param {string} piece
 * @param {string} definitions of links, which may be used before them
 */
function sourceOf(piece, definitions) {
  const isCode = isFenced(/^[^\n]*/.exec(piece)?.[0] ?? "");
  if (piece === "" || (piece.length > LONGEST && !isCode)) return null;
  return definitions && !isCode && piece.includes("[") ? `${piece}\n\n${definitions}` : piece;
}

/** @param {string} text */
function scan(text) {
  const cuts = [0];
  let definitions = "";
  let isAfterBlank = false;
  let isList = false;
  for (let start = 0, end; start < text.length; start = end) {
    end = endOfLine(text, start);
    const line = text.slice(start, end).trimEnd();
    if (line === "") {
      isAfterBlank = true;
      continue;
    }
    const isItem = LIST.test(line);
    const isAlone = HEADING.test(line) || isFenced(line);
    const begins = isAlone || (isAfterBlank && !INDENTED.test(line) && !(isList && isItem));
    const begun = /** @type {number} */ (cuts.at(-1));
    const isLong = isList && isItem && start - begun > LIST_LENGTH && !isNumberOf(text, begun, line);
    if (start > begun && (begins || isLong)) cuts.push(start);
    if (isItem || begins) isList = isItem;
    if (DEFINITION.test(line) && definitions.length < DEFINITIONS_LENGTH) definitions += `${line}\n`;
    isAfterBlank = false;
    const fence = fenceOf(line);
    if (fence !== null) end = endOfCode(text, end, fence, line.startsWith(">"));
    if (isFenced(line) && end < text.length) cuts.push(end);
  }
  return { cuts, definitions };
}

/**
 * @param {string} text
 * @param {number} start of the line
 */
function endOfLine(text, start) {
  return text.indexOf("\n", start) + 1 || text.length;
}

/**
 * @param {string} text
 * @param {number} start of the code
 * @param {string} fence that closes it
 * @param {boolean} isQuoted it ends with the quotation, then
 */
function endOfCode(text, start, fence, isQuoted) {
  for (let end; start < text.length; start = end) {
    end = endOfLine(text, start);
    const line = text.slice(start, end).trimEnd();
    if (isQuoted && !line.startsWith(">")) return start;
    if (closes(line, fence)) return end;
  }
  return start;
}

/** @param {string} line */
function fenceOf(line) {
  const [, ticks, tildes] = OPENS_CODE.exec(line) ?? [];
  return ticks ?? tildes ?? null;
}

/**
 * Whether an item has the number that the list began with: then all of it is to be counted from there.
 * @param {string} text
 * @param {number} start of the list
 * @param {string} item
 */
function isNumberOf(text, start, item) {
  const number = /^\d+/.exec(item)?.[0];
  return number !== undefined && text.startsWith(number, start);
}

/** @param {string} line whether it opens code that is in no list and no quotation */
function isFenced(line) {
  return /^[`~]/.test(line) && fenceOf(line) !== null;
}

/**
 * @param {string} line
 * @param {string} fence
 */
function closes(line, fence) {
  const found = line.replace(/^[ \t>]+/, "");
  return found.startsWith(fence) && found === found.charAt(0).repeat(found.length);
}
