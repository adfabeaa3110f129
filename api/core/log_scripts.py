"""The log's scripts, joined from the files of `lua` by what is called together.

Redis makes every function of a script anew in each call, and every table; so it is the size of a
script that a small call pays for.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Final, NamedTuple


class Script(NamedTuple):
    """A script for Redis, which knows it by its SHA-1 once it has seen it."""

    text: str
    sha: str


#: Files by script, in the order in which they are joined: a local must come before its use. In
#: brackets: parts of which few calls need anything (`lua/parts.lua`).
_FILES: Final[tuple[tuple[str | tuple[str, ...], ...], ...]] = (
    (
        *("head", "parts", "conversations", "quotas", "room", "heads", "accept"),
        ("idempotency",),
        ("streams", "backlogs", "checks", "external_ids", "turning", "further"),
        "dispatch",
    ),
    ("head", "streams", "kept", "drain", "dispatch"),
    (
        *("head", "streams", "kept", "idempotency", "books", "turns", "sessions", "tokens"),
        *("caches", "dispatch"),
    ),
)
#: What makes a table for functions: it comes first of all, so that any file may name it.
_TABLE: Final = re.compile(r"^local (\w+) = \{\}\n", re.MULTILINE)


def _joined(files: Iterable[str | tuple[str, ...]]) -> Script:
    tables, texts, of_parts = [], [], set()
    for one in files:
        text = "\n".join(map(_text, (one,) if isinstance(one, str) else one))
        names = _TABLE.findall(text)
        text = _TABLE.sub("", text)
        if not isinstance(one, str):
            text = f"part({{ {', '.join(names)} }}, function()\n{text}end)\n"
            of_parts |= set(names)
        tables += names
        texts.append(text)
    text = "\n".join(texts)
    # Those of no part are made at full size: one that grows is made anew several times.
    fields = {name: [] if name in of_parts else _functions(name, text) for name in tables}
    made = [f"local {name} = {{ {', '.join(fields[name])} }}\n" for name in tables]
    text = "".join([*made, text])
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _functions(table: str, text: str) -> list[str]:
    named = re.findall(rf"^function {table}\.(\w+)", text, re.MULTILINE)
    return [f"{name} = false" for name in named]


def _text(name: str) -> str:
    file = resources.files("api.core") / "lua" / f"{name}.lua"
    return file.read_text(encoding="utf-8")


#: The script of each operation: it is atomic, and the server compiles it once.
SCRIPTS: Final[Mapping[str, Script]] = {
    operation: script
    for script in map(_joined, _FILES)
    for operation in re.findall(r"^function operations\.(\w+)", script.text, re.MULTILINE)
}
