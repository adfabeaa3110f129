"""The SQL of which messages name which assets, in the transactions that write the messages.

Workers run it, and operators who redrive a dead letter. An asset goes with the last message that
names it. One that is not there, or another user's, is left out: a message never fails for it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from api.core import assets

#: As many go at once as a statement deletes in time, however large they are; `workers.orphans`
#: finds the others.
_AT_ONCE: Final = 10
#: Assets that no message names any more, once the uses in `gone` are.
_DROP: Final = f"""
    DELETE FROM asset AS a USING (
        SELECT DISTINCT g.asset_id FROM gone AS g WHERE NOT EXISTS (
            SELECT FROM asset_use AS u WHERE u.asset_id = g.asset_id AND NOT EXISTS (
                SELECT FROM gone AS h
                WHERE h.asset_id = u.asset_id AND h.message_id = u.message_id))
        LIMIT {_AT_ONCE}
    ) AS unused WHERE a.id = unused.asset_id
"""  # noqa: S608 - our own number
ADD: Final = """
    INSERT INTO asset_use (asset_id, message_id, conversation_id, user_id)
    SELECT e.asset_id, e.message_id, e.conversation_id, e.user_id
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
        AS e (asset_id, message_id, conversation_id, user_id)
    JOIN asset AS a ON a.id = e.asset_id AND a.user_id = e.user_id
    ON CONFLICT DO NOTHING
"""
#: A deleted conversation loses its messages later.
FORGET: Final = f"""
    WITH gone AS (
        DELETE FROM asset_use WHERE conversation_id = ANY(%(conversations)s::bigint[])
        RETURNING asset_id, message_id
    ) {_DROP}
"""  # noqa: S608 - our own words
#: After messages of a conversation were cut off or deleted.
PRUNE: Final = f"""
    WITH gone AS (
        DELETE FROM asset_use AS u WHERE u.conversation_id = %(conversation)s
            AND NOT EXISTS (
                SELECT FROM message AS m WHERE m.id = u.message_id AND m.status <> 'deleted')
            AND NOT EXISTS (
                SELECT FROM message_aside AS m WHERE m.id = u.message_id AND m.status <> 'deleted')
        RETURNING asset_id, message_id
    ) {_DROP}
"""  # noqa: S608 - our own words
#: After a message got another `extra`.
CHANGE: Final = f"""
    INSERT INTO asset_use (asset_id, message_id, conversation_id, user_id)
    SELECT a.id, m.id, m.conversation_id, m.user_id
    FROM (
        SELECT id, conversation_id, user_id, status FROM message
        UNION ALL SELECT id, conversation_id, user_id, status FROM message_aside
    ) AS m JOIN asset AS a ON a.user_id = m.user_id
    WHERE m.id = %(message)s AND m.conversation_id = %(conversation)s
        AND m.status IN ('stored', 'interrupted') AND a.id = ANY(%(assets)s::text[])
    ON CONFLICT DO NOTHING;
    WITH gone AS (
        DELETE FROM asset_use
        WHERE message_id = %(message)s AND conversation_id = %(conversation)s
            AND asset_id <> ALL(%(assets)s::text[])
        RETURNING asset_id, message_id
    ) {_DROP}
"""  # noqa: S608 - our own words
#: After a copy was made; it names what its source does, as far as it goes.
COPY: Final = """
    INSERT INTO asset_use (asset_id, message_id, conversation_id, user_id)
    SELECT u.asset_id, %(conversation)s + 16 * m.position, %(conversation)s, u.user_id
    FROM asset_use AS u JOIN message AS m ON m.id = u.message_id
    WHERE u.conversation_id = %(source)s AND u.user_id = %(user)s AND m.position <= %(n)s
    ON CONFLICT DO NOTHING
"""


def rows(
    messages: Iterable[tuple[int, int, int, str | None]],
) -> list[tuple[str, int, int, int]]:
    """Return what ADD takes of messages: their ids, conversations, users, and `extra` as text."""
    return [
        (asset_id, message_id, conversation_id, user_id)
        for message_id, conversation_id, user_id, extra in messages
        for asset_id in assets.named_in(extra)
    ]


def after(op: str, change: Mapping[str, Any]) -> str | None:
    """Return the statement that follows a change of stored messages, if one does."""
    if op == "put":
        return CHANGE if "extra" in change else None
    return PRUNE if op in {"truncate", "remove"} else None
