"""`verbatim keys`: keys of accounts, made, listed and revoked without signing in."""

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from api.accounts.key_store import KeyStore, KeyText
from api.cli.app import app
from api.core.database import Viewer, reading
from api.core.errors import Unauthenticated
from api.core.log import Log
from tests.support.rows import add_user


def verbatim(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def shown(result: Result, name: str) -> str:
    lines = [line.split() for line in result.stdout.splitlines()]
    return next(line[1] for line in lines if line[0] == name)


def test_a_key_is_made_listed_and_revoked(log: Log, engine: Engine) -> None:
    owner = add_user(engine, "ada")

    options = ("--user", "ADA", "--scopes", "read", "--acts-for", "subjects")
    made = verbatim("create", "night \x1b[2J", *options)
    assert made.exit_code == 0, made.output
    text = KeyText.decode(shown(made, "key"))
    with reading(engine, Viewer(owner)) as db:
        key = KeyStore(log).find(db, text)
    assert (key.name, key.scopes, key.acts_for) == ("night \x1b[2J", ["read"], "subjects")

    listed = verbatim("list", "--user", "ada").stdout
    assert text.id in listed
    assert text.secret not in listed
    assert text.secret_hash.hex() not in listed
    assert "\x1b" not in listed

    assert verbatim("revoke", text.id).exit_code == 0
    assert "none" in verbatim("list", "--user", "ada").stdout
    assert log.run("revoked", at=(0,)) == [f"{owner}:{text.id}".encode()]
    with reading(engine, Viewer(owner)) as db, pytest.raises(Unauthenticated):
        KeyStore(log).find(db, text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "x", "--user", "nobody"), "there is no account of that name"),
        (("list", "--user", "nobody"), "there is no account of that name"),
        (("revoke", "0" * 24), "there is no such API key"),
        (("revoke", "vbk_"), "there is no such API key"),
        (("revoke", f"{7:014x}{'0' * 10}"), "there is no such API key"),
    ],
)
def test_what_there_is_not_is_one_line(log: Log, arguments: tuple[str, ...], said: str) -> None:
    result = verbatim(*arguments)

    assert result.exit_code == 3
    assert result.stderr == f"verbatim: {said}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("",),
        ("x" * 101,),
        ("a\0b",),
        ("x", "--scopes", "read,admin"),
        ("x", "--scopes", ""),
        ("x", "--acts-for", "all"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(
    log: Log, engine: Engine, arguments: tuple[str, ...]
) -> None:
    add_user(engine, "ada")

    assert verbatim("create", *arguments, "--user", "ada").exit_code == 2
    assert "none" in verbatim("list", "--user", "ada").stdout
