"""Bodies of requests on the fast lane (`api.http.fast_lane`), received in a way to be repeated."""

from typing import Final

from starlette.types import Message, Receive, Scope

from api.http.sent_headers import sent

#: FastAPI knows more spellings of it.
_JSON: Final = frozenset({"application/json", "application/json; charset=utf-8"})


def is_json(scope: Scope) -> bool:
    """Return whether a body is said to be JSON: FastAPI, too, looks at the first Content-Type."""
    types = sent(scope, b"content-type")
    return bool(types) and types[0] in _JSON


async def received(receive: Receive, most_bytes: int) -> tuple[bytes | None, Receive]:
    """Return a body, None where it is too large or its sender went away.

    The other value is a `receive` that gives all of it again.
    """
    messages: list[Message] = []
    size, more = 0, True
    while more and size <= most_bytes:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    left = iter(messages)

    async def again() -> Message:
        return next(left, None) or await receive()

    is_whole = messages[-1]["type"] == "http.request" and size <= most_bytes
    return b"".join([one.get("body", b"") for one in messages]) if is_whole else None, again
