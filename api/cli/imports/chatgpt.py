"""ChatGPT's export: a tree of nodes for each conversation, several nodes for each answer."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from api.cli.imports import chatgpt_parts
from api.cli.imports.form import Conversation, Message, Part, extra_of
from api.cli.imports.report import Report
from api.cli.imports.trees import seen_path
from api.cli.imports.values import mapping, objects, text, time

#: An answer that was cut off keeps `in_progress` for good.
_WHOLE: Final = {"", "finished_successfully"}


def read(items: Iterable[dict[str, Any]], report: Report) -> Iterator[Conversation]:
    """Yield a conversation for each that has messages; branches that are not shown are left out."""
    for item in items:
        if isinstance(item.get("mapping"), dict):
            yield _conversation(item, report)
        else:
            report.leave_out("entry without messages")


def _conversation(item: dict[str, Any], report: Report) -> Conversation:
    nodes = {key: node for key, node in item["mapping"].items() if isinstance(node, dict)}
    messages = {key: mapping(node.get("message")) for key, node in nodes.items()}
    path = seen_path(
        {key: text(node.get("parent")) or None for key, node in nodes.items()},
        item.get("current_node"),
        {key: _seconds(message) for key, message in messages.items()},
    )
    hidden = sum(_is_hidden(messages[key]) for key in path if messages[key])
    report.leave_out("hidden message, or one of the system", hidden)
    aside = messages.keys() - set(path)
    report.leave_out("message of another branch", sum(_is_said(messages[key]) for key in aside))
    name = text(item.get("conversation_id")) or text(item.get("id"))
    turns = _Turns(text(item.get("default_model_slug")))
    for key in path:
        if messages[key]:
            turns.add(key, messages[key])
    return Conversation(
        external_id=f"chatgpt:{name or next(iter(path), '')}",
        title=text(item.get("title")) or None,
        created_at=time(item.get("create_time")),
        updated_at=time(item.get("update_time")),
        archived=item.get("is_archived") is True,
        pinned=time(item.get("pinned_time")) is not None,
        metadata=_metadata(item, turns.instructions),
        messages=turns.messages,
    )


def _metadata(item: dict[str, Any], instructions: str) -> dict[str, Any]:
    found = {
        "source": "chatgpt",
        "model": text(item.get("default_model_slug")),
        "gizmo_id": text(item.get("gizmo_id")),
        "project": text(item.get("conversation_template_id")),
        "starred": item.get("is_starred") is True,
        "instructions": instructions,
    }
    return {name: value for name, value in found.items() if value}


class _Turns:
    """Makes messages of nodes: all that an assistant does until its user speaks is one message."""

    def __init__(self, model: str) -> None:
        self.messages: list[Message] = []
        self.instructions = ""
        self._model = model
        self._parts: list[Part] = []

    def add(self, key: str, said: dict[str, Any]) -> None:
        """Take the next node of the path."""
        content = mapping(said.get("content"))
        if content.get("content_type") == "user_editable_context":
            both = (text(content.get(name)) for name in ("user_profile", "user_instructions"))
            self.instructions = "\n\n".join(filter(None, both))
            return
        if _is_hidden(said):
            return
        role = _role(said)
        parts = [*chatgpt_parts.parts_of(said, role), *_attached(said)]
        if role == "user":
            self._begin("user", key, said)
        elif not self.messages or self.messages[-1].role != "assistant":
            self._begin("assistant", key, said)
        self._say(parts, said)

    def _begin(self, role: Any, key: str, said: dict[str, Any]) -> None:
        message_id = text(said.get("id")) or key
        self._parts = []
        self.messages.append(
            Message(role, "", message_id, created_at=time(said.get("create_time")))
        )

    def _say(self, parts: list[Part], said: dict[str, Any]) -> None:
        message = self.messages[-1]
        self._parts += parts
        plain = [chatgpt_parts.plain_text(part) for part in parts]
        message.content = "\n\n".join(filter(None, [message.content, *plain]))
        message.status = "stored" if text(said.get("status")) in _WHOLE else "interrupted"
        model = text(mapping(said.get("metadata")).get("model_slug"))
        only_text = all(part["type"] == "text" and "source" not in part for part in self._parts)
        message.extra = extra_of(
            parts=[] if only_text else self._parts, model=model if model != self._model else ""
        )


def _role(said: dict[str, Any]) -> str:
    return text(mapping(said.get("author")).get("role"))


def _is_hidden(said: dict[str, Any]) -> bool:
    if mapping(said.get("content")).get("content_type") == "user_editable_context":
        return False  # it goes to the conversation's metadata
    metadata = mapping(said.get("metadata"))
    return (
        _role(said) == "system"
        or said.get("weight") == 0
        or metadata.get("is_visually_hidden_from_conversation") is True
    )


def _is_said(said: dict[str, Any]) -> bool:
    return bool(said) and not _is_hidden(said)


def _seconds(said: dict[str, Any]) -> float:
    at = time(said.get("create_time"))
    return at.timestamp() if at else 0.0


def _attached(said: dict[str, Any]) -> list[Part]:
    return [
        {"type": "file", "name": text(one.get("name")), "asset": text(one.get("id"))}
        for one in objects(mapping(said.get("metadata")).get("attachments"))
    ]
