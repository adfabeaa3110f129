"""Redrives of entries that change messages which are stored, or copy them.

They come late: what was accepted after them is written already, and stays. So an edit is applied
only where its message was not changed since; a cut or a switch only where none of the
conversation's messages were, and what was added since stays at the end.
"""

from typing import Any, Final

from sqlalchemy import Connection, Row

from api.core import changes, rewriting

_MESSAGE: Final = """
    SELECT edited_at >= %(at)s FROM (
        SELECT id, conversation_id, edited_at FROM message
        UNION ALL
        SELECT id, conversation_id, edited_at FROM message_aside
    ) AS m WHERE id = %(message)s AND conversation_id = %(conversation)s
"""
#: Of what is cut or exchanged: whether it is where it was, and whether anything was changed since.
_LINE: Final = """
    SELECT EXISTS (
            SELECT FROM message WHERE id = %(message)s AND conversation_id = c.id
        ) OR EXISTS (
            SELECT FROM message_aside AS a WHERE conversation_id = c.id
                AND branch_id = %(branch)s AND (parent_id IS NULL OR EXISTS (
                    SELECT FROM message WHERE id = a.parent_id AND conversation_id = c.id))
        ),
        coalesce(rewritten_id, 0) > %(entry)s
    FROM conversation AS c WHERE id = %(conversation)s
"""
_SOURCE: Final = """
    SELECT message_count >= %(n)s, coalesce(rewritten_id, 0) > %(entry)s
    FROM conversation WHERE id = %(source)s AND user_id = %(user)s AND deleted_at IS NULL
"""
_TITLE: Final = """
    UPDATE conversation SET title = coalesce(title, %(title)s) WHERE id = %(conversation)s
"""
_GONE: Final = "what it changes is gone"
_CHANGED: Final = "what it changes was changed since"


def apply(connection: Connection, letter: Row[Any], *, exists: bool) -> str:
    """Apply a letter; return the reason why it cannot be, or an empty string.

    `exists`: its conversation does. Raises ValueError where it says something else than it may.
    """
    change = changes.decode(letter.op, bytes(letter.payload))
    at_ms = round(letter.entry_created_at.timestamp() * 1000)
    if letter.op == "fork":
        return _fork(connection, letter, change, at_ms, exists=exists)
    facts = rewriting.facts_of(letter.entry_id, letter.conversation_id, at_ms, change)
    if letter.op in {"put", "remove"}:
        asked = facts | {"at": letter.entry_created_at}
        found = connection.exec_driver_sql(_MESSAGE, asked).one_or_none()
        is_there, is_changed = found is not None, bool(found and found[0])
    else:
        is_there, is_changed = connection.exec_driver_sql(_LINE, facts).one()
    if is_changed:
        return _CHANGED
    if not is_there:
        return _GONE
    for statement, parameters in rewriting.late_statements(letter.op, change, facts):
        connection.exec_driver_sql(statement, parameters)
    return ""


def _fork(
    connection: Connection,
    letter: Row[Any],
    change: dict[str, Any],
    at_ms: int,
    *,
    exists: bool,
) -> str:
    """Make a copy, or give it the title that it lacks."""
    statement, facts = rewriting.fork(
        letter.conversation_id, letter.user_id, at_ms, change, titled=True
    )
    if exists:
        connection.exec_driver_sql(_TITLE, facts | {"title": change["title"] or None})
        return ""
    asked = facts | {"entry": letter.entry_id}
    source = connection.exec_driver_sql(_SOURCE, asked).one_or_none()
    if source is None or not source[0]:
        return "what it copies is gone"
    if source[1]:
        return "what it copies was changed since"
    connection.exec_driver_sql(statement, facts)
    return ""
