"""Switches a layer off, so that another one must hold alone."""

from functools import cache

import pytest
from sqlalchemy import true

from api.reads import (
    assets,
    chat_documents,
    conversation_documents,
    message_documents,
    message_lines,
    owners,
)


def forget_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layer (a) of reads off: no query asks whose it is."""
    monkeypatch.setattr(owners, "owned_by", lambda _: true())
    monkeypatch.setattr(owners, "written_by", lambda _: true())
    monkeypatch.setattr(assets, "_of", lambda _: true())
    # A statement that is kept was made with it, and one made now must be kept for the test only.
    for module in (chat_documents, message_documents, message_lines, conversation_documents):
        monkeypatch.setattr(module, "_statement", cache(module._statement.__wrapped__))
