"""The text of a title: what an assistant offered, or a first message, made fit for a list."""

import re
import unicodedata
from typing import Final

from api.core.text import Storable, cut, is_blank

#: Code points that are looked at: no pattern below meets a text that could keep it busy.
READ_MOST: Final = 1000

_THOUGHTS: Final = r"think|thinking|thought|thoughts|reasoning|reflection"
_THOUGHT: Final = re.compile(
    # Closed, never closed, or begun before the answer did.
    rf"<({_THOUGHTS})\b[^>]{{0,100}}>.*?(</\1\s*>|\Z)|\A.*?</({_THOUGHTS})\s*>",
    re.DOTALL | re.IGNORECASE,
)
_LABEL: Final = re.compile(
    r"\A(?:(?:the|a|suggested|chat|conversation)\s+)*"
    r"(?:title|name|topic|subject|titel|titre|título|titulo|titolo|название|标题|標題|タイトル|제목)"
    r"(?:\s+(?:of|for)\s+[^:]{1,40}|\s+is)?\s*[:\uff1a]\s*",
    re.IGNORECASE,
)
_MARKDOWN: Final = (
    (re.compile(r"^\s*(?:```|~~~).*$", re.MULTILINE), ""),
    (re.compile(r"^\s*(?:#{1,6}\s+|>\s*|[-*+]\s+|\d{1,2}[.)]\s+)", re.MULTILINE), ""),
    (re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)"), r"\1"),
    (re.compile(r"(\*{1,3}|~~)(?=\S)([^*~\n]+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<!\w)(_{1,3})(?=\S)([^_\n]+?)(?<=\S)\1(?!\w)"), r"\2"),
    (re.compile(r"(`+)([^`\n]+)\1"), r"\2"),
)
_QUOTES: Final = (
    *('""', "''", "“”", "„“", "”“", "«»", "»«", "「」", "『』", "《》"),
    *("\u2018\u2019", "\u201a\u2018"),
)
#: Joins letters and emoji, as some scripts need; other invisible characters are of no use here.
_JOINERS: Final = "\u200c\u200d"
#: The flags of regions (Scotland's): a black flag, and its code in letters that are not shown.
_FLAG: Final = re.compile("(\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f)")


def offered_title(text: str, most: int) -> str:
    """Return the title in a model's answer; empty if it holds none.

    Without its thoughts, Markdown, a label in front, and quotation marks around it.
    """
    text = _THOUGHT.sub("", text).lstrip()[:READ_MOST]
    for pattern, replacement in _MARKDOWN:
        text = pattern.sub(replacement, text)
    lines = [line for line in text.splitlines() if not is_blank(line)]
    while len(lines) > 1 and lines[0].rstrip().endswith((":", "\uff1a")):
        lines.pop(0)  # an introduction
    line = _one_line(lines[0]) if lines else ""
    return shortened(_unquoted(_LABEL.sub("", _unquoted(line))), most)


def shortened(text: str, most: int) -> str:
    """Return a text on one line, cut between words where it gets long; empty if it shows nothing.

    `most` counts code points, the ellipsis aside. No emoji or accented letter is cut in two.
    """
    line = _one_line(text)
    if is_blank(line):
        return ""
    if len(line) <= most:
        return line
    head = cut(line, most + 1)
    head = head.rsplit(" ", 1)[0] if " " in head else cut(line, most)
    head = head.rstrip(" ,.;:")
    return f"{head}…" if head else ""


def _one_line(text: str) -> str:
    """Return a text on one line, without what shows nothing or turns the text around it."""
    storable = Storable()
    words = f"{storable.add(text)}{storable.end()}".split()
    parts = _FLAG.split(" ".join(words)[:READ_MOST])
    # With a group in the pattern, every second part is what it found.
    parts[::2] = map(_visible, parts[::2])
    return " ".join("".join(parts).split()).strip(_JOINERS)


def _visible(text: str) -> str:
    return "".join(
        character
        for character in text
        if character in _JOINERS or unicodedata.category(character) not in {"Cc", "Cf"}
    )


def _unquoted(line: str) -> str:
    """Return a line without the quotation marks that are around all of it."""
    line = line.strip()
    for opening, closing in _QUOTES:
        inner = line.removeprefix(opening).removesuffix(closing)
        is_pair = len(line) == len(inner) + 2 and not {opening, closing} & set(inner)
        if is_pair:
            return _unquoted(inner)
    return line
