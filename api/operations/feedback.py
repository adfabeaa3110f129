"""What owners said of answers, for operators: without who they are."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Engine, text

#: Rows that are fetched at a time.
_CHUNK: Final = 1_000
#: `words`: the answer, and what came right before it in the conversation as it is shown now.
_RATED: Final = """
    SELECT m.feedback->>'at' AS at, m.feedback->>'rating' AS rating,
        m.feedback->>'comment' AS comment, m.id AS message_id, m.conversation_id,
        CASE WHEN m.extra->>'format' = 'verbatim/1' THEN m.extra->>'model' END AS model{words}
    FROM {table} AS m{before} WHERE m.feedback IS NOT NULL
"""
_WORDS: Final = ", b.content AS question, m.content AS answer"
_BEFORE: Final = """
    LEFT JOIN message AS b ON b.conversation_id = m.conversation_id AND b.position = m.position - 1
"""

#: What is told of each rating, in this order; the last two with the messages' texts only.
FIELDS: Final = ("at", "rating", "comment", "message_id", "conversation_id", "model")
TEXTS: Final = ("question", "answer")


def rated(engine: Engine, *, with_text: bool) -> Iterator[dict[str, Any]]:
    """Yield each rating, the oldest message's first; also of answers that are aside.

    The comment is its owner's words; the texts of messages are told `with_text` only.
    """
    more = {"words": _WORDS, "before": _BEFORE} if with_text else {"words": "", "before": ""}
    each = (_RATED.format(table=table, **more) for table in ("message", "message_aside"))
    statement = text(f"{' UNION ALL '.join(each)} ORDER BY message_id")
    with engine.connect() as connection:
        rows = connection.execution_options(yield_per=_CHUNK).execute(statement)
        for row in rows.mappings():
            yield dict(row)
