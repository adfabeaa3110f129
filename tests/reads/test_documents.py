"""What PostgreSQL makes of rows is, byte for byte, what the schemas would make of them."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, get_args

import httpx
import pytest
from sqlalchemy import insert
from sqlmodel import Session

from api.core.cursors import Cursor, Order
from api.core.ids import MAX_ID
from api.core.models.conversations import Conversation
from api.core.models.messages import Message, MessageAside, Role, Status
from api.core.times import iso
from api.http import raw_json
from api.http.fields import session_id
from api.http.schemas import chat as chat_schemas
from api.http.schemas import conversations as schemas
from api.http.schemas import messages as message_schemas
from tests.support.api import Api
from tests.support.rows import NOON

TEXTS = [
    "",
    "plain",
    'quotes " and \\ and / and \\u0000',
    "\x01\x02\b\t\n\f\r\x1f\x7f",
    "\u2028\u2029\u0085\ufeff\u200b",
    "👩‍👩‍👧‍👦 𝄞 e\u0301 שלום \uffff \U0010ffff",
    "%s %% %(x)s '; -- $1 {}",
]
EXTRAS = [
    '{"n": 1.10,  "big":123456789012345678901234567890,"e":1E400, "nul":"\\u0000\\ud800"}',
    '{"a":1,"a":2}',
    '{ "line" :\n "ends"\r\t}',
    '{"%s":"🙂","extra":null,"x":",\\"extra\\":"}',
    "{}",
]
TIMES = [NOON, datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, 23, 59, 59, tzinfo=UTC)]


def message(conversation: int, position: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": conversation + 16 * position,
        "conversation_id": conversation,
        "position": position,
        "role": "user",
        "content": TEXTS[position % len(TEXTS)],
        "status": "stored",
        "created_at": TIMES[position % len(TIMES)],
        "external_id": None,
        "extra": None,
        "edited_at": None,
        "feedback": None,
        **fields,
    }


PLAIN = [
    message(1600, place, role=role, status=status, edited_at=None if place % 3 else NOON)
    for place, (role, status) in enumerate(product(get_args(Role), get_args(Status)), 1)
]
RICH = [
    message(3200, place, external_id=f"{text}{place}", extra=extra)
    for place, (text, extra) in enumerate(product(TEXTS, [*EXTRAS, None]), 1)
]
#: The second one alone is more than a page holds beside the first one.
LARGE = [message(4800, place, content="ü" * size) for place, size in enumerate((9, 524_285, 9), 1)]
REWRITTEN = [message(MAX_ID - 15 - 16 * 90, place) for place in range(1, 4)]


def store(api: Api, owner: int, messages: Sequence[dict[str, Any]], **fields: Any) -> None:
    """Write the rows of a conversation with its messages."""
    times = {"created_at": NOON, "updated_at": NOON}
    row = {"id": messages[0]["conversation_id"], "user_id": owner, **times, **fields}
    with api.engine.begin() as connection:
        connection.execute(insert(Conversation).values(message_count=len(messages), **row))
        connection.execute(insert(Message), [{**one, "user_id": owner} for one in messages])


def path_of(messages: Sequence[dict[str, Any]]) -> str:
    return f"/api/conversations/{messages[0]['conversation_id']}/messages"


def shown(
    messages: Sequence[dict[str, Any]], asides: Sequence[int], query: dict[str, Any]
) -> bytes:
    """Return a page as the schemas make it; `extra` of each message as it was written."""
    after, before = query.get("after", query.get("offset", 0)), query.get("before", MAX_ID)
    limit, down = query.get("limit", 50), query.get("order") == "desc"
    rows = list(zip(messages, asides, strict=True))
    if down and "after" not in query:
        found = rows[: len(rows) - after][-limit:]
    elif "before" in query:
        found = rows[: before - 1][-limit:]
    else:
        found = rows[after:][:limit]
    found = found[::-1] if down else found
    texts = [row["extra"] if query.get("extra", True) else None for row, _ in found]
    page = message_schemas.Messages(
        messages=[
            message_schemas.Message.model_validate({**row, "extra": None, "aside": aside})
            for row, aside in found
        ],
        total=len(messages),
        limit=limit,
        offset=query.get("offset", 0),
    )
    if not any(texts):
        return page.model_dump_json().encode()
    documents = [
        f'{one.model_dump_json(exclude={"extra"})[:-1]},"extra":{text or "null"}}}'
        for one, text in zip(page.messages, texts, strict=True)
    ]
    rest = page.model_dump_json(exclude={"messages"})[1:]
    return f'{{"messages":[{",".join(documents)}],{rest}'.encode()


QUERIES: list[dict[str, Any]] = [
    {},
    {"limit": 2, "offset": 1},
    {"limit": 7, "order": "desc"},
    {"limit": 2, "offset": 1, "order": "desc"},
    {"limit": 3, "after": 1},
    {"limit": 3, "after": 1, "order": "desc"},
    {"limit": 2, "before": 4},
    {"limit": 3, "before": MAX_ID},
    {"limit": 3, "after": 2**31 - 1},
    {"offset": 999},
    {"extra": False},
]


@pytest.fixture(scope="module")
def grace(api: Api) -> Iterator[httpx.Client]:
    """Somebody with a conversation of each kind."""
    with closing(api.person()) as client:
        owner = client.get("/auth/me").json()["id"]
        for messages in (PLAIN, RICH, REWRITTEN, LARGE):
            rewritten = 7 if messages is REWRITTEN else None
            store(api, owner, messages, rewritten_id=rewritten)
        first, second = REWRITTEN[:2]
        cut = {"branch_id": 7, "parent_id": first["id"], "aside_at": NOON, "user_id": owner}
        with api.engine.begin() as connection:
            connection.execute(
                insert(MessageAside), [second | cut | {"id": number} for number in (8, 9)]
            )
        yield client


@pytest.mark.parametrize("query", QUERIES, ids=str)
@pytest.mark.parametrize("messages", [PLAIN, RICH, REWRITTEN], ids=["plain", "rich", "rewritten"])
def test_a_page_of_messages_is_what_the_schemas_make_of_it(
    grace: httpx.Client, messages: list[dict[str, Any]], query: dict[str, Any]
) -> None:
    owner = grace.get("/auth/me").json()["id"]
    rows = [{**one, "user_id": owner} for one in messages]
    asides = [2 * (messages is REWRITTEN and place == 1) for place in range(len(messages))]

    answer = grace.get(path_of(messages), params=query)

    assert answer.headers["content-type"] == "application/json"
    assert answer.content == shown(rows, asides, query)


@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ({}, [1]),
        ({"after": 1}, [2]),
        ({"after": 2}, [3]),
        ({"limit": 2, "order": "desc"}, [3]),
        ({"before": 2}, [1]),
    ],
)
def test_a_page_ends_where_its_contents_reach_a_mebibyte(
    grace: httpx.Client, query: dict[str, Any], positions: list[int]
) -> None:
    page = grace.get(path_of(LARGE), params=query).json()

    assert [one["position"] for one in page["messages"]] == positions
    assert page["messages"][0]["content"] == LARGE[positions[0] - 1]["content"]
    assert page["total"] == len(LARGE)


def chat_shown(messages: Sequence[dict[str, Any]], query: dict[str, Any]) -> bytes:
    """Return a page of the history as the schemas make it."""
    of_chat = [row for row in messages if row["role"] in {"user", "assistant"}]
    limit, offset = query.get("limit", 50), query.get("offset")
    is_latest = not query
    found = of_chat[-limit:] if is_latest else of_chat[offset or 0 :][:limit]
    last = found[-1]["position"] if found else 0
    answers = [
        row["position"]
        for row in messages
        if row["role"] == "assistant"
        and found
        and found[0]["position"] <= row["position"] <= last + 20 * (found[-1]["role"] == "user")
    ]
    session = session_id(messages[0]["conversation_id"])
    page = chat_schemas.History(
        messages=[
            chat_schemas.HistoryMessage(
                id=row["id"],
                session_id=session,
                sender="user" if row["role"] == "user" else "ai",
                content=row["content"],
                timestamp=row["created_at"],
                processed=row["position"] <= max(answers, default=0),
            )
            for row in found
        ],
        total_count=len(of_chat),
        session_id=session,
        conversation_id=messages[0]["conversation_id"],
    )
    return page.model_dump_json(by_alias=True).encode()


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"limit": 3},
        *({"limit": limit, "offset": offset} for limit in (1, 4, 7) for offset in range(1, 9, 2)),
        {"offset": 2**31 - 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("messages", [PLAIN, RICH, REWRITTEN], ids=["plain", "rich", "rewritten"])
def test_a_page_of_a_chat_is_what_the_schemas_make_of_it(
    grace: httpx.Client, messages: list[dict[str, Any]], query: dict[str, Any]
) -> None:
    answer = grace.get(history_of(messages), params=query)

    assert answer.headers["content-type"] == "application/json"
    assert answer.content == chat_shown(messages, query)


def test_a_page_of_a_chat_ends_where_its_contents_reach_a_mebibyte(grace: httpx.Client) -> None:
    latest = grace.get(history_of(LARGE)).json()
    second = grace.get(history_of(LARGE), params={"offset": 1}).json()

    assert [one["content"] for one in latest["messages"]] == [LARGE[2]["content"]]
    assert [one["content"] for one in second["messages"]] == [LARGE[1]["content"]]
    assert latest["totalCount"] == len(LARGE)


def history_of(messages: Sequence[dict[str, Any]]) -> str:
    return f"/api/chat/{session_id(messages[0]['conversation_id'])}/history"


def test_an_export_is_what_json_makes_of_its_rows(grace: httpx.Client) -> None:
    lines = grace.get("/api/export").content.split(b"\n")
    whole = grace.get("/api/export?form=conversations").content.split(b"\n")

    exported = [line for line in lines if line.startswith(b'{"type": "message"')]
    # The rewritten one has ids that the log did not give out yet.
    assert exported == [
        b'{"type": "message", ' + written(row, LINE)[1:] for row in (*PLAIN, *RICH, *LARGE)
    ]
    for messages, line in zip((PLAIN, RICH, LARGE), whole, strict=False):
        kept = [row for row in messages if row["status"] in {"stored", "interrupted"}]
        elements = b", ".join(written(row, ELEMENT) for row in kept)
        assert line.endswith(b', "messages": [%b]}' % elements)


LINE = (
    *("id", "conversation_id", "position", "role", "content", "status", "created_at"),
    *("external_id", "edited_at", "feedback"),
)
ELEMENT = ("id", "external_id", "role", "content", "status", "created_at")


def written(row: dict[str, Any], names: Sequence[str]) -> bytes:
    said = json.dumps({name: row[name] for name in names}, ensure_ascii=False, default=iso)
    extra = (row["extra"] or "null").replace("\n", " ").replace("\r", " ")
    return f'{said[:-1]}, "extra": {extra}}}'.encode()


CONVERSATIONS: list[dict[str, Any]] = [
    {"title": None},
    *({"title": text, "external_id": f"{text}{place}"} for place, text in enumerate(TEXTS)),
    *({"metadata_text": text} for text in EXTRAS),
    {"tags": []},
    {"tags": [*TEXTS, "null", "NULL", "{a,b}", " blank "]},
    {"archived_at": NOON, "pinned_at": TIMES[1], "message_count": MAX_ID},
    {"expires_in_days": 30, "forked_from": MAX_ID, "forked_at": 3, "rewritten_id": 5},
    {"closed_at": NOON, "created_at": TIMES[1], "updated_at": TIMES[2]},
]


@pytest.fixture(scope="module")
def ida(api: Api) -> Iterator[tuple[httpx.Client, list[Conversation]]]:
    """Somebody with conversations of all kinds, from the oldest on."""
    with closing(api.person()) as client:
        owner = client.get("/auth/me").json()["id"]
        rows = []
        for number, fields in enumerate(CONVERSATIONS):
            at = NOON + timedelta(microseconds=number // 2)
            known = {"message_count": 0, "created_at": at, "updated_at": at, **fields}
            rows.append(Conversation(id=9_000 + number, user_id=owner, **known))
        with Session(api.engine, expire_on_commit=False) as session:
            session.add_all(rows)
            session.commit()
        yield client, sorted(rows, key=lambda row: (row.updated_at, row.id))


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_of_conversations_is_what_the_schemas_make_of_it(
    ida: tuple[httpx.Client, list[Conversation]], order: Order
) -> None:
    client, rows = ida
    rows = rows if order == "asc" else rows[::-1]
    cursor, limit = None, 4

    for first in range(0, len(rows), limit):
        answer = client.get(
            "/api/conversations/",
            params={"limit": limit, "order": order} | ({"cursor": cursor} if cursor else {}),
        )

        page = rows[first : first + limit]
        cursor = None
        if first + limit < len(rows):
            last = page[-1]
            cursor = Cursor("updated_at", order, last.updated_at, last.id).encode()
        documents = [
            raw_json.document(schemas.Conversation.of(row), "metadata", row.metadata_text)
            for row in page
        ]
        rest = schemas.Conversations(
            conversations=[], total=len(rows), limit=limit, offset=0, next_cursor=cursor
        ).model_dump_json(exclude={"conversations"})[1:]
        assert answer.content == f'{{"conversations":[{",".join(documents)}],{rest}'.encode()
    assert cursor is None
