"""Dialogues without names and times: ShareGPT's, and those of OpenAI's fine-tuning.

Their names are made of what they say, so that importing them again changes nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from api.cli.imports.form import Conversation, Message, Role, extra_of
from api.cli.imports.report import Report
from api.cli.imports.values import mapping, objects, text

_ROLES: Final[dict[str, Role]] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
#: Fields of OpenAI's messages beside role and content that say something.
_EXTRA: Final = ("tool_calls", "tool_call_id", "function_call", "name", "refusal", "weight")


def read_sharegpt(items: Iterable[dict[str, Any]], report: Report) -> Iterator[Conversation]:
    """Yield a conversation for each dialogue of `{conversations: [{from, value}]}`."""
    for item in items:
        said = objects(item.get("conversations")) or objects(item.get("messages"))
        yield _conversation("sharegpt", item, said, report)


def read_openai(items: Iterable[dict[str, Any]], report: Report) -> Iterator[Conversation]:
    """Yield a conversation for each dialogue of `{messages: [{role, content, …}]}`."""
    for item in items:
        yield _conversation("openai", item, objects(item.get("messages")), report)


def _conversation(
    source: str, item: dict[str, Any], said: list[dict[str, Any]], report: Report
) -> Conversation:
    written = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    known = [one for one in said if _role(one) is not None]
    report.leave_out("message of an unknown role", len(said) - len(known))
    metadata = {"source": source, "id": item.get("id")}
    return Conversation(
        external_id=f"{source}:{hashlib.blake2b(written, digest_size=16).hexdigest()}",
        title=text(item.get("title")) or None,
        metadata={name: value for name, value in metadata.items() if value is not None},
        messages=[_message(number, one) for number, one in enumerate(known, 1)],
    )


def _role(said: dict[str, Any]) -> Role | None:
    return _ROLES.get(text(said.get("from")) or text(said.get("role")))


def _message(number: int, said: dict[str, Any]) -> Message:
    content = said.get("value", said.get("content"))
    parts = objects(content)
    shown = text(content) or "\n".join(filter(None, (text(one.get("text")) for one in parts)))
    item = {name: said[name] for name in _EXTRA if said.get(name) is not None}
    if any(set(part) != {"type", "text"} for part in parts):
        item["content"] = content
    return Message(
        role=_role(said) or "user",
        content=shown,
        external_id=str(number),
        extra=mapping(extra_of(**item)) or None,
    )
