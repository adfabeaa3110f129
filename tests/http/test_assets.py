"""Files: taken by what they are, answered to their owner only, gone with what names them."""

import base64
import json
import socket
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text

from api.core.bucket import Bucket
from tests.support.api import PASSWORD, Api, StartApi
from tests.support.files import GIF, HTML, JPEG, PNG, SVG, WEBP
from tests.support.keys import acting, make_key
from tests.support.uploading import (
    changed,
    conversation_of,
    extra_with,
    is_there,
    named,
    rows,
    stored,
    uploaded,
)
from tests.support.waiting import eventually
from workers.orphans import Orphans

pytestmark = pytest.mark.usefixtures("drained")

MISSING = f"asset_{'0' * 43}"


@pytest.mark.parametrize(
    ("data", "type_", "shown"),
    [
        (PNG, "image/png", "inline"),
        (JPEG, "image/jpeg", "inline"),
        (GIF, "image/gif", "inline"),
        (WEBP, "image/webp", "inline"),
        (b"a,b\n1,2\n", "text/plain", "attachment"),
        ("Grüße 🥛\r\n\x1b[1m".encode(), "text/plain", "attachment"),
        # What a browser would run is no more than a text here.
        (HTML, "text/plain", "attachment"),
        (SVG, "text/plain", "attachment"),
    ],
)
def test_a_file_is_what_its_bytes_are_and_comes_back_as_such(
    ada: httpx.Client, data: bytes, type_: str, shown: str
) -> None:
    sent = {"Content-Type": "text/html"}
    made = ada.post("/api/assets", params={"name": "ü/x.html"}, content=data, headers=sent).json()

    answer = ada.get(f"/api/assets/{made['id']}")
    again = ada.get(f"/api/assets/{made['id']}", headers={"If-None-Match": answer.headers["ETag"]})

    assert (made["name"], made["type"], made["size"]) == ("ü/x.html", type_, len(data))
    assert answer.content == data
    shown_as = "text/plain; charset=utf-8" if type_ == "text/plain" else type_
    assert answer.headers["Content-Type"] == shown_as
    disposition = f"{shown}; filename*=UTF-8''%C3%BC%2Fx.html"
    assert answer.headers["Content-Disposition"] == disposition
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    policy = "default-src 'none'; frame-ancestors 'none'; sandbox"
    assert answer.headers.get_list("Content-Security-Policy") == [policy]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"%PDF-1.7\n\xe2\xe3\xcf\xd3", 415),
        ("UTF-16".encode("utf-16"), 415),
        (b"PK\x03\x04\x14\x00\x00\x00", 415),
        (b"a\0b", 415),
        (b"BM\x9a\x00", 415),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", 415),
        (b"", 422),
    ],
)
def test_other_files_are_refused(api: Api, ada: httpx.Client, data: bytes, status: int) -> None:
    answer = ada.post("/api/assets", params={"name": "cat.png"}, content=data)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert rows(api, "asset", ada) == 0


def test_a_file_has_a_size_and_an_account_too(start_api: StartApi) -> None:
    api = start_api(asset_max_bytes=1000, user_asset_bytes=2500)
    with closing(api.person()) as ada, closing(api.person()) as eve:
        whole = uploaded(ada, b"x" * 1000)
        declared = ada.post("/api/assets", content=b"x" * 1001)
        streamed = ada.post("/api/assets", content=(b"x" * 600 for _ in range(2)))
        uploaded(ada, b"x" * 1000)
        over = ada.post("/api/assets", content=b"x" * 501)
        others = uploaded(eve, b"x" * 501)
        ada.delete(f"/api/assets/{whole['id']}").raise_for_status()
        uploaded(ada, b"x" * 501)
        listed = ada.get("/api/assets").json()

    assert (declared.status_code, streamed.status_code, over.status_code) == (413, 413, 409)
    assert others["size"] == 501
    assert (listed["total_bytes"], listed["most_bytes"]) == (1501, 2500)
    assert listed["file_most_bytes"] == 1000


def test_a_list_has_the_latest_first_page_by_page(ada: httpx.Client, eve: httpx.Client) -> None:
    made = [uploaded(ada, name=f"{number}.png") for number in range(5)]
    uploaded(eve)

    first = ada.get("/api/assets", params={"limit": 3}).json()
    after = {"limit": 3, "after": first["assets"][-1]["id"]}
    second = ada.get("/api/assets", params=after).json()

    assert first["assets"] + second["assets"] == made[::-1]
    assert first["total_bytes"] == 5 * len(PNG)


def test_anothers_file_is_nobodys(ada: httpx.Client, eve: httpx.Client) -> None:
    asset = uploaded(ada)
    mine = conversation_of(eve)
    session = eve.post("/api/chat/start").json()["sessionId"]

    def tried(id_: str) -> list[tuple[int, Any]]:
        attachments = [{"id": id_, "name": "x", "type": "image/png", "size": 1}]
        message = {"role": "user", "content": "x", "extra": {"attachments": attachments}}
        message_id = named(eve, mine)
        answers = [
            eve.get(f"/api/assets/{id_}"),
            eve.delete(f"/api/assets/{id_}"),
            eve.get("/api/assets", params={"after": id_}),
            eve.post(f"{mine}/messages", json=message),
            eve.post(f"{mine}/messages/batch", json={"messages": [message]}),
            eve.put(f"{mine}/messages/{message_id}", json={"extra": message["extra"]}),
            eve.post(
                f"/api/chat/{session}/message", json={"message": "x", "attachments": attachments}
            ),
        ]
        return [(answer.status_code, answer.json()) for answer in answers]

    adas, nobodys = tried(asset["id"]), tried(MISSING)

    assert adas == nobodys
    assert [status for status, _ in adas] == [404, 404, 200, 422, 422, 422, 422]
    assert is_there(ada, asset)


def test_subjects_of_a_key_have_files_of_their_own(api: Api, ada: httpx.Client) -> None:
    key = make_key(ada, acts_for="subjects")
    with acting(api, key, "grace") as grace, acting(api, key, "hopper") as hopper:
        asset = uploaded(grace)

        assert is_there(grace, asset)
        assert not is_there(hopper, asset)
        assert not is_there(ada, asset)
        grace.post("/auth/me/delete", json={}).raise_for_status()
    with api.engine.connect() as connection:
        counted = text("SELECT count(*) FROM asset WHERE id = :id")
        assert connection.scalar(counted, {"id": asset["id"]}) == 0


def test_what_the_writer_calls_attachments_otherwise_is_the_writers_own(ada: httpx.Client) -> None:
    path = conversation_of(ada)
    for own in ([{"id": "file-7", "url": "x"}], "none", {"id": MISSING}, [MISSING, {"id": 7}]):
        body = {"role": "user", "content": "x", "extra": {"attachments": own}}
        assert ada.post(f"{path}/messages", json=body).status_code == 202


def test_a_message_names_ten_files_at_most(ada: httpx.Client) -> None:
    path = conversation_of(ada)
    assets = [uploaded(ada, b"x") for _ in range(11)]
    body = {"role": "user", "content": "x", "extra": extra_with(*assets)}

    answer = ada.post(f"{path}/messages", json=body)

    assert answer.status_code == 422
    assert answer.json()["detail"] == "extra.attachments: at most 10 assets"


def test_files_go_with_the_last_message_that_names_them(ada: httpx.Client) -> None:
    path, other = conversation_of(ada), conversation_of(ada)
    kept, edited, deleted, cut, aside, shared = (uploaded(ada) for _ in range(6))
    named(ada, path, kept)
    put = named(ada, path, edited, kept)
    removed = named(ada, path, deleted, kept)
    named(ada, other, shared)
    first = named(ada, path, aside)
    keeping = {"after": True, "keep": True}
    changed(ada, path, ada.delete(f"{path}/messages/{first}", params=keeping))
    last = named(ada, path, cut, shared)

    changed(ada, path, ada.put(f"{path}/messages/{put}", json={"extra": extra_with(kept)}))
    changed(ada, path, ada.delete(f"{path}/messages/{removed}"))
    changed(ada, path, ada.delete(f"{path}/messages/{last}", params={"after": True}))

    there = [is_there(ada, one) for one in (kept, edited, deleted, cut, aside, shared)]
    assert there == [True, False, False, False, True, True]

    copy = ada.post(f"{path}/fork", json={"position": 1}).json()
    copied = f"/api/conversations/{copy['id']}"
    stored(ada, copied, copy["id"])
    ada.delete(path).raise_for_status()
    eventually(lambda: not is_there(ada, aside))
    assert is_there(ada, kept)
    ada.delete(copied).raise_for_status()
    eventually(lambda: not is_there(ada, kept))
    assert is_there(ada, shared)


def test_a_file_that_is_deleted_leaves_its_message(api: Api, ada: httpx.Client) -> None:
    path, asset = conversation_of(ada), uploaded(ada)
    message = named(ada, path, asset)

    assert ada.delete(f"/api/assets/{asset['id']}").status_code == 204

    assert not is_there(ada, asset)
    assert rows(api, "asset_use", ada) == 0
    [read] = ada.get(f"{path}/messages", params={"read_after": message}).json()["messages"]
    assert read["extra"] == extra_with(asset)
    assert ada.delete(f"/api/assets/{asset['id']}").status_code == 404


def test_of_many_files_that_go_at_once_some_go_later(
    api: Api, ada: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = conversation_of(ada)
    for _ in range(3):
        named(ada, path, *(uploaded(ada) for _ in range(5)))

    deleted = ada.delete(path).json()["entry_id"]
    ada.get("/api/conversations/", params={"read_after": deleted}).raise_for_status()

    assert (rows(api, "asset_use", ada), rows(api, "asset", ada)) == (0, 5)
    with api.engine.begin() as connection:
        connection.execute(text("UPDATE asset SET created_at = now() - interval '25 hours'"))
    monkeypatch.setattr(api.log, "wants_orphans", lambda: True)
    Orphans(api.log, api.engine, Bucket(None), lambda: False).run()
    assert rows(api, "asset", ada) == 0


def test_an_upload_that_no_message_names_goes_after_a_day(
    api: Api, ada: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = conversation_of(ada)
    young, old, used, late = (uploaded(ada) for _ in range(4))
    named(ada, path, used)

    def age(hours: int, *assets: dict[str, Any]) -> None:
        aged = text(
            "UPDATE asset SET created_at = now() - :hours * interval '1 hour' WHERE id = ANY(:ids)"
        )
        with api.engine.begin() as connection:
            connection.execute(aged, {"hours": hours, "ids": [one["id"] for one in assets]})

    age(25, old, used)
    age(23, young)

    def looked() -> int:
        monkeypatch.setattr(api.log, "wants_orphans", lambda: True)
        return Orphans(api.log, api.engine, Bucket(None), lambda: is_stopping).run()

    is_stopping = True
    assert looked() == 0
    is_stopping = False
    assert looked() == 1
    assert [is_there(ada, one) for one in (young, old, used)] == [True, False, True]

    # An entry that waits may name what looks unused.
    age(25, late)
    status = api.log.status()
    waiting = status.partitions[0]
    oldest = type(waiting)(
        *(waiting.partition, waiting.tail, waiting.accepted, 1, 1),
        status.now_ms - 12 * 3_600_000,
        0,
    )
    monkeypatch.setattr(api.log, "status", lambda: type(status)(status.now_ms, [oldest]))
    assert looked() == 0
    assert is_there(ada, late)


def test_files_go_with_the_account(api: Api) -> None:
    with closing(api.person()) as person:
        owner = person.get("/auth/me").json()["id"]
        named(person, conversation_of(person), uploaded(person))
        person.post("/auth/me/delete", json={"password": PASSWORD}).raise_for_status()
    with api.engine.connect() as connection:
        for table in ("asset", "asset_use"):
            counted = text(f"SELECT count(*) FROM {table} WHERE user_id = :owner")
            assert connection.scalar(counted, {"owner": owner}) == 0


def test_an_export_has_the_files(ada: httpx.Client) -> None:
    path = conversation_of(ada)
    assets = [uploaded(ada, HTML, "ü.html"), uploaded(ada, PNG)]
    named(ada, path, assets[0])

    lines = [json.loads(line) for line in ada.get("/api/export").text.splitlines()]

    found = {line["id"]: line for line in lines if line["type"] == "asset"}
    assert found.keys() == {asset["id"] for asset in assets}
    assert base64.b64decode(found[assets[0]["id"]]["data"]) == HTML
    names = ("name", "media_type", "size", "created_at")
    told = [found[assets[1]["id"]][name] for name in names]
    assert told == ["cat.png", "image/png", len(PNG), assets[1]["created_at"]]
    assert lines[-1] == {"type": "end", "conversations": 1, "messages": 1, "assets": 2}
    whole = ada.get("/api/export", params={"form": "conversations"}).text
    assert assets[0]["id"] in whole
    assert "PNG" not in whole


def test_a_shared_link_shows_no_files(ada: httpx.Client, anybody: httpx.Client) -> None:
    path, asset = conversation_of(ada), uploaded(ada)
    named(ada, path, asset)

    link = ada.post(f"{path}/share").json()["link"]
    shown = anybody.get(f"/api{link}")

    assert [one["content"] for one in shown.json()["messages"]] == ["look"]
    assert asset["id"] not in shown.text
    assert anybody.get(f"/api/assets/{asset['id']}").status_code == 401


def test_an_upload_that_is_cut_off_stores_nothing(api: Api, ada: httpx.Client) -> None:
    address = urlsplit(api.url)
    head = (
        "POST /api/assets?name=cut.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
        f"Authorization: {ada.headers['Authorization']}\r\n\r\n"
    )
    uploads = api.app.state.services.uploads
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(head.replace("Host: x", f"Host: {address.netloc}").encode() + b"x" * 999)
        eventually(lambda: uploads._held_bytes == 999)
    eventually(lambda: uploads._held_bytes == 0)

    assert rows(api, "asset", ada) == 0
    uploaded(ada)  # and its place is free
