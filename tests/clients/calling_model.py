"""A model's server: it calls the first tool that it is given, then says what that answered."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.model_server import chunk, stream
from tests.support.serving import serving


@contextmanager
def calling_model() -> Iterator[str]:
    """Run the server; yield its base URL."""
    routes = [Route("/v1/chat/completions", _complete, methods=["POST"])]
    with serving(Starlette(routes=routes)) as url:
        yield f"{url}/v1"


async def _complete(request: Request) -> Response:
    asked = await request.json()
    last = asked["messages"][-1]
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    end = [
        f"data: {json.dumps({'id': '1', 'choices': [], 'usage': usage})}\n\n",
        "data: [DONE]\n\n",
    ]
    if asked.get("tools") and last["role"] == "user":
        return stream(_call(asked["tools"][0]["function"]), chunk(None, "tool_calls"), *end)
    words = str(last["content"]).split(" ")
    return stream(
        chunk("You said:"), *(chunk(f" {one}") for one in words), chunk(None, "stop"), *end
    )


def _call(function: dict[str, Any]) -> str:
    named = {"name": function["name"], "arguments": '{"city": "Paris"}'}
    delta = {"tool_calls": [{"index": 0, "id": "call_1", "function": named}]}
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return f"data: {json.dumps({'id': '1', 'model': 'm', 'choices': [choice]})}\n\n"
