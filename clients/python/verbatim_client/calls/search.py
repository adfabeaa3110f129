"""The call that finds messages by their words."""

from typing import Any, Literal

from verbatim_client.call import Call, Page
from verbatim_client.calls.conversations import AnyOrOne
from verbatim_client.calls.messages import Role
from verbatim_client.models import Hit, reader

_hit = reader(Hit)


def search(
    q: str,
    *,
    role: Role | None = None,
    conversation: int | None = None,
    from_time: str | None = None,
    to_time: str | None = None,
    tag: str | None = None,
    archived: AnyOrOne = "any",
    order: Literal["relevance", "time"] = "relevance",
    page_size: int = 50,
) -> Call[Page[Hit]]:
    """Go through the messages, and titles, that have all words of `q`.

    `"words in quotes"` are looked for in this order, and messages with a `-word` are left out.
    Times are texts in ISO 8601.
    """
    wanted = {
        "role": role,
        "conversation": conversation,
        "from": from_time,
        "to": to_time,
        "tag": tag,
    }
    query: dict[str, str | int] = {"q": q, "archived": archived, "order": order, "limit": page_size}
    query |= {name: value for name, value in wanted.items() if value is not None}
    return _hits(query)


def _hits(query: dict[str, str | int]) -> Call[Page[Hit]]:
    def read(answer: Any) -> Page[Hit]:
        cursor = answer["next_cursor"]
        then = _hits(query | {"cursor": cursor}) if cursor else None
        return Page([_hit(one) for one in answer["hits"]], then)

    return Call("GET", "/api/search", read, query=query, awaits_writes=True)
