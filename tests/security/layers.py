"""Switches a layer off, so that another one must hold alone."""

import pytest
from sqlalchemy import true

from api.reads import repositories


def forget_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layer (a) of reads off: no query asks whose it is."""
    monkeypatch.setattr(repositories, "_owned", lambda _: true())
    # A statement that is kept was made with it, and one made now must not be kept.
    monkeypatch.setattr(repositories, "_page_of", repositories._page_of.__wrapped__)
