"""LibreChat's export: one file for each conversation, its messages as a tree or in a row."""

from collections.abc import Iterable, Iterator
from typing import Any

from api.cli.imports.form import Conversation, Message, Part, extra_of
from api.cli.imports.report import Report
from api.cli.imports.trees import seen_path
from api.cli.imports.values import mapping, objects, text, time


def read(items: Iterable[dict[str, Any]], report: Report) -> Iterator[Conversation]:
    """Yield a conversation for each; of branches the newest is taken, the others are left out."""
    for item in items:
        if isinstance(item.get("messagesTree"), list) or isinstance(item.get("messages"), list):
            yield _conversation(item, report)
        else:
            report.leave_out("entry without messages")


def _conversation(item: dict[str, Any], report: Report) -> Conversation:
    options = mapping(item.get("options"))
    model = text(options.get("model"))
    metadata = {"source": "librechat", "model": model, "endpoint": text(item.get("endpoint"))}
    said = {text(one.get("messageId")): one for one in _all(item) if text(one.get("messageId"))}
    path = seen_path(
        {key: text(one.get("parentMessageId")) or None for key, one in said.items()},
        None,  # which one was shown is not exported
        {key: _seconds(one) for key, one in said.items()},
    )
    report.leave_out("message of another branch", len(said) - len(path))
    failed = [key for key in path if said[key].get("error") is True]
    report.leave_out("error message", len(failed))
    messages = [_message(said[key], model) for key in path if key not in failed]
    return Conversation(
        external_id=f"librechat:{text(item.get('conversationId'))}",
        title=text(item.get("title")) or None,
        created_at=messages[0].created_at if messages else None,
        metadata={name: value for name, value in metadata.items() if value},
        messages=messages,
    )


def _all(item: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of all branches, parents first; in a loop, since a tree may be deep."""
    found: list[dict[str, Any]] = []
    level = objects(item.get("messagesTree")) or objects(item.get("messages"))
    while level:
        found += level
        level = [child for one in level for child in objects(one.get("children"))]
    return found


def _message(said: dict[str, Any], model: str) -> Message:
    parts = [_part(block) for block in objects(said.get("content"))]
    shown = [str(part["text"]) for part in parts if part["type"] == "text"]
    used = text(said.get("model"))
    files = [
        {"type": "file", "name": text(one.get("filename"))} for one in objects(said.get("files"))
    ]
    is_plain = all(part["type"] == "text" for part in parts)
    return Message(
        # `sender` is a label; this is the role.
        role="user" if said.get("isCreatedByUser") is True else "assistant",
        content="\n\n".join(filter(None, shown)) or text(said.get("text")),
        external_id=text(said.get("messageId")),
        created_at=time(said.get("createdAt")),
        status="interrupted" if said.get("unfinished") is True else "stored",
        extra=extra_of(
            parts=([] if is_plain else parts) + files,
            model="" if used == model else used,
            feedback=mapping(said.get("feedback")),
        ),
    )


def _part(block: dict[str, Any]) -> Part:
    kind = block.get("type")
    inner = block.get(kind) if isinstance(kind, str) else None
    # A text is a string here and {value} there.
    said = text(inner) or text(mapping(inner).get("value"))
    match kind:
        case "text":
            return {"type": "text", "text": said}
        case "think":
            return {"type": "reasoning", "text": said}
        case "tool_call":
            call = mapping(inner)
            return {"type": "tool_call", "name": text(call.get("name"))} | {
                "input": call.get("args"),
                "output": call.get("output"),
            }
        case _:
            return {"type": "unknown", "source": "librechat", "content": block}


def _seconds(said: dict[str, Any]) -> float:
    at = time(said.get("createdAt"))
    return at.timestamp() if at else 0.0
