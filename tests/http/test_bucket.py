"""Files in a bucket: on a real server of S3's protocol, which goes away, too."""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from api.core.bucket import Bucket
from api.core.database import make_engine
from api.core.errors import Unavailable
from api.core.settings import Settings
from tests.drain.processes import WorkerProcess
from tests.security.tls import Authority
from tests.support.api import PASSWORD, Api, StartApi
from tests.support.api_process import ApiProcess
from tests.support.bucket_server import BUCKET, KEY_ID, PREFIX, BucketServer, putting
from tests.support.files import PNG
from tests.support.uploading import (
    attachments,
    changed,
    conversation_of,
    is_there,
    named,
    rows,
    uploaded,
)
from tests.support.waiting import eventually
from workers.leftovers import Leftovers
from workers.orphans import Orphans

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("drained")]

Search = Callable[[], object]
#: The settings of an API on the same database and log.
SAME = ("database_url", "worker_database_url", "database_direct_url", "log_namespace")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    server = BucketServer(tmp_path_factory.mktemp("bucket"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def api(start_api: StartApi, server: BucketServer) -> Api:
    return start_api(**server.settings)


@pytest.fixture
def worker(api: Api) -> Iterator[Engine]:
    """The database under the worker's own role."""
    engine = make_engine(api.settings.worker_database, application_name="verbatim-test")
    yield engine
    engine.dispose()


@pytest.fixture
def search_with(
    api: Api, worker: Engine, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Bucket], int]:
    """Have a worker look for what is to be deleted."""
    monkeypatch.setattr(api.log, "wants_orphans", lambda: True)
    return lambda bucket: Orphans(api.log, worker, bucket, lambda: False).run()


@pytest.fixture
def search(api: Api, search_with: Callable[[Bucket], int]) -> Search:
    bucket = Bucket.of(api.settings, answer_seconds=10)
    return lambda: search_with(bucket)


def run(api: Api, statement: str, **facts: object) -> None:
    with api.engine.begin() as owner:
        owner.execute(text(statement), facts)


def test_a_file_is_in_the_bucket_and_comes_back_from_there(
    api: Api, ada: httpx.Client, server: BucketServer
) -> None:
    # More than a client would send in one piece by itself.
    large = b"x" * (6 * 1024 * 1024)
    image, notes = uploaded(ada), uploaded(ada, large, "notes.txt")

    shown = ada.get(f"/api/assets/{image['id']}")
    known = {"If-None-Match": shown.headers["ETag"]}

    assert server.objects()[image["id"]] == shown.content == PNG
    assert server.objects()[notes["id"]] == large
    assert shown.headers["Content-Type"] == "image/png"
    assert ada.get(f"/api/assets/{notes['id']}").content == large
    assert ada.get(f"/api/assets/{image['id']}", headers=known).status_code == 304
    with api.engine.connect() as owner:
        counted = text("SELECT count(*), count(data) FROM asset WHERE id = ANY(:ids)")
        assert owner.execute(counted, {"ids": [image["id"], notes["id"]]}).one() == (2, 0)
    assert rows(api, "asset_leftover", ada) == 0
    lines = [json.loads(line) for line in ada.get("/api/export").text.splitlines()]
    found = {line["id"]: line["data"] for line in lines if line["type"] == "asset"}
    assert base64.b64decode(found[image["id"]]) == PNG
    assert lines[-1]["assets"] == 2


def test_an_object_goes_with_its_file(
    api: Api, ada: httpx.Client, server: BucketServer, search: Search
) -> None:
    path = conversation_of(ada)
    kept, cut, old, deleted = (uploaded(ada) for _ in range(4))
    named(ada, path, kept)
    message = named(ada, path, cut)
    with closing(api.person()) as leaving:
        left = uploaded(leaving)
        leaving.post("/auth/me/delete", json={"password": PASSWORD}).raise_for_status()
    changed(ada, path, ada.delete(f"{path}/messages/{message}"))
    age = "UPDATE asset SET created_at = now() - interval '25 hours' WHERE id = :id"
    run(api, age, id=old["id"])

    ada.delete(f"/api/assets/{deleted['id']}").raise_for_status()
    at_once = server.objects()
    search()

    ids = [one["id"] for one in (kept, cut, old, deleted, left)]
    assert [id_ in at_once for id_ in ids] == [True, True, True, False, True]
    assert [id_ in server.objects() for id_ in ids] == [True, False, False, False, False]
    assert is_there(ada, kept)
    with api.engine.connect() as owner:
        counted = text("SELECT count(*) FROM asset_leftover WHERE id = ANY(:ids)")
        assert owner.scalar(counted, {"ids": ids}) == 0


def test_anothers_file_is_nobodys_and_the_bucket_is_not_asked(
    ada: httpx.Client, eve: httpx.Client, server: BucketServer
) -> None:
    path = f"/api/assets/{uploaded(ada)['id']}"

    with server.away():
        hers = [eve.get(path), eve.delete(path)]
        mine = ada.get(path)

    assert [answer.status_code for answer in hers] == [404, 404]
    assert mine.status_code == 503
    eventually(lambda: ada.get(path).content == PNG)


def test_while_the_bucket_is_away_nothing_is_stored_half_and_chats_go_on(
    api: Api,
    ada: httpx.Client,
    server: BucketServer,
    search: Search,
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = ada.post("/api/chat/start").json()["sessionId"]
    notes, unwanted = uploaded(ada, b"inside", "notes.txt"), uploaded(ada)
    told = {"message": "read it", "attachments": attachments(notes)}
    key = {"Idempotency-Key": "with a file"}

    with server.away():
        refused = [
            ada.post("/api/assets", content=b"x"),
            ada.get(f"/api/assets/{notes['id']}"),
            ada.post(f"/api/chat/{session}/message", json=told, headers=key),
        ]
        passed = [
            ada.post(f"/api/chat/{session}/message", json={"message": "go on"}),
            ada.delete(f"/api/assets/{unwanted['id']}"),
            ada.get("/api/assets"),
        ]
        with pytest.raises(httpx.RemoteProtocolError):
            ada.get("/api/export")
        search()
        # What is deleted, and what the upload would have become.
        leftovers = rows(api, "asset_leftover", ada)

    for answer in refused:
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert [answer.status_code for answer in passed] == [200, 204, 200]
    assert [one["id"] for one in passed[-1].json()["assets"]] == [notes["id"]]
    assert leftovers == 2
    assert "unused files were not deleted: the storage of files does not answer" in caplog.text
    assert unwanted["id"] in server.objects()
    search()
    assert unwanted["id"] not in server.objects()
    assert rows(api, "asset_leftover", ada) == 1
    answered = ada.post(f"/api/chat/{session}/message", json=told, headers=key)
    assert "notes.txt (text/plain, 6 bytes)" in answered.json()["response"]


def test_files_are_read_where_they_are_whatever_is_set_since(
    api: Api,
    ada: httpx.Client,
    server: BucketServer,
    start_api: StartApi,
    search: Search,
    search_with: Callable[[Bucket], int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    same = {name: getattr(api.settings, name) for name in SAME}
    unset = start_api(**same)
    back = start_api(**same, **server.settings, assets_store="postgresql")
    with closing(unset.client()) as before, closing(back.client()) as after:
        before.headers.update(ada.headers)
        after.headers.update(ada.headers)
        made = [uploaded(person)["id"] for person in (before, ada, after)]
        in_bucket = f"/api/assets/{made[1]}"

        read = [person.get(f"/api/assets/{one}") for person in (ada, after) for one in made]
        without = [before.get(f"/api/assets/{one}").status_code for one in made]
        listed = [one["id"] for one in before.get("/api/assets").json()["assets"]]
        deleted = before.delete(in_bucket)

    assert [id_ in server.objects() for id_ in made] == [False, True, False]
    assert [answer.content for answer in read] == [PNG] * 6
    assert without == [200, 503, 200]
    assert listed == made[::-1]
    assert deleted.status_code == 204
    search_with(Bucket.of(unset.settings))
    assert made[1] in server.objects()
    assert "this server is set up for none (ASSETS_URL)" in caplog.text
    search()
    assert made[1] not in server.objects()


def test_an_account_that_has_no_room_puts_nothing_into_the_bucket(
    start_api: StartApi, server: BucketServer
) -> None:
    before = server.objects()
    api = start_api(**server.settings, user_asset_bytes=10)
    with closing(api.person()) as person:
        assert person.post("/api/assets", content=b"x" * 11).status_code == 409
    assert server.objects() == before


def test_an_upload_that_finds_the_room_taken_leaves_nothing_in_the_bucket(
    start_api: StartApi, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = start_api(**server.settings, user_asset_bytes=10)
    bucket = api.app.state.services.bucket
    put, others = bucket.put, []

    async def slow(name: str, data: bytes) -> None:
        monkeypatch.setattr(bucket, "put", put)
        await put(name, data)
        others.append((await asyncio.to_thread(uploaded, person, b"y" * 6))["id"])

    with closing(api.person()) as person:
        before = server.objects().keys()
        monkeypatch.setattr(bucket, "put", slow)
        assert person.post("/api/assets", content=b"x" * 6).status_code == 409
        assert server.objects().keys() - before == set(others)
        assert rows(api, "asset_leftover", person) == 1


def test_a_turn_does_not_wait_long_for_the_files_of_earlier_messages(
    api: Api, ada: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ada.post("/api/chat/start").json()["sessionId"]
    told = {"message": "read it", "attachments": attachments(uploaded(ada))}
    ada.post(f"/api/chat/{session}/message", json=told).raise_for_status()
    asked = []

    async def silent(name: str) -> bytes:
        asked.append(name)
        await asyncio.sleep(3600)
        return b""

    monkeypatch.setattr(api.app.state.services.bucket, "get", silent)
    monkeypatch.setattr("api.chat.files.EARLIER_SECONDS", 0.1)
    later = ada.post(f"/api/chat/{session}/message", json={"message": "go on"})

    assert later.status_code == 200
    assert asked


def test_a_file_whose_object_is_lost_is_gone(
    api: Api, ada: httpx.Client, server: BucketServer
) -> None:
    lost, kept = uploaded(ada), uploaded(ada)
    session = ada.post("/api/chat/start").json()["sessionId"]

    Bucket.of(api.settings).delete([lost["id"], f"asset_{'0' * 43}"])

    assert [is_there(ada, one) for one in (lost, kept)] == [False, True]
    told = {"message": "look", "attachments": attachments(lost, kept)}
    answered = ada.post(f"/api/chat/{session}/message", json=told).json()["response"]
    assert f"cat.png (image/png, 0 bytes), cat.png (image/png, {len(PNG)} bytes)" in answered
    lines = [json.loads(line) for line in ada.get("/api/export").text.splitlines()]
    assert [line["id"] for line in lines if line["type"] == "asset"] == [kept["id"]]
    assert lines[-1]["type"] == "end"


@pytest.mark.parametrize(
    "wrong",
    [
        {"assets_url": "s3://no-such-bucket"},
        {"assets_secret_access_key": SecretStr("of somebody else")},
        {"assets_endpoint": "http://127.0.0.1:9"},
    ],
    ids=["no such bucket", "another secret", "nobody there"],
)
def test_a_bucket_that_is_not_there_or_refuses_has_lost_no_file(
    api: Api, wrong: dict[str, str | SecretStr]
) -> None:
    bucket = Bucket.of(api.settings.model_copy(update=wrong))

    with pytest.raises(Unavailable):
        bucket.put("x", b"x")
    with pytest.raises(Unavailable):
        bucket.get("x")
    with pytest.raises(Unavailable):
        bucket.delete(["x", "y"])


def test_the_environment_of_other_programs_changes_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    for name in (
        *("S3_EXPRESS", "SKIP_SIGNATURE", "UNSIGNED_PAYLOAD", "REQUEST_PAYER"),
        "VIRTUAL_HOSTED_STYLE_REQUEST",
    ):
        monkeypatch.setenv(f"AWS_{name}", "true")
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "BUCKET", "REGION"):
        monkeypatch.setenv(f"AWS_{name}", "of-another-program")

    with putting() as (endpoint, requests):
        here = api.settings.model_copy(update={"assets_endpoint": endpoint})
        Bucket.of(here).put("x", b"x")

    [(path, headers)] = requests
    assert path == f"/{BUCKET}/{PREFIX}/x"
    assert headers.keys() == {
        *("accept", "authorization", "content-length", "content-type", "host", "user-agent"),
        *("x-amz-content-sha256", "x-amz-date"),
    }
    assert f"Credential={KEY_ID}/" in headers["authorization"]
    assert headers["x-amz-content-sha256"] == sha256(b"x").hexdigest()


def test_a_certificate_of_somebody_else_is_refused(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "data").mkdir()
    server = BucketServer(tmp_path / "data", authority.server())
    settings = api.settings.model_copy(update=server.settings)
    server.start()
    try:
        with pytest.raises(Unavailable):
            Bucket.of(settings).put("x", b"x")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        Bucket.of(settings).put("x", b"x")
    finally:
        server.stop()

    assert server.objects() == {"x": b"x"}


def test_an_upload_that_ends_too_late_is_not_stored(
    api: Api,
    ada: httpx.Client,
    server: BucketServer,
    search: Search,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = api.app.state.services.bucket
    put, names = bucket.put, []

    async def late(name: str, data: bytes) -> None:
        await put(name, data)
        names.append(name)
        due = "UPDATE asset_leftover SET due_at = now() + interval '20 minutes' WHERE id = :id"
        run(api, due, id=name)

    monkeypatch.setattr(bucket, "put", late)
    answer = ada.post("/api/assets", content=b"x")

    assert (answer.status_code, rows(api, "asset", ada)) == (503, 0)
    search()
    assert names[0] in server.objects(), "it is not due yet"
    run(api, "UPDATE asset_leftover SET due_at = now() WHERE id = :id", id=names[0])
    search()
    assert names[0] not in server.objects()


def test_a_search_ends_in_time_and_when_the_worker_stops(
    api: Api,
    ada: httpx.Client,
    worker: Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("workers.leftovers.CHUNK", 2)
    made = [uploaded(ada)["id"] for _ in range(3)]
    run(api, "DELETE FROM asset WHERE id = ANY(:ids)", ids=made)
    is_stopping = True
    leftovers = Leftovers(worker, Bucket.of(api.settings), lambda: is_stopping)

    assert leftovers.delete(time.monotonic() + 60) == 0
    is_stopping = False
    assert leftovers.delete(time.monotonic() - 1) == 2
    assert "the search goes on in an hour" in caplog.text
    assert leftovers.delete(time.monotonic() + 60) == 1


def test_what_a_killed_upload_leaves_is_deleted_by_a_worker(
    start_api: StartApi,
    server: BucketServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    api = start_api(**server.settings)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    with closing(api.person()) as person:
        before = server.objects().keys()
        upload_and_die(api.settings, person)
        [left] = server.objects().keys() - before
        assert [rows(api, table, person) for table in ("asset", "asset_leftover")] == [0, 1]
        run(api, "UPDATE asset_leftover SET due_at = now()")
        as_owner = api.settings.model_copy(
            update={"database_url": api.settings.database_direct_url}
        )
        worker = WorkerProcess(as_owner, tmp_path_factory.mktemp("worker") / "worker.log")
        try:
            worker.wait_until_ready()
            conversation_of(person)
            eventually(lambda: left not in server.objects(), otherwise=worker.said)
            eventually(lambda: not rows(api, "asset_leftover", person), otherwise=worker.said)
        finally:
            worker.end()


def upload_and_die(known: Settings, person: httpx.Client) -> None:
    """Upload to an API process that is killed once the bucket has the file."""
    process = ApiProcess(
        {
            "DATABASE_URL": known.database_url or "",
            "REDIS_URL": known.redis,
            "LOG_NAMESPACE": known.log_namespace,
            "SECRET_KEY": known.signing_key,
            "VERBATIM_FAILPOINTS": "upload.after_put=kill",
        }
    )
    process.start()
    try:
        with (
            httpx.Client(base_url=process.url, headers=person.headers, timeout=60) as client,
            pytest.raises(httpx.TransportError),
        ):
            client.post("/api/assets", content=b"half")
    finally:
        process.terminate()
