"""Write what a plan says: one statement per table and kind of change, all in one round trip."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, badly named

from api.core import asset_uses, conversation_fields, feedback, usage
from api.core.batches import ROLES
from api.core.entries import Entry
from workers import arrays, rewrite
from workers.known import opened_at_ms
from workers.plan import Change, DeadLetter, Plan
from workers.said import Said

#: A Unix time in milliseconds, exactly.
_AT: Final = "timestamptz 'epoch' + {} * interval '1 millisecond'"
_OPEN: Final = f"""
    INSERT INTO conversation (id, user_id, title, created_at, updated_at)
    SELECT e.id, e.user_id, e.title, {_AT.format("e.at")}, {_AT.format("e.at")}
    FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::bigint[]) AS e (id, user_id, title, at)
"""  # noqa: S608 - our own words


#: Arrays are unnested where they are selected: in FROM, PostgreSQL keeps all rows in a store first.
#: An outer join: a missing conversation gives no position and fails the statement. An inner one
#: would drop its messages silently.
_ADD: Final = f"""
    INSERT INTO message (id, conversation_id, user_id, position, role, content, status, created_at)
    SELECT e.id, e.conversation_id, e.user_id,
        c.message_count + row_number() OVER (PARTITION BY e.conversation_id ORDER BY e.id),
        e.role, e.content, e.status, {_AT.format("e.at")}
    FROM (SELECT unnest(%s::bigint[]) AS id, unnest(%s::bigint[]) AS conversation_id,
        unnest(%s::bigint[]) AS user_id, unnest(%s::text[]) AS role, unnest(%s::text[]) AS content,
        unnest(%s::text[]) AS status, unnest(%s::bigint[]) AS at) AS e
    LEFT JOIN conversation AS c ON c.id = e.conversation_id
"""  # noqa: S608 - our own words
#: Where `workers.plan.Row` has the content, in UTF-8.
_CONTENT: Final = 4
#: Likewise, where a message has an external id or extra data.
_ADD_MORE: Final = f"""
    INSERT INTO message (id, conversation_id, user_id, position, role, content, status, created_at,
        external_id, extra)
    SELECT e.id, e.conversation_id, e.user_id,
        c.message_count + row_number() OVER (PARTITION BY e.conversation_id ORDER BY e.id),
        e.role, e.content, e.status, {_AT.format("e.at")}, e.external_id, e.extra::json
    FROM (SELECT unnest(%s::bigint[]) AS id, unnest(%s::bigint[]) AS conversation_id,
        unnest(%s::bigint[]) AS user_id, unnest(%s::text[]) AS role, unnest(%s::text[]) AS content,
        unnest(%s::text[]) AS status, unnest(%s::bigint[]) AS at,
        unnest(%s::text[]) AS external_id, unnest(%s::text[]) AS extra) AS e
    LEFT JOIN conversation AS c ON c.id = e.conversation_id
"""  # noqa: S608 - our own words
_CHANGE: Final = f"""
    UPDATE conversation AS c SET
        message_count = c.message_count + e.added,
        updated_at = greatest(c.updated_at, {_AT.format("e.at")}),
        title = CASE WHEN e.deleted_at IS NOT NULL THEN NULL WHEN e.renamed THEN e.title
            ELSE c.title END,
        closed_at = coalesce(c.closed_at, {_AT.format("e.closed_at")}),
        deleted_at = {_AT.format("e.deleted_at")},
        searched = CASE WHEN e.renamed THEN -1 ELSE c.searched END
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bool[], %s::text[], %s::bigint[],
        %s::bigint[]) AS e (id, added, at, renamed, title, closed_at, deleted_at)
    WHERE c.id = e.id
"""  # noqa: S608 - our own words
#: A tombstone keeps nothing that its owner said.
_ERASE: Final = """
    UPDATE conversation SET external_id = NULL, metadata = NULL, tags = NULL, archived_at = NULL,
        pinned_at = NULL, expires_in_days = NULL
    WHERE id = ANY(%s::bigint[])
"""
#: What others were shown of a conversation goes in the transaction that deletes it.
_UNSHARE: Final = "DELETE FROM shared_link WHERE conversation_id = ANY(%s::bigint[])"
#: An external id may have been another conversation's until this batch deleted that, so all this
#: comes last.
_SAY: Final = f"""
    UPDATE conversation SET
        external_id = CASE WHEN 'external_id' = ANY(%(said)s) THEN %(external_id)s
            ELSE external_id END,
        metadata = CASE WHEN 'metadata' = ANY(%(said)s) THEN %(metadata)s::json ELSE metadata END,
        tags = CASE WHEN 'tags' = ANY(%(said)s) THEN %(tags)s::text[] ELSE tags END,
        archived_at = CASE WHEN 'archived_at' = ANY(%(said)s)
            THEN {_AT.format("%(archived_at)s")} ELSE archived_at END,
        pinned_at = CASE WHEN 'pinned_at' = ANY(%(said)s)
            THEN {_AT.format("%(pinned_at)s")} ELSE pinned_at END,
        expires_in_days = CASE WHEN 'expires_in_days' = ANY(%(said)s) THEN %(expires_in_days)s
            ELSE expires_in_days END
    WHERE id = %(id)s AND deleted_at IS NULL
"""  # noqa: S608 - our own words
_DAY_MS: Final = 86_400_000
#: Rows of a conversation are written by its partition's drain alone, so none waits for another.
_TOKENS: Final = """
    INSERT INTO token_usage AS u
        (user_id, day, conversation_id, answers, input_tokens, output_tokens)
    SELECT e.user_id, date '1970-01-01' + e.day, e.conversation_id, e.answers, e.input, e.output
    FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
        AS e (user_id, day, conversation_id, answers, input, output)
    ON CONFLICT (user_id, day, conversation_id) DO UPDATE SET
        answers = u.answers + excluded.answers,
        input_tokens = u.input_tokens + excluded.input_tokens,
        output_tokens = u.output_tokens + excluded.output_tokens
"""
_DEAD_LETTER: Final = f"""
    INSERT INTO dead_letter (entry_id, partition, op, user_id, conversation_id, position, role,
        status, reason, sqlstate, payload, entry_created_at)
    SELECT e.id, e.partition, e.op, e.user_id, e.conversation_id, m.position, e.role,
        e.status, e.reason, e.sqlstate, e.payload, {_AT.format("e.at")}
    FROM unnest(%s::bigint[], %s::smallint[], %s::text[], %s::bigint[], %s::bigint[], %s::text[],
        %s::text[], %s::text[], %s::text[], %s::bytea[], %s::bigint[], %s::bigint[])
        AS e (id, partition, op, user_id, conversation_id, role, status, reason, sqlstate, payload,
            at, placeholder)
    LEFT JOIN message AS m ON m.id = e.placeholder
"""  # noqa: S608 - our own words


def write_plan(cursor: Cursor, plan: Plan) -> None:
    """Write conversations, messages, changes, what is said, rewrites, and all that goes with it."""
    statements = [
        *_statement(cursor, _OPEN, [_conversation_row(entry, plan) for entry in plan.opens]),
        *_add_statement(cursor, plan),
        *_statement(cursor, asset_uses.ADD, _asset_rows(plan)),
        *_statement(cursor, _CHANGE, [_change_row(*item, plan) for item in plan.changes.items()]),
        *_erasures(cursor, plan),
        *_sayings(cursor, plan),
        *_feedback(cursor, plan),
        *_statement(cursor, _TOKENS, _token_rows(plan)),
        *chain.from_iterable(rewrite.statements(cursor, entry, plan) for entry in plan.rewrites),
        *_statement(cursor, _DEAD_LETTER, [_dead_letter_row(d) for d in plan.dead_letters]),
    ]
    if statements:
        cursor.execute(b";".join(statements))


def _statement(cursor: Cursor, statement: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[bytes]:
    if rows:
        columns = zip(*rows, strict=True)
        yield cursor.mogrify(statement, [arrays.literal(column) for column in columns])


def _erasures(cursor: Cursor, plan: Plan) -> Iterator[bytes]:
    deleted = [of for of, change in plan.changes.items() if change.deleted_at_ms is not None]
    if deleted:
        yield cursor.mogrify(_ERASE, [deleted])
        yield cursor.mogrify(_UNSHARE, [deleted])
        yield cursor.mogrify(asset_uses.FORGET, {"conversations": deleted})


def _sayings(cursor: Cursor, plan: Plan) -> Iterator[bytes]:
    for conversation_id, said in plan.said.items():
        facts = dict.fromkeys(Said.__annotations__) | said
        yield cursor.mogrify(_SAY, facts | {"id": conversation_id, "said": list(said)})


def _feedback(cursor: Cursor, plan: Plan) -> Iterator[bytes]:
    for entry, said in plan.feedback:
        for statement in feedback.statements(entry.conversation_id, entry.created_at_ms, said):
            yield cursor.mogrify(*statement)


def _asset_rows(plan: Plan) -> list[tuple[str, int, int, int]]:
    """Return which assets the added messages name; of most batches, none is looked at twice."""
    return asset_uses.rows((*row[:3], row[-1]) for row in plan.adds if row[-1] is not None)


def _token_rows(plan: Plan) -> list[tuple[int, ...]]:
    """Return what models took by user, Unix day and conversation: answers, input, output."""
    sums: dict[tuple[int, int, int], list[int]] = {}
    for entry in plan.applied:
        # An answer of ours with more than a text; what clients add is no model's word.
        if entry.op != "adds" or entry.role != "assistant":
            continue
        place = entry.user_id, entry.created_at_ms // _DAY_MS, entry.conversation_id
        for message in entry.messages:
            if tokens := usage.of_text(message.extra):
                before = sums.get(place, [0, 0, 0])
                sums[place] = [a + b for a, b in zip(before, (1, *tokens), strict=True)]
    return [(*place, *counts) for place, counts in sums.items()]


def _text(entry: Entry, plan: Plan) -> str | None:
    """Return an entry's text, or None where there is none or PostgreSQL refuses it."""
    return None if entry.id in plan.refused else entry.data.decode() or None


def _title(entry: Entry, plan: Plan) -> str | None:
    """Return the title that an entry gives, or None where there is none or it is refused."""
    if entry.id in plan.refused:
        return None
    return conversation_fields.of_entry(entry).get("title") or None


def _conversation_row(entry: Entry, plan: Plan) -> tuple[Any, ...]:
    return entry.id, entry.user_id, _title(entry, plan), opened_at_ms(entry)


def _add_statement(cursor: Cursor, plan: Plan) -> Iterator[bytes]:
    if not plan.adds:
        return
    *columns, external_ids, extras = [list(column) for column in zip(*plan.adds, strict=True)]
    columns[_CONTENT] = [content.decode() for content in columns[_CONTENT]]
    statement = _ADD
    if {*external_ids, *extras} != {None}:
        statement, columns = _ADD_MORE, [*columns, external_ids, extras]
    yield cursor.mogrify(statement, [arrays.literal(column) for column in columns])


def _change_row(conversation_id: int, change: Change, plan: Plan) -> tuple[Any, ...]:
    title = _title(change.rename, plan) if change.rename else None
    return (
        *(conversation_id, change.added, change.at_ms, change.rename is not None, title),
        *(change.closed_at_ms, change.deleted_at_ms),
    )


def _dead_letter_row(letter: DeadLetter) -> tuple[Any, ...]:
    entry = letter.entry
    is_message = entry.op in {"add", "adds"}
    return (
        *(entry.id, letter.partition, entry.op, entry.user_id, entry.conversation_id),
        *((_role(entry.role), entry.status) if is_message else (None, None)),
        *(letter.reason, letter.sqlstate, f"\\x{entry.data.hex()}"),
        *(entry.created_at_ms, letter.placeholder),
    )


def _role(role: str) -> str | None:
    return role if role in ROLES else None
