"""The path through a tree of messages that its reader saw last.

Each edit and each new answer makes one more branch. All is done in loops: a long conversation is
deeper than Python's stack.
"""

from collections.abc import Mapping


def seen_path(
    parents: Mapping[str, str | None], current: object, ages: Mapping[str, float]
) -> list[str]:
    """Return the ids from the root to `current`, each once even where they go in a circle.

    `parents` has the parent of each id. Where `current` is none of them, the path ends at the
    newest leaf: the one with the highest value in `ages`, and the last one of equals.
    """
    if not parents:
        return []
    at = current if isinstance(current, str) and current in parents else _newest(parents, ages)
    path: dict[str, None] = {}
    step: str | None = at
    while step is not None and step in parents and step not in path:
        path[step] = None
        step = parents[step]
    return list(reversed(path))


def _newest(parents: Mapping[str, str | None], ages: Mapping[str, float]) -> str:
    inner = set(parents.values())
    # A circle has no leaf.
    leaves = [one for one in parents if one not in inner] or list(parents)
    return max(enumerate(leaves), key=lambda at: (ages.get(at[1], 0.0), at[0]))[1]
