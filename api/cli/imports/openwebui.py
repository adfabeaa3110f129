"""Open WebUI's export: a tree of messages for each chat."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from api.cli.imports.form import Conversation, Message, Part, Role, extra_of
from api.cli.imports.report import Report
from api.cli.imports.trees import seen_path
from api.cli.imports.values import mapping, objects, text, texts, time

#: Derived from `output`, for display: what an answer thought, and the tools it called.
_DETAILS: Final = re.compile(
    r'<details type="(?:reasoning|tool_calls|code_interpreter)".*?</details>\s*', re.DOTALL
)
#: An inline file is its own bytes as text: no name of one.
_INLINE: Final = "data:"


def read(items: Iterable[dict[str, Any]], report: Report) -> Iterator[Conversation]:
    """Yield a conversation for each that has messages; branches that are not shown are left out."""
    for item in items:
        if isinstance(item.get("chat"), dict):
            yield _conversation(item, report)
        else:
            report.leave_out("entry without messages")


def _conversation(item: dict[str, Any], report: Report) -> Conversation:
    chat = mapping(item.get("chat"))
    models = texts(chat.get("models"))
    model = models[0] if models else ""
    metadata = {"source": "openwebui", "model": model, "folder": text(item.get("folder_id"))}
    return Conversation(
        external_id=f"openwebui:{text(item.get('id')) or text(chat.get('id'))}",
        title=text(item.get("title")) or text(chat.get("title")) or None,
        created_at=time(item.get("created_at")),
        updated_at=time(item.get("updated_at")),
        archived=item.get("archived") is True,
        pinned=item.get("pinned") is True,
        tags=texts(mapping(item.get("meta")).get("tags")),
        metadata={name: value for name, value in metadata.items() if value},
        messages=[_message(said, model, report) for said in _shown(chat, report)],
    )


def _shown(chat: dict[str, Any], report: Report) -> list[dict[str, Any]]:
    history = mapping(chat.get("history"))
    tree = {key: said for key, said in mapping(history.get("messages")).items() if mapping(said)}
    if not tree:
        return objects(chat.get("messages"))  # of old versions: in a row
    path = seen_path(
        {key: text(said.get("parentId")) or None for key, said in tree.items()},
        history.get("currentId"),
        {key: _seconds(said) for key, said in tree.items()},
    )
    report.leave_out("message of another branch", len(tree) - len(path))
    return [{"id": key, **tree[key]} for key in path]


def _message(said: dict[str, Any], model: str, report: Report) -> Message:
    output = objects(said.get("output"))
    parts = [_part(one) for one in output]
    spoken = [str(part["text"]) for part in parts if part["type"] == "text"]
    content = said.get("content")
    raw = text(content) or "\n".join(text(part.get("text")) for part in objects(content))
    used = text(said.get("model"))
    files = [_file(one, report) for one in objects(said.get("files"))]
    return Message(
        role=_role(said),
        content="\n\n".join(filter(None, spoken)) or _DETAILS.sub("", raw).strip("\n"),
        external_id=text(said.get("id")),
        created_at=time(said.get("timestamp")),
        status="interrupted" if said.get("done") is False else "stored",
        extra=extra_of(
            parts=([] if all(part["type"] == "text" for part in parts) else parts) + files,
            model="" if used == model else used,
            usage=mapping(said.get("usage")),
            feedback=mapping(said.get("annotation")),
            sources=objects(said.get("sources")),
        ),
    )


def _role(said: dict[str, Any]) -> Role:
    match said.get("role"):
        case "user":
            return "user"
        case "system":
            return "system"
        case "tool":
            return "tool"
        case _:
            return "assistant"


def _part(item: dict[str, Any]) -> Part:
    match item.get("type"):
        case "message":
            said = [text(part.get("text")) for part in objects(item.get("content"))]
            return {"type": "text", "text": "\n".join(filter(None, said))}
        case "reasoning":
            both = objects(item.get("summary")) + objects(item.get("content"))
            return {"type": "reasoning", "text": "\n".join(text(one.get("text")) for one in both)}
        case "function_call":
            return {"type": "tool_call", "name": text(item.get("name"))} | {
                "id": text(item.get("call_id")),
                "input": item.get("arguments"),
            }
        case "function_call_output":
            return {"type": "tool_result", "id": text(item.get("call_id"))} | {
                "output": item.get("output")
            }
        case _:
            return {"type": "unknown", "source": "openwebui", "content": item}


def _file(file: dict[str, Any], report: Report) -> Part:
    url = text(file.get("url"))
    if url.startswith(_INLINE):
        report.leave_out("file within a message: only its name is kept")
        url = ""
    kind = "image" if file.get("type") == "image" else "file"
    return {"type": kind, "name": text(file.get("name"))} | ({"url": url} if url else {})


def _seconds(said: dict[str, Any]) -> float:
    at = time(said.get("timestamp"))
    return at.timestamp() if at else 0.0
