"""The doctor looks at the settings: what is missing, misspelt, or promises less than it could."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from api.core.errors import SettingsError
from api.core.settings import Settings
from api.operations.doctor.findings import Finding, ok, problem, warning

#: How alike a name must be to a setting's to be taken for a misspelt one.
_ALIKE: Final = 0.9
_WEAKER: Final = {
    "everysec": "a loss of power may take the last second of what was answered",
    "unchecked": "nobody checks whether Redis keeps what it accepts: its operator answers for it",
}


def examine(settings: Settings, names: Iterable[str]) -> Iterator[Finding]:
    """Yield findings; `names` are those of the environment and of `.env`."""
    before = list(names)
    yield from _misspelt(before)
    for needed in ("database", "redis", "signing_key"):
        try:
            getattr(settings, needed)
        except SettingsError as error:
            yield problem("settings", str(error), "set it; docs/settings.md has all settings")
    if durability := _WEAKER.get(settings.redis_durability):
        yield warning(
            "settings",
            f"REDIS_DURABILITY is {settings.redis_durability}: {durability}",
            "REDIS_DURABILITY=always, unless you can live with that",
        )
    if settings.row_security == "unchecked":
        yield warning(
            "settings",
            "ROW_SECURITY is unchecked: one forgotten condition in a query would show rows of "
            "other users",
            "give API and worker roles of their own (`verbatim migrate` makes them), and unset it",
        )
    if settings.assistant == "openai" and not (settings.openai_api_key or settings.openai_base_url):
        yield problem(
            "settings",
            "ASSISTANT is openai, and neither OPENAI_API_KEY nor OPENAI_BASE_URL is set",
            "set the key, the base URL, or both",
        )
    yield ok("settings", "all settings can be read")


def names_in(path: Path) -> list[str]:
    """Return the names that a file such as `.env` sets, if it is there."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    named = (line.partition("=")[0].removeprefix("export ").strip() for line in lines)
    return [name for name in named if name.isidentifier()]


def _misspelt(names: Iterable[str]) -> Iterator[Finding]:
    known = {name.upper() for name in Settings.model_fields}
    for name in sorted(set(names)):
        if name.upper() in known:
            continue
        for alike in difflib.get_close_matches(name.upper(), known, n=1, cutoff=_ALIKE):
            yield warning(
                "settings",
                f"{name} is no setting, and without effect",
                f"did you mean {alike}?",
            )
