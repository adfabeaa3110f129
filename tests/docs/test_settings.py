"""docs/settings.md tells of every setting, with its true default."""

import re
from pathlib import Path

import pytest

from api.core.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
ROWS = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \|", PAGE.read_text(), flags=re.MULTILINE))


def test_the_page_lists_exactly_the_settings_there_are() -> None:
    assert set(ROWS) == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_default_in_the_page_is_the_one_in_the_code(name: str) -> None:
    default = Settings.model_fields[name].default
    documented = ROWS[name.upper()]

    if default is None:
        assert documented.startswith(("none", "`DATABASE_URL`", "the same Redis"))
    else:
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        assert f"`{shown.removesuffix('.0')}`" in documented
