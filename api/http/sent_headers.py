"""The headers of a request by their names: sorted out once, since several parts ask for some."""

from typing import Final

from starlette.types import Scope

#: Where a scope has them.
_BY_NAME: Final = "verbatim.headers"


def sent(scope: Scope, name: bytes) -> list[str]:
    """Return the values of a header, in the order in which they came.

    `name` is in lower case, as servers give it.
    """
    by_name: dict[bytes, list[bytes]] | None = scope.get(_BY_NAME)
    if by_name is None:
        by_name = scope[_BY_NAME] = {}
        for one, value in scope["headers"]:
            by_name.setdefault(one, []).append(value)
    return [value.decode("latin-1") for value in by_name.get(name, ())]
