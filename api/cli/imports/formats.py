"""The formats that an import knows, and how to tell them apart by what is in a file."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final

from api.cli.imports import chatgpt, claude, datasets, librechat, openwebui, own
from api.cli.imports.form import Conversation
from api.cli.imports.limits import fit
from api.cli.imports.report import Report
from api.cli.imports.values import mapping, objects

Items = Iterable[dict[str, Any]]
#: Each with its number in its file.
Numbered = Iterable[tuple[int, dict[str, Any]]]

READERS: Final[dict[str, Callable[[Items, Report], Iterator[Conversation]]]] = {
    "chatgpt": chatgpt.read,
    "claude": claude.read,
    "openwebui": openwebui.read,
    "librechat": librechat.read,
    "sharegpt": datasets.read_sharegpt,
    "openai": datasets.read_openai,
    "verbatim": own.read,
}
#: How many objects are looked at: the first ones may be damaged.
_LOOK_AT: Final = 16
_OWN_TYPES: Final = {"account", "conversation", "message", "end"}


def read_conversations(items: Numbered, format_name: str, report: Report) -> Iterator[Conversation]:
    """Yield the conversations of one file, as they can be stored. `auto` finds its format."""
    following = iter(items)
    first = list(islice(following, _LOOK_AT))
    if format_name == "auto":
        found = next(filter(None, (format_of(item) for _, item in first)), None)
        if found is None:
            report.item = 0
            report.leave_out("file without conversations")
            return
        format_name = found
    numbered = _numbered(chain(first, following), report)
    for conversation in READERS[format_name](numbered, report):
        if (fitting := fit(conversation, report)) is not None:
            yield fitting


def _numbered(items: Numbered, report: Report) -> Items:
    for report.item, item in items:
        yield item


def format_of(item: dict[str, Any]) -> str | None:
    """Return the format that an object has, or None if it is no conversation of any."""
    messages = objects(item.get("messages"))
    chat = mapping(item.get("chat"))
    signs = {
        "verbatim": item.get("type") in _OWN_TYPES or (messages and "external_id" in item),
        "chatgpt": "mapping" in item,
        "claude": "chat_messages" in item,
        "openwebui": "history" in chat or "messages" in chat,
        "librechat": "messagesTree" in item or (messages and "conversationId" in item),
        "sharegpt": any("from" in said for said in objects(item.get("conversations")) + messages),
        "openai": any("role" in said for said in messages),
    }
    return next((name for name, is_so in signs.items() if is_so), None)
