"""What rewrites a conversation's messages in a batch, or makes a conversation as a copy.

Each entry is executed alone, after what came before it in its batch was written.
"""

from collections.abc import Iterator

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, badly named

from api.core import rewriting
from api.core.entries import Entry
from workers.plan import Plan


def statements(cursor: Cursor, entry: Entry, plan: Plan) -> Iterator[bytes]:
    """Yield the statements of an entry."""
    conversation_id, at_ms, change = entry.conversation_id, entry.created_at_ms, entry.change
    if entry.op == "fork":
        titled = entry.id not in plan.refused
        copy = rewriting.fork(conversation_id, entry.user_id, at_ms, change, titled=titled)
        yield cursor.mogrify(*copy)
        return
    facts = rewriting.facts_of(entry.id, conversation_id, at_ms, change)
    for statement in rewriting.statements(entry.op, change, facts):
        yield cursor.mogrify(*statement)
