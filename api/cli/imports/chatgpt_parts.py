"""The content of one node of ChatGPT's export, as parts of a message."""

import json
import re
from typing import Any, Final

from api.cli.imports.form import Part
from api.cli.imports.values import mapping, objects, text, texts

#: Citations stand in the text between private characters, which show nothing anywhere else.
_CITATION: Final = re.compile("\ue200[^\ue201]*\ue201")
_THOUGHT_CHANNELS: Final = {"analysis", "commentary"}
_IMAGE: Final = "[image]"


def parts_of(said: dict[str, Any], role: str) -> list[Part]:
    """Return what a node says, each part with its `type`; one of unknown kind as it stands."""
    content = mapping(said.get("content"))
    kind, recipient = text(content.get("content_type")), text(said.get("recipient"))
    if role in {"tool", "function"}:
        name = text(mapping(said.get("author")).get("name"))
        return [
            {"type": "tool_result", "name": name, "output": _output(content)},
            *_images(content),
        ]
    if role == "assistant" and (recipient not in {"", "all"} or kind == "code"):
        return [_call(recipient, _raw_text(content))]
    if kind in {"thoughts", "reasoning_recap"} or said.get("channel") in _THOUGHT_CHANNELS:
        return [{"type": "reasoning", "text": _raw_text(content)}]
    if kind in {"", "text", "multimodal_text", "code"}:
        return [*_text(_raw_text(content)), *_images(content)]
    return [{"type": "unknown", "source": "chatgpt", "content": content}]


def plain_text(part: Part) -> str:
    """Return what a part shows in a message's plain text."""
    match part["type"]:
        case "text":
            return str(part["text"])
        case "document":
            return str(part["content"])
        case "image":
            return _IMAGE
        case _:
            return ""


def _text(raw: str) -> list[Part]:
    shown = _CITATION.sub("", raw)
    if shown != raw:
        return [{"type": "text", "text": shown, "source": raw}]
    return [{"type": "text", "text": raw}] if raw else []


def _raw_text(content: dict[str, Any]) -> str:
    """Return a content's text: where it lies depends on its kind."""
    if thoughts := objects(content.get("thoughts")):
        steps = (texts([thought.get("summary"), thought.get("content")]) for thought in thoughts)
        return "\n\n".join("\n".join(step) for step in steps)
    found = [text(content.get(name)) for name in ("text", "result", "content")]
    parts = content.get("parts")
    for part in parts if isinstance(parts, list) else []:
        found += [text(part), text(mapping(part).get("text"))]
    return "\n".join(filter(None, found))


def _output(content: dict[str, Any]) -> Any:
    """Return a tool's output: its text, or all of it where it has none."""
    return _raw_text(content) or content


def _images(content: dict[str, Any]) -> list[Part]:
    found = [one for one in objects(content.get("parts")) if "asset_pointer" in one]
    return [
        {"type": "image" if "image" in text(one.get("content_type")) else "file"}
        | {"asset": text(one.get("asset_pointer")), "size_bytes": one.get("size_bytes")}
        for one in found
    ]


def _call(recipient: str, arguments: str) -> Part:
    if recipient == "canmore.create_textdoc":
        try:
            document = mapping(json.loads(arguments))
        except (ValueError, RecursionError):
            document = {}
        if text(document.get("content")):
            kept = {name: text(document.get(name)) for name in ("name", "content")}
            return {"type": "document", "kind": text(document.get("type")), **kept}
    return {"type": "tool_call", "name": recipient or "code", "input": arguments}
