"""A Verbatim without faults, in memory: it makes good histories for the checker's own tests."""

from dataclasses import replace
from itertools import count

from tests.chaos.history import Answered, Event, Invoked, Kind, Outcome, Polled, Row
from tests.chaos.tables import ConversationRow, DeadRow, MessageRow, Tables, digest

USERS = (1, 2)


class Ideal:
    """Applies operations at once and writes down what a tester would have."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.conversations: dict[int, ConversationRow] = {}
        self.rows: dict[int, list[MessageRow]] = {}
        self.dead: list[DeadRow] = []
        self._ids = count(1_000)
        self._names = count(1)
        self._clock = 0.0

    @property
    def tables(self) -> Tables:
        """What PostgreSQL would hold."""
        messages = [row for rows in self.rows.values() for row in rows]
        return Tables(dict(self.conversations), messages, list(self.dead))

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
        self.rows[conversation] = []
        self._tell(name, "ok", entry=conversation, conversation=conversation)
        return conversation

    def message(self, conversation: int, told: Outcome = "ok", *, written: bool = True) -> str:
        """Send a message; what is refused is never written."""
        name = self._ask("message", self._owner(conversation), conversation, "user")
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
        self.rows[conversation] = []
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

    def _ask(self, kind: Kind, user: int, conversation: int = 0, role: str = "") -> str:
        name = f"i-{next(self._names)}"
        text = digest(_text(name, "user"))
        self.events.append(Invoked(self.tick(), name, kind, user, conversation, role, text))
        return name

    def _ask_again(self, name: str) -> None:
        first = next(e for e in self.events if isinstance(e, Invoked) and e.op == name)
        self.events.append(replace(first, at=self.tick()))

    def _tell(self, name: str, told: Outcome, *, entry: int = 0, conversation: int = 0) -> None:
        self.events.append(
            Answered(self.tick(), name, told, entry=entry, conversation=conversation)
        )

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
        owned = self.conversations[conversation]
        self.conversations[conversation] = replace(owned, count=len(rows))
        return row


def _text(name: str, role: str) -> str:
    return f"#{name}# by the {role}"
