"""Claude's export: `chat_messages` in a row, each of blocks."""

from collections.abc import Iterable, Iterator
from typing import Any

from api.cli.imports.form import Conversation, Message, Part, extra_of
from api.cli.imports.report import Report
from api.cli.imports.values import objects, text, time


def read(items: Iterable[dict[str, Any]], report: Report) -> Iterator[Conversation]:
    """Yield a conversation for each that has messages."""
    for item in items:
        if not isinstance(item.get("chat_messages"), list):
            report.leave_out("entry without messages")
            continue
        yield Conversation(
            external_id=f"claude:{text(item.get('uuid'))}",
            title=text(item.get("name")) or None,
            created_at=time(item.get("created_at")),
            updated_at=time(item.get("updated_at")),
            metadata={"source": "claude"},
            messages=[_message(said) for said in objects(item["chat_messages"])],
        )


def _message(said: dict[str, Any]) -> Message:
    blocks = objects(said.get("content"))
    parts = [_part(block) for block in blocks] + _files(said)
    # The text above repeats the blocks, with place-holders where tools were used.
    shown = [text(block.get("text")) for block in blocks if block.get("type") == "text"]
    plain = all(part["type"] == "text" and "citations" not in part for part in parts)
    return Message(
        role="user" if said.get("sender") == "human" else "assistant",
        content="\n\n".join(filter(None, shown)) or text(said.get("text")),
        external_id=text(said.get("uuid")),
        created_at=time(said.get("created_at")),
        extra=extra_of(parts=[] if plain else parts),
    )


def _part(block: dict[str, Any]) -> Part:
    match block.get("type"):
        case "text" if block.get("citations"):
            return {"type": "text", "text": text(block.get("text"))} | {
                "citations": block["citations"]
            }
        case "text":
            return {"type": "text", "text": text(block.get("text"))}
        case "thinking":
            return {"type": "reasoning", "text": text(block.get("thinking"))}
        case "tool_use":
            return {"type": "tool_call", "name": text(block.get("name"))} | {
                "input": block.get("input")
            }
        case "tool_result":
            return {"type": "tool_result", "name": text(block.get("name"))} | {
                "output": block.get("content")
            }
        case _:
            return {"type": "unknown", "source": "claude", "content": block}


def _files(said: dict[str, Any]) -> list[Part]:
    """Return what was attached: a pasted text is nowhere else, of files there are names only."""
    pasted = [
        {"type": "file", "name": text(one.get("file_name"))}
        | {"text": text(one.get("extracted_content"))}
        for one in objects(said.get("attachments"))
    ]
    named = [
        {"type": "file", "name": text(one.get("file_name"))} for one in objects(said.get("files"))
    ]
    return pasted + named
