"""What the script's files and Python say of the same things, without a server."""

import re
from itertools import chain
from pathlib import Path

import pytest

from api.accounts import deletion
from api.core import entries, ids, log, log_drain, log_scripts

API = Path(__file__).parents[2] / "api"
LUA = API / "core" / "lua"
HEAD = (LUA / "head.lua").read_text()


def constant(name: str) -> int:
    """The value of a number at the script's head."""
    (value,) = re.findall(rf"^local {name} = ([0-9 *]+)", HEAD, re.MULTILINE)
    return int(eval(value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARTITIONS", ids.PARTITIONS),
        ("EPOCH_MS", ids.EPOCH_MS),
        ("BELL_MS", log_drain.BELL_MS),
        ("RETENTION_SECONDS", log.RETENTION_SECONDS),
    ],
)
def test_a_constant_is_the_same_in_lua_and_in_python(name: str, value: int) -> None:
    assert constant(name) == value


def test_an_id_is_made_and_read_with_the_same_shift() -> None:
    (factor,) = re.findall(r"^local function first_at.* \* (\d+) \+ partition", HEAD, re.MULTILINE)

    assert int(factor) == ids.first_at(ids.EPOCH_MS + 1, 0)


def test_entries_are_written_in_the_version_that_is_read() -> None:
    (version,) = re.findall(r"^local VERSION = '(\d+)'", HEAD, re.MULTILINE)

    assert int(version) == entries.VERSION


def test_a_deleted_accounts_streams_are_forgotten_as_long_as_one_may_be_there() -> None:
    assert constant("STREAM_SECONDS") * 1000 < deletion.STREAM_MS


def test_the_table_at_the_head_names_the_keys_that_are_used() -> None:
    told = set(
        re.findall(
            r"^-- ([a-z_]+(?::[a-z]+)?)(?:[:<].*?)? +(?:string|stream|integer|hash|list|zset)",
            HEAD,
            re.MULTILINE,
        )
    )
    named = r"""(?:\bkey\([^'"]*?, f?|\bprefix(?:es\[[\w.]+\])? \.\. )['"]([a-z_:]+)"""
    used = {
        name.rstrip(":")
        for path in [*LUA.glob("*.lua"), *API.glob("core/log*.py"), *API.glob("writes/*.py")]
        for name in re.findall(named, path.read_text())
    }

    assert told == used


def test_every_file_of_the_script_is_joined_into_it() -> None:
    named = [one for files in log_scripts._FILES for one in files]
    joined = chain(*((one,) if isinstance(one, str) else one for one in named))

    assert {path.stem for path in LUA.iterdir()} == set(joined)


def test_a_script_holds_each_operation_of_the_files_and_no_operation_is_in_two() -> None:
    defined = re.findall(
        r"^function operations\.(\w+)",
        "\n".join(path.read_text() for path in LUA.glob("*.lua")),
        re.MULTILINE,
    )

    assert sorted(log_scripts.SCRIPTS) == sorted(defined)
