"""Every route, every caller, every id: made from the OpenAPI document, 0 leaks over all cells.

A route without a row fails the first test. Each layer is switched off in turn; with all of one
direction off, the same matrix is red.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api.core import log_scripts
from api.core.database import make_engine
from api.http import cookies
from api.http.fields import session_id
from api.http.openai import names
from api.local.postgres import EmbeddedPostgres
from tests.security.layers import forget_the_owner
from tests.support.api import PASSWORD, Api, StartApi
from tests.support.draining import draining
from tests.support.keys import SUBJECT, acting, bearer, make_key
from tests.support.servers import fresh_database
from tests.support.tokens import signed
from tests.support.waiting import DEADLINE_SECONDS, eventually
from workers.known import KnownConversation

pytestmark = pytest.mark.slow

CANARY = "canary-of-ada-93b1"
#: This far from an id is one that was not given out, a millisecond earlier in its partition.
NOT_GIVEN_OUT = 1 << 12
#: The headers by which a caller is known.
Sent = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Things:
    """What somebody owns, by the names that rows use; nobody owns the same, and it is not there."""

    owner: int
    conversation: int
    other_conversation: int
    message: int
    turn: int
    external: str = ""
    other_external: str = ""
    cursor: str = ""
    #: The id of an API key.
    key: str = f"{2**40:014x}{0:010x}"
    branch: int = 0
    #: The next page of a search.
    found: str = ""
    #: A message of the assistant.
    answer: int = 0
    #: The id of a shared link, and its secret.
    share: str = "0" * 24
    secret: str = "0" * 43
    #: A sign-in session, beside the one that calls.
    sign_in: str = "0" * 22
    #: A file.
    asset: str = f"asset_{'0' * 43}"
    #: The turn of a response.
    response: int = 0

    def facts(self) -> dict[str, Any]:
        return {
            "owner": self.owner,
            "conversation": self.conversation,
            "session": session_id(self.conversation),
            "conv": names.of_conversation(self.conversation),
            "other_conv": names.of_conversation(self.other_conversation),
            "item": names.of_item(self.message),
            "resp": names.of_response(self.conversation, self.response),
            "message": self.message,
            "turn": self.turn,
            "external": self.external,
            "other_external": self.other_external,
            "cursor": self.cursor,
            "key": self.key,
            "branch": self.branch,
            "found": self.found,
            "answer": self.answer,
            "share": self.share,
            "secret": self.secret,
            "sign_in": self.sign_in,
            "asset": self.asset,
        }

    def never_made(self, cursor: str) -> "Things":
        """Return ids next to these that nobody was given."""
        return Things(
            2**40,
            self.conversation - NOT_GIVEN_OUT,
            self.other_conversation - NOT_GIVEN_OUT,
            self.message - NOT_GIVEN_OUT,
            self.turn - NOT_GIVEN_OUT,
            *("0-of-nobody", "1-of-nobody", cursor),
            branch=self.branch - NOT_GIVEN_OUT,
            answer=self.answer - NOT_GIVEN_OUT,
            response=self.response - NOT_GIVEN_OUT,
            found=self.found,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """How one route is called with somebody's things."""

    path: str = ""
    query: dict[str, str] | None = None
    body: dict[str, Any] | None = None
    #: What its owner is answered; a foreigner gets what nobody's ids get.
    own: int = 200
    #: It names things; without, everybody calls it for themselves.
    names: bool = True


#: operation id → its calls. `{…}` are names of Things.
ROWS: dict[str, list[Row]] = {
    "me": [Row("/auth/me", names=False)],
    # Before anything is put aside.
    "v1CreateResponse": [
        Row(
            "/v1/responses",
            body={"input": "x", "conversation": "{conv}", "previous_response_id": "{resp}"},
            own=404,
            names=False,
        )
    ],
    "v1RetrieveResponse": [
        Row("/v1/responses/{resp}"),
        Row("/v1/responses/{resp}", {"stream": "true", "starting_after": "1"}),
    ],
    "v1ListInputItems": [
        Row("/v1/responses/{resp}/input_items"),
        # Another message of the conversation.
        Row("/v1/responses/{resp}/input_items", {"after": "{item}"}, own=404),
    ],
    "v1CancelResponse": [Row("/v1/responses/{resp}/cancel")],
    "v1DeleteResponse": [Row("/v1/responses/{resp}")],
    "export": [
        Row("/api/export", names=False),
        Row("/api/export", {"read_after": "{message}"}, names=False),
    ],
    "import": [Row("/api/import", body={"external_id": "mine", "messages": []}, names=False)],
    "openConversation": [
        Row("/api/conversations/", body={}, own=202, names=False),
        Row("/api/conversations/", body={"external_id": "{other_external}"}, names=False),
    ],
    "listConversations": [
        Row("/api/conversations/", names=False),
        Row("/api/conversations/", {"q": "canary"}, names=False),
        Row("/api/conversations/", {"external_id": "{external}"}, names=False),
        Row("/api/conversations/", {"tag": "canary"}, names=False),
        Row("/api/conversations/", {"cursor": "{cursor}", "limit": "1"}, names=False),
        Row("/api/conversations/", {"read_after": "{message}"}, names=False),
    ],
    "listTags": [
        Row("/api/tags", names=False),
        Row("/api/tags", {"read_after": "{message}"}, names=False),
    ],
    "search": [
        Row("/api/search", {"q": "canary"}, names=False),
        Row("/api/search", {"q": "canary", "order": "time", "cursor": "{found}"}, names=False),
        Row("/api/search", {"q": "canary", "conversation": "{conversation}"}, names=False),
        Row("/api/search", {"q": "canary", "read_after": "{message}"}, names=False),
    ],
    "usage": [
        Row("/api/usage", names=False),
        Row("/api/usage", {"conversation": "{conversation}"}, names=False),
        Row("/api/usage", {"read_after": "{message}"}, names=False),
    ],
    "getConversation": [
        Row("/api/conversations/{conversation}"),
        Row("/api/conversations/{conversation}", {"read_after": "{message}"}),
        Row("/api/conversations/ext:{external}"),
        Row("/api/conversations/ext:{external}", {"read_after": "{message}"}),
    ],
    "exportConversation": [
        Row("/api/conversations/{conversation}/export"),
        Row("/api/conversations/{conversation}/export", {"read_after": "{message}"}),
        Row("/api/conversations/ext:{external}/export"),
    ],
    "renameConversation": [
        Row("/api/conversations/{conversation}", body={"title": "x"}, own=202),
        Row("/api/conversations/{conversation}", body={"tags": ["x"]}, own=202),
        Row("/api/conversations/ext:{external}", body={"title": "x"}, own=202),
    ],
    "addMessage": [
        Row(
            "/api/conversations/{conversation}/messages",
            body={"role": "user", "content": "x"},
            own=202,
        ),
        Row(
            "/api/conversations/ext:{external}/messages",
            body={"role": "user", "content": "x"},
            own=202,
        ),
        Row(
            "/api/conversations/{conversation}/messages",
            body={"role": "user", "content": "x", "external_id": "x"},
            own=202,
        ),
        Row(
            "/api/conversations/{conversation}/messages",
            body={"role": "user", "content": "x", "extra": {"attachments": [{"id": "{asset}"}]}},
            own=202,
        ),
    ],
    "addMessages": [
        Row(
            "/api/conversations/{conversation}/messages/batch",
            body={"messages": [{"role": "user", "content": "x"}]},
            own=202,
        )
    ],
    "changeMessage": [
        Row("/api/conversations/{conversation}/messages/{message}", body={"content": "x"}, own=202),
    ],
    "giveFeedback": [
        Row(
            "/api/conversations/{conversation}/messages/{answer}/feedback",
            body={"rating": "up", "comment": "x"},
            own=202,
        )
    ],
    "takeFeedbackBack": [
        Row("/api/conversations/{conversation}/messages/{answer}/feedback", own=202)
    ],
    "listBranches": [
        Row("/api/conversations/{conversation}/branches"),
        Row("/api/conversations/{conversation}/branches", {"read_after": "{message}"}),
    ],
    "switchBranch": [Row("/api/conversations/{conversation}/branches/{branch}/switch", own=202)],
    "forkConversation": [
        Row("/api/conversations/{conversation}/fork", body={"position": 1}, own=202)
    ],
    "listMessages": [
        Row("/api/conversations/{conversation}/messages"),
        Row("/api/conversations/{conversation}/messages", {"after": "0"}),
        Row("/api/conversations/{conversation}/messages", {"external_id": "x"}),
        Row("/api/conversations/{conversation}/messages", {"before": "9", "order": "desc"}),
        Row("/api/conversations/{conversation}/messages", {"read_after": "{message}"}),
        Row("/api/conversations/ext:{external}/messages"),
        Row("/api/conversations/ext:{external}/messages", {"read_after": "{message}"}),
    ],
    "shareConversation": [
        Row("/api/conversations/{conversation}/share", own=201),
        Row("/api/conversations/ext:{external}/share", body={"audience": "signed_in"}, own=201),
    ],
    "listShares": [Row("/api/shares", names=False)],
    # Whoever has the secret gets what was said, and none of its owner's ids.
    "importShared": [Row("/api/shared/{secret}/import", names=False)],
    "revokeShare": [Row("/api/shares/{share}", own=204)],
    "startChat": [Row("/api/chat/start", names=False)],
    "chatHistory": [
        Row("/api/chat/{session}/history"),
        Row("/api/chat/{session}/history", {"limit": "9", "offset": "0"}),
        Row("/api/chat/{session}/history", {"read_after": "{message}"}),
    ],
    "watchTurn": [Row("/api/chat/{session}/stream", {"turn": "{turn}"})],
    "runningTurns": [Row("/api/chat/{session}/turns")],
    "stopTurn": [
        Row("/api/chat/{session}/stop", body={"turn": "{turn}"}),
        Row("/api/chat/{session}/stop", body={}),
    ],
    "v1CreateConversation": [Row("/v1/conversations", body={"items": []}, names=False)],
    "v1ListConversations": [
        Row("/v1/conversations", names=False),
        Row("/v1/conversations", {"after": "{conv}"}),
    ],
    "v1RetrieveConversation": [Row("/v1/conversations/{conv}")],
    "v1UpdateConversation": [Row("/v1/conversations/{conv}", body={"metadata": {"a": "b"}})],
    "v1CreateItems": [
        Row("/v1/conversations/{conv}/items", body={"items": []}),
        Row("/v1/conversations/{conv}/items", body={"items": [{"role": "user", "content": "x"}]}),
    ],
    "v1ListItems": [
        Row("/v1/conversations/{conv}/items"),
        Row("/v1/conversations/{conv}/items", {"after": "{item}"}),
    ],
    "v1RetrieveItem": [Row("/v1/conversations/{conv}/items/{item}")],
    # It is off.
    "v1CreateChatCompletion": [
        Row("/v1/chat/completions", body={"messages": [{"role": "user"}]}, own=404, names=False)
    ],
    "v1ListModels": [Row("/v1/models", own=404, names=False)],
    "v1DeleteItem": [Row("/v1/conversations/{conv}/items/{item}")],
    "v1DeleteConversation": [Row("/v1/conversations/{other_conv}")],
    "deleteMessages": [
        Row("/api/conversations/{conversation}/messages/{message}", own=202),
        Row(
            "/api/conversations/{conversation}/messages/{turn}",
            {"after": "true", "keep": "true"},
            own=202,
        ),
    ],
    "sendChatMessage": [
        Row("/api/chat/{session}/message", body={"message": "x"}),
        Row("/api/chat/{session}/message", body={"message": "x", "userId": "{owner}"}),
        Row("/api/chat/{session}/message", body={"message": "x", "replaces": "{message}"}),
        Row(
            "/api/chat/{session}/message",
            body={
                "message": "x",
                "attachments": [
                    {"id": "{asset}", "name": "x", "type": "text/plain", "size": 1},
                ],
            },
        ),
    ],
    "regenerateAnswer": [Row("/api/chat/{session}/regenerate")],
    "endChat": [Row("/api/chat/{session}")],
    "uploadAsset": [Row("/api/assets", {"name": "x"}, body={}, own=201, names=False)],
    "listAssets": [
        Row("/api/assets", names=False),
        Row("/api/assets", {"after": "{asset}"}),
    ],
    "readAsset": [Row("/api/assets/{asset}")],
    "deleteAsset": [Row("/api/assets/{asset}", own=204)],
    "deleteConversation": [
        Row("/api/conversations/ext:{external}", own=202),
        Row("/api/conversations/{conversation}", own=202),
    ],
    "createKey": [Row("/auth/keys", body={"name": "x"}, own=201, names=False)],
    "listKeys": [Row("/auth/keys", names=False)],
    "revokeKey": [Row("/auth/keys/{key}", own=204)],
    "changeAccount": [Row("/auth/me", body={"expires_in_days": None}, names=False)],
    "changeName": [
        Row("/auth/me/name", body={"username": "{external}", "password": PASSWORD}, names=False)
    ],
    "listSessions": [Row("/auth/sessions", names=False)],
    "endSession": [Row("/auth/sessions/{sign_in}", own=204)],
    "endOtherSessions": [Row("/auth/sessions", own=204, names=False)],
    # They end what the other rows need, so they come last.
    "changePassword": [
        Row(
            "/auth/password",
            body={"current_password": PASSWORD, "new_password": PASSWORD},
            names=False,
        )
    ],
    "changePasswordInBrowser": [
        Row(
            "/auth/session/password",
            body={"current_password": PASSWORD, "new_password": PASSWORD},
            names=False,
        )
    ],
    "logout": [Row("/auth/logout", own=204, names=False)],
    "deleteAccount": [Row("/auth/me/delete", body={"password": PASSWORD}, own=204, names=False)],
}
#: Routes that ask for no token: nobody's data is behind them, but what a shared link shows.
OPEN = {
    "readShared",
    *("register", "login", "refresh", "openSession", "closeSession"),
    *("livez", "readyz", "metrics"),
}
ENDING = {"changePassword", "changePasswordInBrowser", "logout", "deleteAccount"}
#: What no API key may do.
FOR_SESSIONS = {
    *("createKey", "listKeys", "revokeKey", "listSessions", "endSession", "endOtherSessions"),
    *("changeAccount", "changeName", "changePassword", "changePasswordInBrowser", "logout"),
}
#: What routes take beside ids: how many, in which order, and people's words.
NO_IDS = {
    *("limit", "offset", "sort", "order", "q", "after", "before", "extra", "messages"),
    *("keep", "position", "parts"),
    *("metadata", "tags", "tag", "archived", "pinned", "created_at", "expires_in_days"),
    *("title", "role", "content", "message", "password", "current_password", "new_password"),
    *("name", "scopes", "acts_for", "form", "from", "to", "audience", "items"),
    *("rating", "comment"),
    *("stream", "store", "starting_after", "input", "model", "instructions", "background"),
    *("tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "temperature", "top_p"),
    *("max_output_tokens", "truncation", "service_tier", "user", "safety_identifier"),
    "prompt_cache_key",
}


def taken(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    """Return what an operation of the OpenAPI document takes in its query and its body."""
    found = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = body.get("schema", {})
    for one in (schema, *schema.get("anyOf", [])):
        name = one.get("$ref", "").rpartition("/")[2]
        found |= document["components"]["schemas"].get(name, {}).get("properties", {}).keys()
    return found


def document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{api.url}/openapi.json", timeout=60).json()
    return found


def operations(api: Api) -> dict[str, tuple[str, bool]]:
    """Operation id → (method, whether it asks for a token)."""
    paths = document(api)["paths"]
    return {
        operation["operationId"]: (method.upper(), "security" in operation)
        for path in paths.values()
        for method, operation in path.items()
    }


def call(api: Api, operation: str, row: Row, things: Things, sent: Sent) -> httpx.Response:
    facts = things.facts()

    def filled(value: Any) -> Any:
        if value in ("{turn}", "{message}"):
            return facts[value[1:-1]]
        if isinstance(value, dict):
            return {name: filled(one) for name, one in value.items()}
        if isinstance(value, list):
            return [filled(one) for one in value]
        return value.format_map(facts) if isinstance(value, str) else value

    method, _ = operations_of[api.url][operation]
    return anonymous[api.url].request(
        method,
        row.path.format_map(facts),
        params={name: filled(value) for name, value in (row.query or {}).items()},
        json=None if row.body is None else filled(row.body),
        headers=sent,
    )


#: Per API: somebody who is not signed in, and the routes.
anonymous: dict[str, httpx.Client] = {}
operations_of: dict[str, dict[str, tuple[str, bool]]] = {}


def credentials(person: httpx.Client) -> Sent:
    """Return the headers by which somebody is known."""
    names = ("Authorization", SUBJECT)
    return {name: person.headers[name] for name in names if name in person.headers}


def belongings(person: httpx.Client) -> Things:
    """Make what a row may name, all with the canary in it."""
    owner = person.get("/auth/me").json()["id"]
    named = [f"{n}-of-{owner}" for n in range(2)]
    opened = [
        person.post(
            "/api/conversations/",
            json={"title": f"{CANARY} {n}", "external_id": named[n], "tags": ["canary"]},
        ).json()["id"]
        for n in range(2)
    ]
    conversation = opened[0]
    added = person.post(
        f"/api/conversations/{conversation}/messages", json={"role": "user", "content": CANARY}
    ).json()["id"]
    said = person.post(
        f"/api/chat/{session_id(conversation)}/message",
        json={"message": CANARY},
        headers={"Accept": "text/event-stream"},
    )
    turn = int(re.findall(r'"messageId": (\d+)', said.text)[0])
    answer = int(re.findall(r'"replyId": (\d+)', said.text)[0])
    after: dict[str, Any] = {"read_after": [added, turn, *opened], "limit": 1}
    cursor = person.get("/api/conversations/", params=after).json()["next_cursor"]
    cut = person.post(
        f"/api/conversations/{conversation}/messages", json={"role": "user", "content": CANARY}
    ).json()["id"]
    branch = person.delete(
        f"/api/conversations/{conversation}/messages/{cut}", params={"after": True, "keep": True}
    ).json()["entry_id"]
    # As a response leaves it that was asked, and has no answer.
    asked_of_model = {"role": "user", "content": CANARY} | {
        "extra": {
            "format": "openai.responses",
            "item": {"role": "user", "content": CANARY},
            "request": {"inputs": 1},
        }
    }
    response = person.post(
        f"/api/conversations/{conversation}/messages", json=asked_of_model
    ).json()["id"]
    shared = person.post(
        f"/api/conversations/{conversation}/share", json={"audience": "public"}
    ).json()
    asset = person.post("/api/assets", params={"name": CANARY}, content=CANARY).json()["id"]
    asked = {"q": "canary", "order": "time", "limit": 1, "read_after": branch}
    found = person.get("/api/search", params=asked).json()["next_cursor"]
    made = Things(
        *(owner, opened[0], opened[1], added, turn, named[0], named[1], cursor),
        branch=branch,
        found=found,
        answer=answer,
        response=response,
        share=shared["id"],
        secret=shared["link"].rpartition("/")[2],
        asset=asset,
    )
    if person.headers["Authorization"].startswith("Bearer vbk_"):
        return made
    name = person.get("/auth/me").json()["username"]
    person.post("/auth/login", json={"username": name, "password": PASSWORD}).raise_for_status()
    sessions = person.get("/auth/sessions").json()["sessions"]
    [sign_in] = [one["id"] for one in sessions if not one["current"]]
    return replace(made, key=make_key(person, name=CANARY)["id"], sign_in=sign_in)


@dataclass(frozen=True, slots=True)
class Scene:
    api: Api
    ada: httpx.Client
    eve: httpx.Client
    adas: Things
    eves: Things
    nobodys: Things


@pytest.fixture(scope="module")
def set_scene(start_api: StartApi) -> Iterator[Any]:
    with ExitStack() as stack:

        def setting(**changes: Any) -> Scene:
            api = start_api(**changes)
            operations_of[api.url] = operations(api)
            anonymous[api.url] = stack.enter_context(closing(api.client()))
            stack.enter_context(draining(api.settings))
            ada, eve = (stack.enter_context(closing(api.person())) for _ in range(2))
            adas, eves = belongings(ada), belongings(eve)
            return Scene(api, ada, eve, adas, eves, adas.never_made(eves.cursor))

        yield setting


@pytest.fixture(scope="module")
def scene(set_scene: Any) -> Scene:
    """Everything as it should be."""
    made: Scene = set_scene()
    return made


@pytest.fixture(scope="module")
def without_row_security(set_scene: Any, postgres_server: EmbeddedPostgres) -> Scene:
    """Layer (c) off: everything runs as the owner of the tables."""
    url = fresh_database(postgres_server)
    made: Scene = set_scene(database_url=url, row_security="unchecked")
    return made


def calls() -> list[tuple[str, Row]]:
    return [(operation, row) for operation, rows in ROWS.items() for row in rows]


def leaks_to(scene: Scene) -> list[str]:
    """Call everything as eve with ada's things; return where that tells more than nobody's."""
    return leaks(scene.api, scene.adas, scene.nobodys, credentials(scene.eve))


def leaks(api: Api, anothers: Things, nobodys: Things, sent: Sent) -> list[str]:
    """Call everything with another's things; return where that tells more than nobody's."""
    found = []
    for operation, row in calls():
        if operation in ENDING:
            continue
        answer = call(api, operation, row, anothers, sent)
        if row.names:
            with_nobodys = call(api, operation, row, nobodys, sent)
            same = answer.status_code == with_nobodys.status_code
            same &= answer.content == with_nobodys.content
            if not same or CANARY in answer.text:
                found.append(f"{operation} {row}")
        elif answer.status_code >= 500 or any(
            str(one) in answer.text
            for one in (anothers.conversation, anothers.key, anothers.sign_in)
        ):
            found.append(f"{operation} {row}")
    return found


def test_every_route_has_a_row(scene: Scene) -> None:
    known = operations_of[scene.api.url]

    secured = {operation for operation, (_, is_secured) in known.items() if is_secured}
    assert secured == ROWS.keys()
    assert known.keys() - secured == OPEN


def test_every_id_that_a_route_takes_is_in_a_row(scene: Scene) -> None:
    known = document(scene.api)
    for path, methods in known["paths"].items():
        for operation in methods.values():
            rows = ROWS.get(operation["operationId"], [])
            named = {name for row in rows for name in (*(row.query or {}), *(row.body or {}))}
            if rows:
                assert taken(known, operation) - NO_IDS <= named, operation["operationId"]
                assert {row.path.count("{") for row in rows} == {path.count("{")}


def test_anothers_ids_in_ones_own_conversation_are_nobodys(scene: Scene) -> None:
    """Of nested ids: the parent is one's own, the child is not."""
    sent = credentials(scene.eve)
    adas, nobodys = (
        replace(
            one,
            conversation=scene.eves.conversation,
            other_conversation=scene.eves.other_conversation,
            external=scene.eves.external,
            cursor=scene.eves.cursor,
        )
        for one in (scene.adas, scene.nobodys)
    )
    nested = [
        (operation, row)
        for operation, row in calls()
        for name in ("{turn}", "{message}", "{item}", "{answer}")
        if row.names and name in str(row)
    ]

    for operation, row in nested:
        seen = [call(scene.api, operation, row, things, sent) for things in (adas, nobodys)]
        assert seen[0].status_code == seen[1].status_code, (operation, row)
        assert seen[0].content == seen[1].content, (operation, row)
    assert {operation for operation, _ in nested} >= {"watchTurn", "stopTurn", "listMessages"}


def test_who_speaks_is_in_the_token_whatever_the_body_says(scene: Scene) -> None:
    before = scene.ada.get("/api/conversations/").json()["total"]
    body = {"message": "as ada", "userId": scene.adas.owner}
    said = scene.eve.post(f"/api/chat/{session_id(scene.eves.conversation)}/message", json=body)
    other = {"message": "x", "userId": scene.adas.owner}
    foreign = scene.eve.post(f"/api/chat/{scene.adas.facts()['session']}/message", json=other)

    after = {"read_after": said.json()["replyId"]}
    own = scene.eve.get(f"/api/conversations/{scene.eves.conversation}/messages", params=after)
    assert "as ada" in own.text
    assert foreign.status_code == 404
    assert scene.ada.get("/api/conversations/").json()["total"] == before


def test_anothers_idempotency_key_finds_nothing_of_theirs(scene: Scene) -> None:
    key = {"Idempotency-Key": "one-and-the-same"}
    adas = scene.ada.post("/api/conversations/", json={"title": CANARY}, headers=key).json()["id"]
    answer = scene.eve.post("/api/conversations/", json={"title": "eve's"}, headers=key)

    assert answer.status_code == 202
    assert answer.json()["id"] != adas
    assert CANARY not in answer.text


def test_without_a_good_token_every_route_and_id_answers_the_same_401(scene: Scene) -> None:
    gone = scene.api.person()
    authorization = gone.headers["Authorization"]
    gone.post("/auth/me/delete", json={"password": PASSWORD}).raise_for_status()
    url = f"{scene.api.url}/auth/me"
    eventually(lambda: "was ended" in httpx.get(url, headers={"Authorization": authorization}).text)
    gone.close()
    callers: dict[str, str] = {
        "nobody": "",
        "malformed": "Bearer a.b.c",
        "expired": f"Bearer {signed(exp=1)}",
        "another scheme": "Basic YTpi",
        "deleted": authorization,
        "no key": f"Bearer vbk_{scene.adas.key}_{'0' * 64}",
        "revoked key": f"Bearer {revoked_key(scene)}",
    }

    for caller, known_by in callers.items():
        sent = {"Authorization": known_by} if known_by else {}
        # OpenAI's protocol has errors of another shape.
        for of_openai in (False, True):
            answers = {
                (answer.status_code, answer.content)
                for operation, row in calls()
                if row.path.startswith("/v1/") is of_openai
                for things in (scene.adas, scene.nobodys)
                for answer in [call(scene.api, operation, row, things, sent)]
            }
            assert len(answers) == 1, caller
            assert answers.pop()[0] == 401


def revoked_key(scene: Scene) -> str:
    key = make_key(scene.ada)
    scene.ada.delete(f"/auth/keys/{key['id']}").raise_for_status()
    return str(key["key"])


def test_with_anothers_token_nothing_tells_that_anything_exists(scene: Scene) -> None:
    assert leaks_to(scene) == []


def test_with_ones_own_token_every_row_works(scene: Scene) -> None:
    person = scene.api.person()
    things = belongings(person)
    sent = credentials(person)
    for operation, row in calls():
        if operation in {"logout", "deleteAccount"}:
            account = person.get("/auth/me", headers=sent)
            assert account.status_code == 200, (operation, account.text)
            login = {"username": account.json()["username"], "password": PASSWORD}
            token = person.post("/auth/login", json=login).json()["access_token"]
            sent = {"Authorization": f"Bearer {token}"}
        answer = call(scene.api, operation, row, things, sent)
        assert answer.status_code == row.own, (operation, row, answer.text)
        if operation == "changePassword":
            sent = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        if operation == "changePasswordInBrowser":
            sent = {"Authorization": f"Bearer {answer.cookies[cookies.NAME].partition('~')[0]}"}
    person.close()


@pytest.mark.parametrize("subject", [None, "grace"])
def test_with_an_api_key_every_row_works_but_those_of_an_account(
    scene: Scene, subject: str | None
) -> None:
    refused = FOR_SESSIONS if subject else FOR_SESSIONS | {"deleteAccount"}
    with closing(scene.api.person()) as person:
        key = make_key(person, acts_for="subjects" if subject else "self")
        with acting(scene.api, key, subject) as program:
            things, sent = belongings(program), credentials(program)
            for operation, row in calls():
                answer = call(scene.api, operation, row, things, sent)
                expected = 403 if operation in refused else row.own
                assert answer.status_code == expected, (operation, row, answer.text)


def test_an_api_key_and_a_subject_reach_nothing_of_anybody_else(scene: Scene) -> None:
    adas, eves = (
        {one: make_key(who, acts_for=one) for one in ("self", "subjects")}
        for who in (scene.ada, scene.eve)
    )
    with acting(scene.api, adas["subjects"], "grace") as grace:
        graces = belongings(grace)
    of_eve = {
        "eve": credentials(scene.eve),
        "eve's key": bearer(eves["self"]),
        "eve's grace": bearer(eves["subjects"], "grace"),
    }
    of_ada = {
        "ada": credentials(scene.ada),
        "ada's key": bearer(adas["self"]),
        "ada's hopper": bearer(adas["subjects"], "hopper"),
    }

    for anothers, callers in ((scene.adas, of_eve), (graces, of_eve | of_ada)):
        for caller, sent in callers.items():
            nobodys = anothers.never_made(scene.eves.cursor)
            assert leaks(scene.api, anothers, nobodys, sent) == [], caller


def test_row_security_alone_holds_all_reads(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_owner(monkeypatch)

    assert leaks_to(scene) == []


def test_the_queries_alone_hold_all_reads(without_row_security: Scene) -> None:
    assert leaks_to(without_row_security) == []


def test_with_both_layers_of_reads_off_the_matrix_is_red(
    without_row_security: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_the_owner(monkeypatch)

    leaking = {leak.split()[0] for leak in leaks_to(without_row_security)}

    assert leaking >= {"getConversation", "listMessages", "chatHistory", "listConversations"}


def accept_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layer (a) of writes off: the accept script takes entries for conversations of others."""
    check = "if owner ~= entry.user then return 'foreign' end"
    careful = log_scripts.SCRIPTS["accept"].text
    assert check in careful
    # Redis finds a script by its SHA-1; this one is unknown, and is sent whole each time.
    careless = log_scripts.Script(careful.replace(check, ""), "0" * 40)
    monkeypatch.setattr(log_scripts, "SCRIPTS", {**log_scripts.SCRIPTS, "accept": careless})


def intrude(scene: Scene, status: int = 202, *, is_refused: bool = False) -> set[str]:
    """Write into ada's conversations as eve; return what of it ada then finds there.

    What PostgreSQL refuses, the drain tries for ever, so there is no end of it to wait for.
    """
    token = {"Authorization": scene.eve.headers["Authorization"]}
    path = f"{scene.api.url}/api/conversations/{scene.adas.conversation}"
    body = {"role": "user", "content": "eve was here"}
    other = f"{scene.api.url}/api/conversations/{scene.adas.other_conversation}"
    written = [
        httpx.post(f"{path}/messages", json=body, headers=token),
        httpx.patch(path, json={"title": "eve was here"}, headers=token),
        httpx.delete(other, headers=token),
    ]
    assert {answer.status_code for answer in written} == {status}
    engine = make_engine(scene.api.settings.migration_database, application_name="test")

    def settled() -> bool:
        return scene.api.log.status().entries == 0

    with suppress(AssertionError):
        eventually(settled, within_seconds=6 if is_refused else DEADLINE_SECONDS)
    with engine.connect() as connection:
        contents = connection.execute(text("SELECT content FROM message")).scalars()
        titles = connection.execute(text("SELECT title FROM conversation")).scalars()
        found = {one for one in (*contents, *titles) if one == "eve was here"}
        deleted = text("SELECT deleted_at FROM conversation WHERE id = :id")
        if connection.scalar(deleted, {"id": scene.adas.other_conversation}):
            found.add("deleted")
    engine.dispose()
    return found


def trust_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layer (b) off: the worker takes the log's word for whose a conversation is."""

    class Anybodys(int):
        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = int.__hash__

    def careless(owner: int, *rest: Any) -> KnownConversation:
        return KnownConversation(Anybodys(owner), *rest)

    monkeypatch.setattr("workers.sql.KnownConversation", careless)


def drop_the_foreign_key(scene: Scene) -> None:
    engine = make_engine(scene.api.settings.migration_database, application_name="test")
    with engine.begin() as connection:
        name = "fk_message_conversation_id_user_id_conversation"
        connection.execute(text(f"ALTER TABLE message DROP CONSTRAINT {name}"))
    engine.dispose()


def test_the_accept_script_alone_holds_all_writes(
    set_scene: Any, postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_database(postgres_server)
    scene = set_scene(database_url=url, row_security="unchecked")
    drop_the_foreign_key(scene)
    trust_the_log(monkeypatch)

    assert intrude(scene, status=404) == set()


def test_the_worker_alone_holds_all_writes(set_scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = set_scene()
    accept_anything(monkeypatch)

    assert intrude(scene) == set()


def test_the_foreign_key_refuses_a_message_under_the_wrong_owner(
    set_scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = set_scene()
    accept_anything(monkeypatch)
    trust_the_log(monkeypatch)

    # It knows of messages: that nobody deletes what is another's is for the worker to see.
    assert "eve was here" not in intrude(scene, is_refused=True)


def test_with_all_layers_of_writes_off_an_intruder_is_seen(
    set_scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = set_scene()
    drop_the_foreign_key(scene)
    accept_anything(monkeypatch)
    trust_the_log(monkeypatch)

    assert intrude(scene) == {"eve was here", "deleted"}
