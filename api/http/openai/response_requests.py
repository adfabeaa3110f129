"""What a request for a response asks: what is stored of it, and what the model is given."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.chat.responses import completions
from api.chat.responses.responses import Question
from api.chat.title_text import shortened
from api.chat.titles import TITLE_MOST
from api.core import batches, response_marks
from api.core.batches import Draft
from api.core.errors import NotAllowed
from api.http import raw_json
from api.http.openai import items, names, response_documents
from api.http.openai.response_schemas import ConversationId, NewOpenAIResponse


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: what the model is asked, and what is shown of it with the response."""

    question: Question
    request: dict[str, Any]
    is_stored: bool


def asked(body: NewOpenAIResponse, text: str, default_model: str) -> Asked:
    """Return what a request asks; `text` is its body. Raises NotAllowed or NotFound."""
    is_stored = body.store is not False
    conversation = body.conversation
    named = conversation.id if isinstance(conversation, ConversationId) else conversation
    if not is_stored and (named is not None or body.background):
        raise NotAllowed("store: what goes into a conversation, or is not waited for, is stored")
    if named is not None and body.previous_response_id is not None:
        raise NotAllowed("previous_response_id: it does not go with conversation")
    said, texts = _inputs(body, text)
    if is_stored and len(said) > batches.MOST:
        raise NotAllowed(f"input: it takes at most {batches.MOST} items, unless store is false")
    parameters = body.model_dump(exclude_none=True) | {"model": body.model or default_model}
    request = response_documents.kept(parameters)
    previous = body.previous_response_id
    if named is None and previous is None:
        request["opens"] = True
    told = {"role": "system", "content": body.instructions}
    question = Question(
        drafts=_drafts(said, texts, request) if is_stored else (),
        instructions=[told] if body.instructions else [],
        messages=completions.messages(said, "input"),
        parameters=completions.parameters(parameters),
        conversation_id=None if named is None else names.conversation_named(named),
        previous=None if previous is None else names.response_named(previous),
        title=_title(said),
    )
    return Asked(question, request, is_stored)


def _inputs(body: NewOpenAIResponse, text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the items of a request, and the texts that they were written as."""
    if not isinstance(body.input, str):
        return body.input, raw_json.elements(raw_json.members(text)["input"])
    said = {"type": "message", "role": "user", "content": body.input}
    return [said], [json.dumps(said, ensure_ascii=False)]


def _drafts(
    said: Sequence[Mapping[str, Any]], texts: Sequence[str], request: Mapping[str, Any]
) -> list[Draft]:
    """Return the messages that stand for inputs; the last one says what was asked."""
    found = items.drafts(said, texts, "input")
    extra = response_marks.of_input(texts[-1], {**request, "inputs": len(found)})
    name = f"input.{len(found) - 1}, with the request's parameters"
    found[-1] = found[-1]._replace(extra=raw_json.storable_extra(extra, name))
    return found


def _title(said: Sequence[Mapping[str, Any]]) -> str:
    """Return what a conversation is called that begins so; empty for nothing."""
    asked = (items.plain_text(one) for one in said if one.get("role") == "user")
    return shortened(next(asked, ""), TITLE_MOST)
