"""People with accounts, and histories made for them."""

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg2
from argon2 import PasswordHasher
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, badly named
from psycopg2.extras import execute_values

from api.core.settings import Settings
from api.http import cookies
from api.local.discover import completed
from tests.support.waiting import eventually

PASSWORD = "correct horse battery staple"
#: Made once: on a busy machine a hash takes seconds.
_PASSWORD_HASH = PasswordHasher().hash(PASSWORD)
#: Ids below 2**41 are imported ones: the pipeline never gives them out.
_imported_from = itertools.count(1_000_000, 1_000_000)


class Person:
    """Somebody with an account, signed in once; speaks to the API without a browser."""

    def __init__(self, url: str, name: str, data: Path) -> None:
        self.url, self.name, self.data = url, name, data
        self._settings = Settings(_env_file=None, verbatim_data_dir=data)
        self._client = httpx.Client(base_url=url, timeout=60)
        self._client.headers["Origin"] = url
        with self._database() as cursor:
            account = (name, f"{name}@example.com", _PASSWORD_HASH)
            row = 'INSERT INTO "user" (username, email, password_hash) VALUES (%s, %s, %s)'
            cursor.execute(f"{row} RETURNING id", account)
            self.id = int(cursor.fetchall()[0][0])
        self._post("/auth/session", {"username": name, "password": PASSWORD})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def session(self) -> str:
        """What a browser keeps of being signed in, in its cookie."""
        return str(self._client.cookies[cookies.NAME])

    def conversation(self, *messages: str, title: str | None = None) -> int:
        """Open a conversation with these messages, alternately the person's and the assistant's."""
        body = {} if title is None else {"title": title}
        conversation = int(self._post("/api/conversations/", body)["id"])
        last = conversation
        for number, content in enumerate(messages):
            last = self.add(conversation, "assistant" if number % 2 else "user", content)
        self.get(f"/api/conversations/{conversation}", read_after=last)
        return conversation

    def add(self, conversation: int, role: str, content: str, **more: Any) -> int:
        """Add a message and return its id."""
        body = {"role": role, "content": content, **more}
        return int(self._post(f"/api/conversations/{conversation}/messages", body)["id"])

    def begin_answer(self, conversation: int, text: str) -> int:
        """Say something, go away before the answer, and return the turn."""
        path, stream = f"/api/chat/sess_{conversation:x}/message", {"Accept": "text/event-stream"}
        with self._client.stream("POST", path, json={"message": text}, headers=stream) as answer:
            start = next(line for line in answer.iter_lines() if line.startswith("data: "))
        return int(json.loads(start.removeprefix("data: "))["messageId"])

    def messages(self, conversation: int) -> list[dict[str, Any]]:
        """Return what is stored."""
        found = self.get(f"/api/conversations/{conversation}/messages", limit=100)
        return list(found["messages"])

    def conversations(self) -> list[dict[str, Any]]:
        """Return the latest of the list."""
        return list(self.get("/api/conversations/", limit=100)["conversations"])

    def get(self, path: str, **query: Any) -> Any:
        """Read something, however long the drain takes on a busy machine."""

        def answered() -> httpx.Response | None:
            answer = self._client.get(path, params=query)
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        answer = eventually(answered)
        assert answer is not None
        answer.raise_for_status()
        return answer.json()

    def delete(self, conversation: int) -> None:
        """Delete a conversation, as another page would, and wait until it has gone."""
        answer = self._client.delete(f"/api/conversations/{conversation}")
        answer.raise_for_status()
        self.get("/api/conversations/", read_after=answer.json()["entry_id"])

    def delete_asset(self, asset: str) -> None:
        """Delete a file, as another page would."""
        self._client.delete(f"/api/assets/{asset}").raise_for_status()

    def import_conversations(self, count: int) -> list[int]:
        """Have had this many conversations for a long time, `Conversation <count>` the newest.

        Two begin in each second, one of them at its start. Returns their ids, the oldest first.
        """
        first = next(_imported_from)
        start = datetime(2026, 1, 1, tzinfo=UTC)
        ids = [first + n for n in range(1, count + 1)]
        times = [start + timedelta(milliseconds=500 * n) for n in range(1, count + 1)]
        self._insert(
            "conversation (id, user_id, title, message_count, created_at, updated_at)",
            [
                (new, self.id, f"Conversation {n}", 0, at, at)
                for n, (new, at) in enumerate(zip(ids, times, strict=True), 1)
            ],
        )
        return ids

    def rename_imported(self, conversations: Sequence[int], title: str) -> None:
        """Have had another title for imported conversations all the time."""
        with self._database() as cursor:
            cursor.execute(
                "UPDATE conversation SET title = %s WHERE id = ANY(%s)",
                (title, list(conversations)),
            )

    def touch(self, conversations: Sequence[int]) -> None:
        """Have something happen in conversations now: they move to the top of the list."""
        with self._database() as cursor:
            cursor.execute(
                "UPDATE conversation SET updated_at = clock_timestamp() WHERE id = ANY(%s)",
                (list(conversations),),
            )

    def import_history(self, count: int) -> int:
        """Have had a conversation of this many messages, `Message 1` the first."""
        conversation = next(_imported_from)
        at = datetime(2026, 1, 1, tzinfo=UTC)
        self._insert(
            "conversation (id, user_id, title, message_count, created_at, updated_at)",
            [(conversation, self.id, "A long one", count, at, at)],
        )
        self._insert(
            "message (id, conversation_id, user_id, position, role, content, status, created_at)",
            [
                (conversation + n, conversation, self.id, n, _role(n), _words(n), "stored", at)
                for n in range(1, count + 1)
            ],
        )
        return conversation

    def use_tokens(self, conversation: int, day: datetime, read: int, written: int) -> None:
        """Have had a model answer on a day (UTC), and tell what it took."""
        row = (self.id, day.date(), conversation, 1, read, written)
        self._insert("token_usage", [row])

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        # As an import does: the conversations are older than the log.
        with self._database() as cursor:
            execute_values(cursor, f"INSERT INTO {table} VALUES %s", rows, page_size=1000)

    @contextmanager
    def _database(self) -> Iterator[Cursor]:
        """Lend a transaction of the schema's owner."""
        owner = completed(self._settings).migration_database.set(drivername="postgresql")
        with (
            closing(psycopg2.connect(owner.render_as_string(hide_password=False))) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            yield cursor

    def _post(self, path: str, body: dict[str, str]) -> Any:
        answer = self._client.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


def _role(number: int) -> str:
    return "user" if number % 2 else "assistant"


def _words(number: int) -> str:
    """Return a message of one to eight lines."""
    return f"Message {number}. " + "Some more words to fill the line. " * (number * 7 % 16)
