"""The SQL of entries that change messages which are stored: they are cut, edited or exchanged.

Workers run it, and operators who redrive a dead letter. Each entry's statements come after what was
accepted before it is written, in the same transaction. Who branches pays for it; who adds or reads
does not.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from api.core import asset_uses, assets

_COLUMNS: Final = (
    "id, conversation_id, user_id, position, role, content, status, created_at, external_id, extra,"
    " edited_at, feedback"
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
        feedback = NULL, edited_at = {_AT}
    WHERE id = %(message)s AND conversation_id = %(conversation)s
"""  # noqa: S608 - our own words
#: What is searched ends before what was changed, until the words are written anew.
_REWRITTEN: Final = f"""
    WITH last AS (
        SELECT coalesce(max(position), 0) AS position FROM message
        WHERE conversation_id = %(conversation)s
    )
    UPDATE conversation SET rewritten_id = greatest(rewritten_id, %(entry)s),
        updated_at = greatest(updated_at, {_AT}), message_count = last.position,
        searched = least(searched, last.position, ({_FROM_MESSAGE}) - 1, (
            SELECT min(position) - 1 FROM message_aside
            WHERE conversation_id = %(conversation)s AND branch_id = %(entry)s))
    FROM last WHERE id = %(conversation)s;
    DELETE FROM message_search WHERE conversation_id = %(conversation)s
        AND position > (SELECT searched FROM conversation WHERE id = %(conversation)s)
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
        status, created_at, external_id, extra, edited_at, NULL
    FROM copied;
    {asset_uses.COPY}
"""  # noqa: S608 - our own words
#: What was added after a cut and is put aside by it, since the cut is made late: its place is at
#: the end of what is there now.
_ADDED_SINCE: Final = f"""
    WITH since AS (
        DELETE FROM message_aside
        WHERE conversation_id = %(conversation)s AND branch_id = %(entry)s AND id > %(entry)s
        RETURNING {_COLUMNS}
    )
    INSERT INTO message ({_COLUMNS})
    SELECT id, conversation_id, user_id, row_number() OVER (ORDER BY position) + coalesce((
            SELECT max(position) FROM message WHERE conversation_id = %(conversation)s), 0),
        role, content, status, created_at, external_id, extra, edited_at, feedback
    FROM since
"""  # noqa: S608 - our own words
#: What a late cut put aside, where it is not to be kept, with the branches that began in it.
_DROP_ASIDE: Final = """
    WITH RECURSIVE dropped AS (
        SELECT id FROM message_aside
        WHERE conversation_id = %(conversation)s AND branch_id = %(entry)s
        UNION
        SELECT a.id FROM message_aside AS a JOIN dropped AS d ON a.parent_id = d.id
        WHERE a.conversation_id = %(conversation)s
    )
    DELETE FROM message_aside AS a USING dropped AS d WHERE a.id = d.id
"""

#: A statement and its parameters, in the style of the driver.
Statement = tuple[str, Mapping[str, Any]]


def facts_of(
    entry_id: int, conversation_id: int, at_ms: int, change: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the parameters of all statements, but for those of a copy."""
    return {
        "entry": entry_id,
        "conversation": conversation_id,
        "at": at_ms,
        "message": change.get("message"),
        "branch": change.get("branch"),
        "content": change.get("content"),
        "with_extra": "extra" in change,
        "extra": change.get("extra"),
        "assets": assets.named_in(change.get("extra")),
    }


def statements(op: str, change: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[Statement]:
    """Yield what changes the messages of a conversation, as the last one of its entries."""
    match op:
        case "truncate":
            yield (_KEEP if change["keep"] else _DROP), facts
        case "switch":
            yield _SWITCH, facts
        case "put":
            yield _PUT, facts
        case _:
            yield _REMOVE, facts
    yield from _of_assets(op, change, facts)
    yield _REWRITTEN, facts


def late_statements(
    op: str, change: Mapping[str, Any], facts: Mapping[str, Any]
) -> Iterator[Statement]:
    """Yield the same where entries that were accepted later are written: what they added stays.

    A message that is edited may be aside by now.
    """
    match op:
        case "truncate":
            yield _KEEP, facts
            yield _ADDED_SINCE, facts
            if not change["keep"]:
                yield _DROP_ASIDE, facts
        case "switch":
            yield _SWITCH, facts
            yield _ADDED_SINCE, facts
        case _:
            edit = _PUT if op == "put" else _REMOVE
            yield edit, facts
            yield edit.replace("UPDATE message ", "UPDATE message_aside "), facts
    yield from _of_assets(op, change, facts)
    yield _REWRITTEN, facts


def _of_assets(op: str, change: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[Statement]:
    if statement := asset_uses.after(op, change):
        yield statement, facts


def fork(
    conversation_id: int, user_id: int, at_ms: int, change: Mapping[str, Any], *, titled: bool
) -> tuple[str, dict[str, Any]]:
    """Return what makes a copy; not `titled`: without the title that the entry gives."""
    return _FORK, {
        "conversation": conversation_id,
        "user": user_id,
        "at": at_ms,
        "source": change["source"],
        "n": change["position"],
        "titled": bool(change["title"]),
        "title": change["title"] if titled else None,
    }
