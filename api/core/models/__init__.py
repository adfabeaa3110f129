"""The tables (docs/architecture.md). Only the drain and `verbatim dead redrive` write chat data.

Ids of conversations and messages are made by the log's accept script, never by PostgreSQL. To
import one table is to have all: they name each other, and migrations are compared with all.
"""

from api.core.models import (  # noqa: F401 - for `Base.metadata`
    accounts,
    assets,
    conversations,
    drain,
    messages,
    search,
    shared_links,
    usage,
)
