"""Responses as OpenAI's protocol shows them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ValidationError

from api.core import ids, response_marks, usage
from api.core.turns import TurnName
from api.http.openai import items, names
from api.http.openai.response_schemas import NewOpenAIResponse
from api.reads.items import StoredItem

Document = dict[str, Any]

#: What is shown of a request, and as what where it says nothing.
_SHOWN: Final[Mapping[str, Any]] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": None,
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
#: What an answer that ended before its own end is called.
_REASONS: Final[Mapping[str, str]] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}


def kept(request: Mapping[str, Any]) -> Document:
    """Return what is to be kept of a request, to be shown with its response."""
    known = [name for name in NewOpenAIResponse.model_fields if name in _SHOWN or name == "model"]
    return {name: request[name] for name in known if request.get(name) is not None}


def running(name: TurnName, request: Mapping[str, Any]) -> Document:
    """Return a response that is made now."""
    request = _sound(request)
    shown = {field: request.get(field, default) for field, default in _SHOWN.items()}
    shown["tools"] = [_tool(tool) for tool in shown["tools"]]
    stored = shown["store"] is not False
    return {
        "id": names.of_response(name.conversation_id, name.id),
        "object": "response",
        "created_at": ids.unix_ms_of(name.id) // 1000,
        "status": "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": request.get("model") or "",
        "output": [],
        "usage": None,
        "conversation": {"id": names.of_conversation(name.conversation_id)} if stored else None,
        **shown,
    }


def encode(document: Document) -> str:
    """Return a response as JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _sound(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was kept of a request; nothing where somebody has changed it since."""
    try:
        NewOpenAIResponse.model_validate({**request, "input": "-"})
    except ValidationError:
        return {}
    return request


def _tool(tool: Document) -> Document:
    return {"description": None, "parameters": None, "strict": None, **tool}


def failed(document: Document, message: str) -> Document:
    """Return a response that has no answer."""
    error = {"code": "server_error", "message": message}
    return document | {"status": "failed", "error": error}


def ended(document: Document, outputs: Sequence[StoredItem]) -> Document:
    """Return a response with what it answered."""
    extra = response_marks.read(outputs[-1].extra)
    told = _Told.of(extra.get("response"))
    status = told.status
    found = document | {
        "status": status,
        "completed_at": ids.unix_ms_of(outputs[-1].id) // 1000 if status == "completed" else None,
        "model": told.model or document["model"],
        "output": [_shown(one) for one in outputs],
        "usage": _usage(extra),
    }
    if status == "failed":
        return failed(found, told.error or "the answer was cut short")
    if reason := _REASONS.get(told.finish or ""):
        found["incomplete_details"] = {"reason": reason}
    return found


class _Told(BaseModel):
    """How a response ended, as its last output says (`api.chat.responses.outputs`)."""

    status: Literal["completed", "incomplete", "cancelled", "failed"] = "incomplete"
    error: str | None = None
    model: str | None = None
    finish: str | None = None

    @classmethod
    def of(cls, told: object) -> Self:
        """Read it; of what somebody has changed since, nothing."""
        try:
            return cls.model_validate(told)
        except ValidationError:
            return cls()


def _shown(stored: StoredItem) -> Document:
    item: Document = json.loads(items.shown(stored)[1])
    if item.get("type") == "message" and isinstance(item.get("content"), list):
        for part in item["content"]:
            if isinstance(part, dict):
                part.setdefault("logprobs", [])
    return item


def _usage(extra: Mapping[str, Any]) -> Document | None:
    tokens = usage.of_extra(extra)
    if tokens is None:
        return None
    told = {name: one for name, one in extra["usage"].items() if type(one) is int}
    cached = {"cached_tokens": told.get("cached_tokens", 0), "cache_write_tokens": 0}
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": cached,
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": told.get("reasoning_tokens", 0)},
        "total_tokens": tokens.total,
    }
