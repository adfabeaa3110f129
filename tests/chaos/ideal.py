"""A Verbatim without faults, in memory: it makes good histories for the checker's own tests."""

from dataclasses import replace
from itertools import count
from typing import Any

from api.core.ids import PARTITIONS
from tests.chaos.history import LAST, Answered, Event, Invoked, Kind, Outcome, Polled, Row
from tests.chaos.tables import ConversationRow, DeadRow, MessageRow, Tables, digest

USERS = (1, 2)


class Ideal:
    """Applies operations at once and writes down what a tester would have."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.conversations: dict[int, ConversationRow] = {}
        self.rows: dict[int, list[MessageRow]] = {}
        self.aside: dict[int, list[MessageRow]] = {}
        self.dead: list[DeadRow] = []
        self.parents: dict[int, int] = {}
        self._ids = count(63 * PARTITIONS, PARTITIONS)
        self._names = count(1)
        self._clock = 0.0

    @property
    def tables(self) -> Tables:
        """What PostgreSQL would hold."""
        messages = [row for rows in self.rows.values() for row in rows]
        aside = [row for rows in self.aside.values() for row in rows]
        return Tables(dict(self.conversations), messages, list(self.dead), aside)

    def tick(self) -> float:
        """Return the next moment."""
        self._clock += 1
        return self._clock

    def open(self, user: int) -> int:
        """Open a conversation and return its id."""
        conversation = next(self._ids)
        name = self._ask("open", user)
        self.conversations[conversation] = ConversationRow(
            conversation, user, None, 0, deleted=False, closed=False
        )
        self.rows[conversation], self.aside[conversation] = [], []
        self._tell(name, "ok", entry=conversation, conversation=conversation)
        return conversation

    def message(
        self,
        conversation: int,
        told: Outcome = "ok",
        *,
        written: bool = True,
        if_last: int = -1,
    ) -> str:
        """Send a message; what is refused is never written."""
        name = self._ask(
            "message", self._owner(conversation), conversation, "user", if_last=if_last
        )
        row = self._write(conversation, name, "user") if written and told != "refused" else None
        self._tell(name, told, entry=row.id if row and told == "ok" else 0)
        return name

    def retry(self, conversation: int, *, written_first: bool) -> str:
        """Send a message whose first attempt got no answer, and send it again."""
        name = self._ask("message", self._owner(conversation), conversation, "user")
        row = self._write(conversation, name, "user") if written_first else None
        self._tell(name, "unknown")
        self._ask_again(name)
        row = row or self._write(conversation, name, "user")
        self._tell(name, "ok", entry=row.id)
        return name

    def batch(self, conversation: int, size: int, told: Outcome = "ok") -> str:
        """Send a batch of messages; what is refused is never written."""
        batch, owner = f"i-{next(self._names)}", self._owner(conversation)
        names = [
            self._ask("message", owner, conversation, "user", batch=batch) for _ in range(size)
        ]
        rows = [self._write(conversation, name, "user") for name in names if told != "refused"]
        for at, name in enumerate(names):
            self._tell(name, told, entry=rows[at].id if told == "ok" else 0)
        return batch

    def named(self, conversation: int) -> str:
        """Send a message with an external id, and once more; the log knows of the first."""
        owner = self._owner(conversation)
        name = self._ask("message", owner, conversation, "user", external=True)
        row = self._write(conversation, name, "user")
        self.rows[conversation][-1] = row = replace(row, external=name)
        self._tell(name, "unknown")
        self._ask_again(name)
        self._tell(name, "ok", entry=row.id)
        return name

    def put(self, conversation: int, at: int, told: Outcome = "ok") -> str:
        """Change the text of a message; an unknown outcome changes it, too."""
        row = self.rows[conversation][at]
        name = self._ask("put", row.user, conversation, target=row.id)
        if told != "refused":
            self.rows[conversation][at] = replace(row, digest=digest(_text(name, "user")))
        self._tell(name, told, entry=next(self._ids) if told == "ok" else 0)
        return name

    def remove(self, conversation: int, at: int) -> str:
        """Delete one message; its place stays."""
        row = self.rows[conversation][at]
        name = self._ask("remove", row.user, conversation, target=row.id, about=row.op)
        self.rows[conversation][at] = replace(
            row, digest=digest(""), op="", size=0, start="", status="deleted", external=""
        )
        self._tell(name, "ok", entry=next(self._ids))
        return name

    def truncate(
        self, conversation: int, at: int, told: Outcome = "ok", *, keep: bool = True
    ) -> int:
        """Cut a conversation before a message; return the entry."""
        row, entry = self.rows[conversation][at], next(self._ids)
        name = self._ask("truncate", row.user, conversation, target=row.id, keep=keep)
        if told != "refused":
            self._cut(entry, conversation, at)
            if not keep:
                self._drop(conversation, {row.id})
        self._tell(name, told, entry=entry if told == "ok" else 0)
        return entry

    def switch(self, conversation: int, branch: int) -> int:
        """Bring a branch back for what is in its place; return the entry. It must fit."""
        entry = next(self._ids)
        owner, aside = self._owner(conversation), self.aside[conversation]
        name = self._ask("switch", owner, conversation, target=branch)
        back = sorted((row for row in aside if row.branch == branch), key=lambda r: r.position)
        self.aside[conversation] = [row for row in aside if row.branch != branch]
        self._cut(entry, conversation, back[0].position - 1)
        self.rows[conversation] += [replace(row, branch=0) for row in back]
        self._count(conversation)
        self._tell(name, "ok", entry=entry)
        return entry

    def fork(self, conversation: int, position: int) -> int:
        """Copy a conversation up to a position; return the copy."""
        owner, copy = self._owner(conversation), next(self._ids)
        name = self._ask("fork", owner, target=conversation)
        rows = self.rows[conversation][:position]
        copied = [replace(row, id=next(self._ids), conversation=copy) for row in rows]
        self.conversations[copy] = ConversationRow(
            *(copy, owner, None, len(copied)),
            deleted=False,
            closed=False,
            forked_from=conversation,
            forked_at=position,
        )
        self.rows[copy], self.aside[copy] = copied, []
        self._tell(name, "ok", entry=copy, conversation=copy)
        return copy

    def replace(self, conversation: int, at: int) -> str:
        """Send a chat turn in the place of an earlier one."""
        row = self.rows[conversation][at]
        name = self._ask("turn", row.user, conversation, target=row.id)
        self._cut(next(self._ids), conversation, at)
        question = self._write(conversation, name, "user")
        reply = self._write(conversation, name, "assistant")
        self._tell(name, "ok", entry=question.id, reply=reply.id, reply_digest=reply.digest)
        return name

    def regenerate(self, conversation: int, told: Outcome = "ok") -> str:
        """Have the last message of the user's answered anew; there is one."""
        rows = self.rows[conversation]
        at = max(at for at, row in enumerate(rows) if row.role == "user" and row.op)
        row = rows[at]
        name = self._ask("turn", row.user, conversation, target=LAST)
        self._cut(next(self._ids), conversation, at)
        question = self._write(conversation, row.op, "user")
        self.rows[conversation][-1] = replace(question, digest=row.digest)
        reply = self._write(conversation, row.op, "assistant")
        answer = {"reply": reply.id, "reply_digest": reply.digest, "about": row.op}
        self._tell(name, told, entry=question.id, **(answer if told == "ok" else {}))
        return name

    def turn(self, conversation: int) -> str:
        """Send a chat turn."""
        # What PostgreSQL refused has no text.
        said = [row.op for row in self.rows[conversation] if row.role == "user" and row.op]
        name = self._ask("turn", self._owner(conversation), conversation)
        question = self._write(conversation, name, "user")
        reply = self._write(conversation, name, "assistant")
        self.events.append(
            Answered(
                self.tick(), name, "ok", entry=question.id, reply=reply.id,
                reply_digest=reply.digest, remembered=len(said), last=said[-1] if said else "",
            )
        )  # fmt: skip
        return name

    def cut_turn(self, conversation: int, shown: int = 5) -> str:
        """Stream the beginning of a turn's answer, so many signs; `rescue` stores the answer."""
        name = self._ask("turn", self._owner(conversation), conversation)
        question = self._write(conversation, name, "user")
        text = _text(name, "assistant")[:shown]
        self.events.append(Answered(self.tick(), name, "ok", entry=question.id, shown=text))
        return name

    def rescue(self, conversation: int, name: str) -> None:
        """Store the answer of a turn whose stream was cut."""
        self._write(conversation, name, "assistant")

    def poison(self, conversation: int) -> str:
        """Put an entry in the log that PostgreSQL refuses."""
        name = self._ask("poison", self._owner(conversation), conversation, "user")
        row = self._write(conversation, name, "user")
        rows = self.rows[conversation]
        rows[-1] = replace(row, status="unavailable", digest=digest(""), op="", size=0)
        self.dead.append(
            DeadRow(
                row.id, conversation, row.user, row.position, row.digest, "refused", settled=False
            )
        )
        self._tell(name, "ok", entry=row.id)
        return name

    def rename(self, conversation: int) -> str:
        """Give a title."""
        name = self._ask("rename", self._owner(conversation), conversation)
        row = self.conversations[conversation]
        self.conversations[conversation] = replace(row, title=f"#{name}# title")
        self._tell(name, "ok", entry=next(self._ids))
        return name

    def delete(self, conversation: int) -> int:
        """Delete a conversation and return the entry's id."""
        name = self._ask("delete", self._owner(conversation), conversation)
        row = self.conversations[conversation]
        self.conversations[conversation] = replace(row, title=None, deleted=True)
        self.rows[conversation], self.aside[conversation] = [], []
        entry = next(self._ids)
        self._tell(name, "ok", entry=entry)
        return entry

    def read(self, conversation: int, first: int = 1, limit: int = 50, after: int = 0) -> Polled:
        """Read one page."""
        began = self.tick()
        row = self.conversations[conversation]
        page = self.rows[conversation][first - 1 : first - 1 + limit]
        poll = Polled(
            began,
            self.tick(),
            row.user,
            conversation,
            found=not row.deleted,
            total=0 if row.deleted else row.count,
            asked=(first, first - 1 + limit),
            shown=((first, first - 1 + len(page)),) if page else (),
            news=tuple(Row(r.position, r.id, r.digest, r.op, r.status) for r in page),
            read_after=after,
        )
        self.events.append(poll)
        return poll

    def _owner(self, conversation: int) -> int:
        return self.conversations[conversation].user

    def _cut(self, entry: int, conversation: int, at: int) -> None:
        """Put aside what is at an index and after it."""
        rows = self.rows[conversation]
        for before, row in zip([None, *rows], rows, strict=False):
            self.parents[row.id] = before.id if before else 0
        self.aside[conversation] += [replace(row, branch=entry) for row in rows[at:]]
        del rows[at:]
        self._count(conversation)

    def _drop(self, conversation: int, gone: set[int]) -> None:
        """Forget what is aside and among these, or follows one of them."""
        aside = self.aside[conversation]
        left = [r for r in aside if r.id not in gone and self.parents[r.id] not in gone]
        self.aside[conversation] = left
        if len(left) < len(aside):
            self._drop(conversation, gone | {r.id for r in aside if r not in left})

    def _count(self, conversation: int) -> None:
        count = len(self.rows[conversation])
        self.conversations[conversation] = replace(self.conversations[conversation], count=count)

    def _ask(
        self, kind: Kind, user: int, conversation: int = 0, role: str = "", **more: Any
    ) -> str:
        name = f"i-{next(self._names)}"
        text = "" if more.get("target") == LAST else digest(_text(name, "user"))
        self.events.append(Invoked(self.tick(), name, kind, user, conversation, role, text, **more))
        return name

    def _ask_again(self, name: str) -> None:
        first = next(e for e in self.events if isinstance(e, Invoked) and e.op == name)
        self.events.append(replace(first, at=self.tick()))

    def _tell(self, name: str, told: Outcome, *, entry: int = 0, **more: Any) -> None:
        self.events.append(Answered(self.tick(), name, told, entry=entry, **more))

    def _write(self, conversation: int, name: str, role: str) -> MessageRow:
        rows = self.rows[conversation]
        text = _text(name, role)
        row = MessageRow(
            next(self._ids),
            conversation,
            self._owner(conversation),
            len(rows) + 1,
            role,
            "stored",
            digest(text),
            name,
            len(text),
            text if role == "assistant" else "",
        )
        rows.append(row)
        self._count(conversation)
        return row


def _text(name: str, role: str) -> str:
    return f"#{name}# by the {role}"
