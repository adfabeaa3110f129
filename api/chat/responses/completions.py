"""A request for a response of OpenAI's protocol as one for a chat completion.

Items become messages, tools and the rest their namesakes. What cannot be said there is refused,
never left out: the answer would be another one. NotAllowed names the parameter.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from api.core import response_marks
from api.core.errors import NotAllowed
from api.reads.items import StoredItem

Message = dict[str, Any]

#: Parameters that both have, under one name.
_SAME: Final = (
    *("model", "temperature", "top_p", "parallel_tool_calls", "service_tier"),
    *("user", "safety_identifier", "prompt_cache_key"),
)
#: What there is no word for.
_REFUSED: Final = ("prompt", "max_tool_calls", "context_management", "moderation")
#: What `extra.format` says of a message that holds an item.
_ITEMS: Final = frozenset({response_marks.FORMAT, "openai-agents"})
_CHOICES: Final = frozenset({"none", "auto", "required"})
_ROLES: Final = frozenset({"user", "assistant", "system", "developer"})
_TEXTS: Final = frozenset({"input_text", "output_text", "text", "summary_text"})


def parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a completion is asked with, beside its messages."""
    for name in _REFUSED:
        if request.get(name) is not None:
            raise NotAllowed(f"{name}: it is not supported")
    found = {name: request[name] for name in _SAME if request.get(name) is not None}
    if tools := request.get("tools"):
        found["tools"] = [_tool(tool, f"tools.{at}") for at, tool in enumerate(tools)]
        if (choice := request.get("tool_choice")) is not None:
            found["tool_choice"] = _choice(choice)
    else:
        found.pop("parallel_tool_calls", None)
    if (most := request.get("max_output_tokens")) is not None:
        found["max_completion_tokens"] = most
    if effort := (request.get("reasoning") or {}).get("effort"):
        found["reasoning_effort"] = effort
    text = request.get("text") or {}
    if text.get("verbosity"):
        found["verbosity"] = text["verbosity"]
    return found | _format(text.get("format") or {})


def messages(items: Iterable[Mapping[str, Any]], place: str) -> list[Message]:
    """Return the items of a request as messages; `place` is the name of its parameter."""
    found: list[Message] = []
    for at, item in enumerate(items):
        if not _added(found, item, f"{place}.{at}"):
            raise NotAllowed(f"{place}.{at}: items of this type are not supported")
    return found


def before(stored: Iterable[StoredItem]) -> list[Message]:
    """Return what was said before as messages, without what has no word there."""
    found: list[Message] = []
    for one in stored:
        extra: Any = json.loads(one.extra) if one.extra else {}
        kept = one.edited_at is None and extra.get("format")
        if isinstance(kept, str) and kept in _ITEMS and isinstance(item := extra.get("item"), dict):
            with suppress(NotAllowed):
                _added(found, item, "")
        elif kept == "openai.chat" and isinstance(message := extra.get("message"), dict):
            found.append(message)
        elif one.content and one.role in _ROLES:
            found.append({"role": one.role, "content": one.content})
    # Where it does not go back to the first message: what answers a call that is not there.
    while found and found[0].get("role") == "tool":
        del found[0]
    return found


def _added(found: list[Message], item: Mapping[str, Any], name: str) -> bool:
    """Add an item to messages; calls that follow each other are one message's.

    False for what is no message, call or output of a tool. What a model thought is left out.
    """
    kind = item.get("type") or ("message" if "role" in item else None)
    match kind:
        case "message":
            found.append(_message(item, name))
        case "function_call":
            _add_call(found, item)
        case "function_call_output":
            called = {"tool_call_id": str(item.get("call_id"))}
            found.append({"role": "tool", **called, "content": _output(item.get("output"))})
        case _:
            return kind == "reasoning"
    return True


def _message(item: Mapping[str, Any], name: str) -> Message:
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise NotAllowed(f"{name}.role: it is user, assistant, system or developer")
    role = "system" if role == "developer" else role
    content = item.get("content")
    if not isinstance(content, list):
        return {"role": role, "content": content if isinstance(content, str) else ""}
    parts = [_part(part, f"{name}.content.{at}") for at, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return {"role": role, "content": "".join(part["text"] for part in parts)}
    return {"role": role, "content": parts}


def _part(part: object, name: str) -> Message:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(kind, str):
        raise NotAllowed(f"{name}: it has a type")
    if kind in _TEXTS or kind == "refusal":
        return {"type": "text", "text": str(part.get("refusal" if kind == "refusal" else "text"))}
    if kind == "input_image" and part.get("image_url"):
        shown = {"url": part["image_url"]}
        if part.get("detail"):
            shown["detail"] = part["detail"]
        return {"type": "image_url", "image_url": shown}
    if kind == "input_file" and not part.get("file_url"):
        names = ("file_id", "file_data", "filename")
        return {"type": "file", "file": {one: part[one] for one in names if part.get(one)}}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    raise NotAllowed(f"{name}: content of this type is not supported")


def _add_call(found: list[Message], item: Mapping[str, Any]) -> None:
    called = {"name": str(item.get("name")), "arguments": str(item.get("arguments"))}
    call = {"id": str(item.get("call_id")), "type": "function", "function": called}
    if not found or found[-1].get("role") != "assistant":
        found.append({"role": "assistant", "content": None})
    calls = found[-1].get("tool_calls")
    found[-1]["tool_calls"] = [*(calls if isinstance(calls, list) else []), call]


def _output(output: object) -> str:
    if isinstance(output, str):
        return output
    texts = list(_texts(output if isinstance(output, list) else []))
    return "".join(texts) if texts else json.dumps(output, ensure_ascii=False)


def _texts(parts: Iterable[object]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def _tool(tool: Mapping[str, Any], name: str) -> Message:
    if tool.get("type") != "function":
        raise NotAllowed(f"{name}: only tools of type function are passed on")
    names = ("name", "description", "parameters", "strict")
    return {
        "type": "function",
        "function": {one: tool[one] for one in names if tool.get(one) is not None},
    }


def _choice(choice: object) -> object:
    if isinstance(choice, str) and choice in _CHOICES:
        return choice
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    raise NotAllowed("tool_choice: it is none, auto, required, or a function")


def _format(wanted: object) -> dict[str, Any]:
    if not isinstance(wanted, dict):
        raise NotAllowed("text.format: it is an object")
    match wanted.get("type", "text"):
        case "text":
            return {}
        case "json_object":
            return {"response_format": {"type": "json_object"}}
        case "json_schema":
            names = ("name", "description", "schema", "strict")
            schema = {one: wanted[one] for one in names if wanted.get(one) is not None}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        case _:
            raise NotAllowed("text.format: it is text, json_object or json_schema")
