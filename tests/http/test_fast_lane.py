"""The fast lane answers as FastAPI does, byte for byte: what it takes, and what it leaves to it.

Two servers have one database and one log. One is the app; the other is the same app without the
lane, so that FastAPI answers everything.
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, cast

import httpx
import pytest
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.fast_lane import FastLane
from api.http.fields import session_id
from api.http.middleware import BODY_MOST_BYTES
from api.main import create_app
from tests.support.api import PASSWORD, Api
from tests.support.draining import draining
from tests.support.keys import bearer, make_key
from tests.support.serving import serving
from tests.support.tokens import signed

JSON = {"Content-Type": "application/json"}
SAID = {"role": "user", "content": "Buy milk tomorrow"}
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}

Headers = dict[str, str] | list[tuple[str, str]]
_keys = count()


@dataclass(frozen=True, slots=True)
class Sent:
    """A request, without who sends it."""

    path: str = "/api/conversations/{conversation}/messages"
    body: Any = field(default_factory=lambda: dict(SAID))
    headers: Headers = field(default_factory=dict)
    method: str = "POST"
    #: The lane takes it.
    fast: bool = True
    status: int = 202

    @property
    def content(self) -> Any:
        return self.body if isinstance(self.body, bytes | list) else json.dumps(self.body).encode()


class Beyond:
    """Innermost middleware: counts what the lane leaves to FastAPI."""

    def __init__(self, app: ASGIApp, seen: list[str]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._seen.append(scope["path"])
        await self._app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Pair:
    """The app with its fast lane, and without."""

    api: Api
    clients: list[httpx.Client]
    beyond: list[str]
    ada: httpx.Client
    #: What paths and headers name.
    facts: dict[str, Any]

    def answers(self, sent: Sent, who: Headers) -> tuple[list[Any], bool]:
        """Return both answers to a request, and whether the lane took it."""
        headers = [*_pairs(who), *_pairs(sent.headers)]
        if not any(name == "Content-Type" for name, _ in headers):
            headers += _pairs(JSON)
        # The second is the first one's repetition: it has the same id and the same time.
        if not any(name == "Idempotency-Key" for name, _ in headers):
            headers.append(("Idempotency-Key", f"pair-{next(_keys)}"))
        del self.beyond[:]
        answers = [self.answer(client, sent, headers) for client in self.clients]
        return answers, not self.beyond

    def answer(self, client: httpx.Client, sent: Sent, headers: list[tuple[str, str]]) -> Any:
        """Return all that is answered, but the time."""
        path = sent.path.format_map(self.facts)
        content = iter(sent.content) if isinstance(sent.body, list) else sent.content
        answer = client.request(sent.method, path, headers=headers, content=content)
        told = [pair for pair in answer.headers.raw if pair[0] not in {b"date", b"Date"}]
        return answer.status_code, told, answer.content


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items()) if isinstance(headers, dict) else headers


@pytest.fixture(scope="module")
def pair(api: Api) -> Iterator[Pair]:
    beyond: list[str] = []
    with_lane, without = create_app(api.settings), create_app(api.settings)
    with_lane.user_middleware.append(Middleware(Beyond, beyond))
    without.user_middleware = [
        one for one in without.user_middleware if cast("Any", one.cls) is not FastLane
    ]
    with ExitStack() as running:
        # What PostgreSQL does not have yet, nobody can say to be nowhere.
        running.enter_context(draining(api.settings))
        clients = [
            running.enter_context(
                closing(replace(api, url=running.enter_context(serving(app))).client())
            )
            for app in (with_lane, without)
        ]
        ada = running.enter_context(closing(api.person()))
        eve = running.enter_context(closing(api.person()))
        opened = [
            person.post("/api/conversations/", json=body).json()["id"]
            for person, body in ((ada, {"external_id": "a/b"}), (ada, {}), (eve, {}))
        ]
        ada.delete(f"/api/chat/sess_{opened[1]:x}").raise_for_status()
        quiet, entry = said(ada)
        facts = {
            **dict(zip(("conversation", "ended", "eves"), opened, strict=True)),
            **dict(
                zip(
                    ("session", "ended_session", "eves_session"),
                    map(session_id, opened),
                    strict=True,
                )
            ),
            "unknown": opened[0] - (1 << 12),
            "quiet": quiet,
            "quiet_session": session_id(quiet),
            "entry": entry,
        }
        yield Pair(api, clients, beyond, ada, facts)


def said(person: httpx.Client) -> tuple[int, int]:
    """Return a conversation that nobody writes to any more, and its last entry."""
    body = {"external_id": "quiet", "title": "Quiet", "metadata": {"a": 1}}
    quiet = person.post("/api/conversations/", json=body).json()["id"]
    elements = [SAID, SAID | {"external_id": "q", "extra": {"a": [1.50]}}, SAID]
    path = f"/api/conversations/{quiet}/messages"
    entry = person.post(f"{path}/batch", json=messages(*elements)).json()["entry_id"]
    person.get(path, params={"read_after": entry}).raise_for_status()
    return quiet, entry


def who(person: httpx.Client) -> dict[str, str]:
    return {"Authorization": person.headers["Authorization"]}


def turn(session: str = "{session}") -> str:
    return f"/api/chat/{session}/message"


def messages(*elements: Any) -> dict[str, Any]:
    return {"messages": list(elements)}


def at(conversation: str) -> str:
    return f"/api/conversations/{conversation}/messages"


def page(query: str = "", conversation: str = "{quiet}", status: int = 200) -> Sent:
    return Sent(at(conversation) + query, b"", method="GET", status=status)


def history(query: str = "", session: str = "{quiet_session}", status: int = 200) -> Sent:
    return Sent(f"/api/chat/{session}/history{query}", b"", method="GET", status=status)


def listed(query: str, status: int = 200) -> Sent:
    """Ask for a list, of which nothing changes meanwhile where it is of quiet conversations."""
    return Sent("/api/conversations" + query, b"", method="GET", status=status)


HI = {"message": "Hi"}
BATCH = at("{conversation}") + "/batch"
GOOD = {
    "a message": Sent(),
    "with a charset": Sent(headers={"Content-Type": "application/json; charset=utf-8"}),
    "all of Unicode": Sent(body=SAID | {"content": 'Grüße 👍 \u2028 \x7f \\ " / \x01'}),
    "unescaped": Sent(body=json.dumps(SAID | {"content": "Grüße 👍"}, ensure_ascii=False).encode()),
    "a member twice": Sent(body=b'{"role": "tool", "role": "user", "content": "a"}'),
    "blanks around": Sent(body=b' \r\n{"role" :\t"user" , "content": "a" } '),
    "with an external id": Sent(body=SAID | {"external_id": "m-1"}),
    "with extra data": Sent(body=b'{"role":"tool","extra":{"b" : 1e2, "a":[-0]}}'),
    "after the last one": Sent(body=SAID, headers={"If-Last": "7"}, status=409),
    "by an external id": Sent(at("ext:a%2Fb")),
    "with a query": Sent(at("{conversation}") + "?anything=1"),
    "a batch": Sent(BATCH, messages(SAID, SAID | {"role": "assistant"})),
    "a batch with all there is": Sent(
        BATCH, messages(SAID | {"external_id": "m-2"}, {"role": "tool", "extra": {"a": 1.50}})
    ),
    "a turn": Sent(turn(), HI, status=200),
    "a turn of an older client": Sent(turn(), HI | {"userId": [1]}, status=200),
    "a turn, with what is for a stream": Sent(turn() + "?parts=yes", HI, status=200),
    "a page": page(),
    "a page, with all it takes": page(
        "?limit=2&offset=1&order=desc&extra=no&read_after={entry}&read_after={quiet}&more=1"
    ),
    "a page after a position": page("?after=1"),
    "a page before a position": page("?before=3&limit=1"),
    "a page of one": page("?external_id=q"),
    "a page of a conversation by its external id": page("?limit=1", "ext:quiet"),
    "a history": history(),
    "a history, with all it takes": history("?limit=1&offset=1&read_after={entry}"),
    "a list": listed("/?external_id=quiet"),
    "a list, with all it takes": listed(
        "?q=qui&archived=false&pinned=any&limit=1&sort=created_at&order=asc&read_after={entry}"
    ),
    "an empty list": listed("/?tag=nowhere&offset=3"),
    "a list without the slash at its end": listed("?external_id=quiet"),
    "in chunks": Sent(body=[b'{"role": "us', b'er", "content"', b': "a"}']),
    "an escaped member's name": Sent(body=b'{"\\u0072ole": "user", "content": "a"}'),
    "extra twice": Sent(body=b'{"role":"tool","extra":{"a":[NaN]},"extra":{"a" :1,"a": 2}}'),
    "as deep as it may be": Sent(
        body=b'{"role": "tool", "extra": {"a": ' + b"[" * 31 + b"]" * 31 + b"}}"
    ),
    "two content types, JSON first": Sent(
        headers=[*JSON.items(), ("Content-Type", "text/plain")],
    ),
    "escapes in the path": Sent("/api/convers%61tions/{conversation}/messages"),
    "a number as text, and as a float": Sent(
        turn(), b'{"message": "a", "replaces": "7", "replaces": 7.0}', status=404
    ),
    "a query that repeats itself": page("?limit=3&limit=2&extra=no&extra=yes&offset=9&offset=1"),
    "a query of escapes and of bytes that are no text": page("?%6Cimit=%31&%ff=%ff&&=&a"),
    "an empty query": page("?"),
    "numbers with blanks and signs": page("?limit=+1&offset=%2B1"),
    "a page with a body": replace(page("?limit=1"), body=b"[" * 9),
}
REFUSED = {
    "nobody's conversation": Sent(at("{unknown}"), status=404),
    "another's": Sent(at("{eves}"), status=404),
    "no id": Sent(at("x"), status=404),
    "an id too large": Sent(at("9" * 16), status=404),
    "nobody's external id": Sent(at("ext:nothing"), status=404),
    "an ended session": Sent(at("{ended}"), status=409),
    "a key twice": Sent(headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")], status=400),
    "an empty key": Sent(headers={"Idempotency-Key": ""}, status=400),
    "a bad last id": Sent(headers={"If-Last": "-1"}, status=400),
    "NaN in extra": Sent(body=b'{"role": "tool", "extra": {"a": NaN}}', status=422),
    "extra too large": Sent(body={"role": "tool", "extra": {"a": "x" * (257 << 10)}}, status=422),
    "the second extra too large": Sent(
        BATCH, messages(SAID, {"role": "tool", "extra": {"a": "x" * (257 << 10)}}), status=422
    ),
    "a turn of another's": Sent(turn("{eves_session}"), HI, status=404),
    "a turn of an ended session": Sent(turn("{ended_session}"), HI, status=409),
    "a turn without a session": Sent(turn("sess_0"), HI, status=400),
    "a turn in the place of nothing": Sent(turn(), HI | {"replaces": 7}, status=404),
    "a turn that saw what was never sent": Sent(
        turn(), HI, headers={"Last-Event-ID": "x"}, status=400
    ),
    "a page of another's": page("", "{eves}", 404),
    "a page of nobody's": page("", "{unknown}", 404),
    "a history of another's": history("", "{eves_session}", 404),
    "two parts in one page": page("?after=1&before=3", status=422),
    "a list by cursor and offset": listed("/?cursor=x&offset=1", 422),
    "a list by a malformed cursor": listed("/?cursor=x", 400),
    "an external id that is taken": Sent(
        body=SAID | {"external_id": "m-1", "content": "other words"}, status=409
    ),
}
LEFT = {
    "other words for JSON": Sent(headers={"Content-Type": "application/problem+json"}),
    "Latin-1, which it ignores": Sent(headers={"Content-Type": "application/json; charset=x"}),
    "UTF-16": Sent(body=json.dumps(SAID).encode("utf-16")),
    "with a BOM": Sent(body=b"\xef\xbb\xbf" + json.dumps(SAID).encode()),
    "no content type": Sent(headers={"Content-Type": ""}, status=415),
    "a text": Sent(headers={"Content-Type": "text/plain"}, status=415),
    "a form": Sent(headers={"Content-Type": "application/x-www-form-urlencoded"}, status=415),
    "nothing": Sent(body=b"", status=422),
    "no JSON": Sent(body=b"{", status=400),
    "no UTF-8": Sent(body=b'{"role": "user", "content": "\xff"}', status=400),
    "nested without end": Sent(body=b"[" * 100_000, status=400),
    "a list": Sent(body=b"[]", status=422),
    "null": Sent(body=b"null", status=422),
    "nothing in it": Sent(body={}, status=422),
    "an unknown field": Sent(body=SAID | {"user_id": 1}, status=422),
    "a wrong role": Sent(body=SAID | {"role": "king"}, status=422),
    "empty": Sent(body=SAID | {"content": ""}, status=422),
    "NUL": Sent(body=SAID | {"content": "\0"}, status=422),
    "half a pair": Sent(body=SAID | {"content": "\ud800"}, status=422),
    "a number": Sent(body=SAID | {"content": 7}, status=422),
    "too long": Sent(body=SAID | {"content": "x" * 100_001}, status=422),
    "two errors": Sent(body={"role": 7, "content": "", "extra": [], "x": 1}, status=422),
    "extra too deep": Sent(
        body=b'{"role": "tool", "extra": {"a": ' + b"[" * 40 + b"]" * 40 + b"}}", status=422
    ),
    "an empty batch": Sent(BATCH, messages(), status=422),
    "too many": Sent(BATCH, messages(*[SAID] * 101), status=422),
    "one bad in a batch": Sent(BATCH, messages(SAID, {}), status=422),
    "one id twice": Sent(BATCH, messages(*[SAID | {"external_id": "m"}] * 2), status=422),
    "no id and no body": Sent(at("x"), body=b"", status=404),
    "a number too long": Sent(
        body=b'{"role": "tool", "extra": {"a": ' + b"9" * 4301 + b"}}", status=400
    ),
    "too large in chunks": Sent(
        body=[json.dumps(SAID).encode(), *[b" " * (1 << 16)] * 16], status=413
    ),
    "a turn that says nothing": Sent(turn(), {"message": ""}, status=422),
    "a turn with a bad query": Sent(turn() + "?parts=some", HI, status=422),
    "a turn with two errors": Sent(turn() + "?parts=some", {}, status=422),
    "a page without end": page("?limit=101", status=422),
    "a page of two errors": page("?limit=x&order=up", status=422),
    "a page after what is no id": page("?read_after=x", status=400),
    "a history without end": history("?limit=101", status=422),
    "a list in no order": listed("/?sort=name", 422),
    "another method": Sent(method="PUT", status=405),
    "a slash at the end": Sent(at("{conversation}") + "/", status=404),
    "two slashes": Sent(at("{conversation}").replace("/messages", "//messages"), status=404),
    "only the head of a page": Sent(at("{quiet}"), b"", method="HEAD", status=405),
    "what there is": Sent(at("{quiet}"), b"", method="OPTIONS", status=405),
    "two content types, JSON last": Sent(
        headers=[("Content-Type", "text/plain"), *JSON.items()], status=415
    ),
    "nothing, in chunks": Sent(body=[b"", b""], status=422),
    "an escaped half in extra": Sent(body=b'{"role": "tool", "extra": {"a": "\\ud800"}}'),
    "half a pair that is not escaped": Sent(
        body=b'{"role": "tool", "extra": {"a": "\xed\xa0\x80"}}', status=422
    ),
    "deeper than it parses": Sent(
        body=b'{"role": "tool", "extra": {"a": ' + b"[" * 500 + b"]" * 500 + b"}}", status=422
    ),
    "one after the other": Sent(body=json.dumps(SAID).encode() * 2, status=400),
    "a page of no size": page("?limit=", status=422),
    "a page whose last size is none": page("?limit=2&limit=x", status=422),
    "a page after nothing": page("?read_after=", status=400),
    "a page after an id and what is none": page("?read_after={entry}&read_after=x", status=400),
}
BEFORE = {
    "too large": Sent(body=b" " * (BODY_MOST_BYTES + 1), status=413),
    "a line end at the end": Sent(at("{conversation}") + "%0A", status=404),
    "another name": Sent(headers={"Host": "example.com"}, status=421),
}


@pytest.mark.parametrize("name", GOOD | REFUSED | LEFT | BEFORE)
def test_it_answers_as_fastapi_does(pair: Pair, name: str) -> None:
    sent = (GOOD | REFUSED | LEFT | BEFORE)[name]

    (on_the_lane, by_fastapi), is_fast = pair.answers(sent, who(pair.ada))

    assert on_the_lane == by_fastapi
    assert on_the_lane[0] == sent.status
    assert is_fast is (name not in LEFT)


def test_without_a_key_two_messages_differ_in_id_and_time_only(pair: Pair) -> None:
    """A table of answers that repeat each other would not show what is answered the first time."""
    answers = [
        pair.answer(client, Sent(), [*who(pair.ada).items(), *JSON.items()])
        for client in pair.clients
    ]

    alike = [
        (status, headers, re.sub(rb'"id":\d+|"created_at":"[^"]+"', b"", content))
        for status, headers, content in answers
    ]
    assert alike[0] == alike[1]
    assert answers[0] != answers[1]


def test_a_reconnection_without_a_key_is_no_message_to_either(pair: Pair) -> None:
    headers = [*who(pair.ada).items(), *JSON.items(), ("Last-Event-ID", "3")]

    on_the_lane, by_fastapi = [
        pair.answer(client, Sent(turn(), HI), headers) for client in pair.clients
    ]

    assert on_the_lane == by_fastapi
    assert on_the_lane[0] == 204


def test_it_finds_every_caller_as_fastapi_does(pair: Pair) -> None:
    own, narrow = make_key(pair.ada), make_key(pair.ada, scopes=["read"])
    for_subjects = make_key(pair.ada, acts_for="subjects")
    with closing(pair.api.client()) as browser:
        account = pair.ada.get("/auth/me").json()
        browser.post(
            "/auth/session", json={"username": account["username"], "password": PASSWORD}
        ).raise_for_status()
        cookie = {"Cookie": f"verbatim_session={browser.cookies['verbatim_session']}"}
    callers: dict[str, tuple[Headers, int]] = {
        "nobody": ({}, 401),
        "another scheme": ({"Authorization": "Basic YTpi"}, 401),
        "no token": ({"Authorization": "Bearer"}, 401),
        "a malformed token": ({"Authorization": "Bearer a.b.c"}, 401),
        "an expired token": ({"Authorization": f"Bearer {signed(exp=1)}"}, 401),
        "two tokens": ([*who(pair.ada).items()] * 2, 401),
        "an unknown key": ({"Authorization": f"Bearer vbk_{own['id']}_{'0' * 64}"}, 401),
        "a key": (bearer(own), 202),
        "a key without the scope": (bearer(narrow), 403),
        "a key and a subject too much": (bearer(own, "grace"), 403),
        "a key without its subject": (bearer(for_subjects), 400),
        "a subject, whose conversation it is not": (bearer(for_subjects, "grace"), 404),
        "a token and a subject": (who(pair.ada) | {"Verbatim-User": "grace"}, 403),
        "a cookie from nowhere": (cookie, 403),
        "a cookie from another site": (cookie | {"Sec-Fetch-Site": "cross-site"}, 403),
        "a cookie": (cookie | SAME_SITE, 202),
        "a broken cookie": ({"Cookie": "verbatim_session=a~b"} | SAME_SITE, 401),
    }
    for caller, (headers, status) in callers.items():
        (on_the_lane, by_fastapi), is_fast = pair.answers(Sent(), headers)
        assert on_the_lane == by_fastapi, caller
        assert on_the_lane[0] == status, caller
        assert is_fast, caller
    # What is wrong with a body is said before who sent it is asked for, or after: as by FastAPI.
    for sent, status in ((LEFT["no JSON"], 400), (LEFT["an empty batch"], 401)):
        (on_the_lane, by_fastapi), _ = pair.answers(sent, {})
        assert on_the_lane == by_fastapi
        assert on_the_lane[0] == status
