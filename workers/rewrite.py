"""The SQL of entries that change messages which are stored: they are cut, edited or exchanged.

Each is executed alone, after what came before it in its batch was written, and in the same
transaction. Who branches pays for it; who adds or reads does not.
"""

from collections.abc import Iterator
from typing import Any, Final

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, badly named

from api.core.entries import Entry
from workers.plan import Plan

_COLUMNS: Final = (
    "id, conversation_id, user_id, position, role, content, status, created_at, external_id, extra,"
    " edited_at"
)
_AT: Final = "timestamptz 'epoch' + %(at)s * interval '1 millisecond'"
#: From which position on an entry cuts: that of its message, or of its branch's first one.
_FROM_MESSAGE: Final = (
    "SELECT position FROM message WHERE id = %(message)s AND conversation_id = %(conversation)s"
)
_FROM_BRANCH: Final = (
    "SELECT min(position) FROM message_aside"
    " WHERE conversation_id = %(conversation)s AND branch_id = %(branch)s"
)


#: Puts aside what is at a position and after it.
_INTO_ASIDE: Final = f"""
    INSERT INTO message_aside ({_COLUMNS}, branch_id, parent_id, aside_at)
    SELECT {_COLUMNS}, %(entry)s, coalesce(lag(id) OVER (ORDER BY position), (
        SELECT id FROM message AS before WHERE before.conversation_id = %(conversation)s
            AND before.position = cut.position - 1)), {_AT}
    FROM cut
"""  # noqa: S608 - our own words
_KEEP: Final = f"""
    WITH cut AS (
        DELETE FROM message
        WHERE conversation_id = %(conversation)s AND position >= ({_FROM_MESSAGE})
        RETURNING {_COLUMNS}
    )
    {_INTO_ASIDE}
"""  # noqa: S608 - our own words
#: With what had been put aside of branches that began in what is dropped.
_DROP: Final = f"""
    WITH RECURSIVE dropped AS (
        SELECT id FROM message
        WHERE conversation_id = %(conversation)s AND position >= ({_FROM_MESSAGE})
        UNION ALL
        SELECT a.id FROM message_aside AS a JOIN dropped AS d ON a.parent_id = d.id
        WHERE a.conversation_id = %(conversation)s
    ), stored AS (DELETE FROM message AS m USING dropped AS d WHERE m.id = d.id)
    DELETE FROM message_aside AS a USING dropped AS d WHERE a.id = d.id
"""  # noqa: S608 - our own words
_SWITCH: Final = f"""
    WITH cut AS (
        DELETE FROM message
        WHERE conversation_id = %(conversation)s AND position >= ({_FROM_BRANCH})
        RETURNING {_COLUMNS}
    )
    {_INTO_ASIDE};
    WITH back AS (
        DELETE FROM message_aside
        WHERE conversation_id = %(conversation)s AND branch_id = %(branch)s
        RETURNING {_COLUMNS}
    )
    INSERT INTO message ({_COLUMNS}) SELECT {_COLUMNS} FROM back
"""  # noqa: S608 - our own words
_PUT: Final = f"""
    UPDATE message SET content = coalesce(%(content)s, content),
        extra = CASE WHEN %(with_extra)s THEN %(extra)s::json ELSE extra END, edited_at = {_AT}
    WHERE id = %(message)s AND conversation_id = %(conversation)s
        AND status IN ('stored', 'interrupted')
"""  # noqa: S608 - our own words
_REMOVE: Final = f"""
    UPDATE message SET content = '', extra = NULL, external_id = NULL, status = 'deleted',
        edited_at = {_AT}
    WHERE id = %(message)s AND conversation_id = %(conversation)s
"""  # noqa: S608 - our own words
_REWRITTEN: Final = f"""
    UPDATE conversation SET rewritten_id = %(entry)s, updated_at = {_AT}, message_count = coalesce((
        SELECT max(position) FROM message WHERE conversation_id = %(conversation)s), 0)
    WHERE id = %(conversation)s
"""  # noqa: S608 - our own words
#: Ids of the copies follow the conversation's, as the script left room for them. A source that was
#: deleted meanwhile leaves nothing to copy.
_FORK: Final = f"""
    WITH source AS (
        SELECT * FROM conversation
        WHERE id = %(source)s AND user_id = %(user)s AND deleted_at IS NULL
    ), copied AS (
        SELECT m.* FROM message AS m JOIN source AS s ON s.id = m.conversation_id
        WHERE m.position <= %(n)s
    ), made AS (
        INSERT INTO conversation (id, user_id, title, metadata, tags, expires_in_days, created_at,
            updated_at, forked_from, forked_at, message_count)
        SELECT %(conversation)s, %(user)s, CASE WHEN %(titled)s THEN %(title)s ELSE s.title END,
            s.metadata, s.tags, s.expires_in_days, {_AT}, {_AT}, %(source)s, %(n)s,
            (SELECT count(*) FROM copied)
        FROM (SELECT 1) AS one LEFT JOIN source AS s ON true
    )
    INSERT INTO message ({_COLUMNS})
    SELECT %(conversation)s + 16 * position, %(conversation)s, user_id, position, role, content,
        status, created_at, external_id, extra, edited_at
    FROM copied
"""  # noqa: S608 - our own words


def statements(cursor: Cursor, entry: Entry, plan: Plan) -> Iterator[bytes]:
    """Yield what rewrites an entry's conversation, or makes it as a copy."""
    change = entry.change
    facts: dict[str, Any] = {
        "entry": entry.id,
        "conversation": entry.conversation_id,
        "at": entry.created_at_ms,
        "message": change.get("message"),
        "branch": change.get("branch"),
        "content": change.get("content"),
        "with_extra": "extra" in change,
        "extra": change.get("extra"),
    }
    if entry.op == "fork":
        facts |= {"user": entry.user_id, "source": change["source"], "n": change["position"]}
        facts |= {"titled": bool(change["title"])}
        facts |= {"title": None if entry.id in plan.refused else change["title"]}
        yield cursor.mogrify(_FORK, facts)
        return
    match entry.op:
        case "truncate":
            statement = _KEEP if change["keep"] else _DROP
        case "switch":
            statement = _SWITCH
        case "put":
            statement = _PUT
        case _:
            statement = _REMOVE
    yield cursor.mogrify(statement, facts)
    yield cursor.mogrify(_REWRITTEN, facts)
