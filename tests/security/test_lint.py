"""Rules of our own that no linter has, and the linters that look for weaknesses."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = sorted(path for folder in ("api", "workers") for path in ROOT.glob(f"{folder}/**/*.py"))
MIGRATIONS = sorted(ROOT.glob("alembic/**/*.py"))
WEB = sorted(
    path
    for kind in ("js", "mjs", "html")
    for path in ROOT.glob(f"api/web/**/*.{kind}")
    if "vendor" not in path.parts
)

#: name → (what it looks like, where it is allowed all the same).
PYTHON_RULES = {
    "pickle": (r"\b(pickle|shelve|marshal|dill)\b", ()),
    "unsafe YAML": (r"\byaml\.(load|unsafe_load)\(", ()),
    "eval or exec": (r"(?<![\w.])(eval|exec)\(", ()),
    "shell": (r"shell=True|os\.system\(", ()),
    # A setting of the session survives the transaction, and a pooler gives the session away.
    "plain SET": (r"""(^|["'(;]) *SET (?!LOCAL|TRANSACTION)[A-Za-z_.]+ ?(=|TO|[a-z])""", ()),
    "set_config that stays": (r"set_config\([^)]*,\s*false\)", ()),
    "a check that is off": (r"verify=False|verify_signature.: False|CERT_NONE", ()),
    "weak randomness": (r"\brandom\.(random|choice|randint|getrandbits)\(", ("drain.py",)),
}
WEB_RULES = {
    "innerHTML": r"\.(innerHTML|outerHTML|insertAdjacentHTML|srcdoc)\b",
    "document.write": r"\bdocument\.write",
    # One module keeps what waits to be sent, until the sign-out, and tastes.
    "stored where scripts read it": r"^[^*]*\b(localStorage|indexedDB)\b",
    "stored for the tab": r"^[^*]*\bsessionStorage\b",
    "document.cookie": r"document\.cookie",
    "code from text": r"\b(eval|Function)\(|set(Timeout|Interval)\(\s*['\"]",
    "inline handler": r"\son[a-z]+=[\"']",
    "other origins": r"(src|href|import|from|fetch\()\s*=?\s*[\"'(]+(https?:)?//",
}


def places(rule: str, files: list[Path], allowed: tuple[str, ...] = ()) -> list[str]:
    pattern = re.compile(rule)
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        if path.name not in allowed
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line.split("# ")[0] if path.suffix == ".py" else line)
    ]


@pytest.mark.parametrize("name", PYTHON_RULES)
def test_no_python_of_ours_has(name: str) -> None:
    rule, allowed = PYTHON_RULES[name]

    assert places(rule, PYTHON + MIGRATIONS, allowed) == []


@pytest.mark.parametrize("name", WEB_RULES)
def test_no_page_of_ours_has(name: str) -> None:
    found = places(WEB_RULES[name], WEB)

    # What a sanitizer made, under a Trusted Types policy; what one module keeps.
    storage = "api/web/model/storage.js"
    allowed = {
        "innerHTML": "markdown",
        "stored for the tab": storage,
        "stored where scripts read it": storage,
    }
    assert [place for place in found if allowed.get(name, "\0") not in place] == []


def test_what_the_page_says_stands_in_its_tables_of_texts() -> None:
    sentence = r"""^[^*]*["'`][A-Z][a-z]*[ .!?…][^"'`]*["'`]"""
    tables = [path for path in WEB if path.parent.name == "texts"]
    # The queue page is for operators, and English.
    others = [path for path in WEB if path.parent.name not in {"texts", "status"}]

    assert len(places(sentence, tables)) > 100
    assert places(sentence, others) == []


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("pickle", "import pickle"),
        ("plain SET", "cursor.execute('SET app.user_id = 7')"),
        ("plain SET", 'cursor.execute("SET SESSION app.user_id TO 7")'),
        ("set_config that stays", "set_config('app.user_id', '7', false)"),
        ("shell", "run(x, shell=True)"),
        ("a check that is off", "httpx.Client(verify=False)"),
    ],
)
def test_the_rules_find_what_they_are_for(name: str, bad: str) -> None:
    assert re.search(PYTHON_RULES[name][0], bad)


#: Chosen among literals just above; a role's generated password, which no driver can bind; and
#: what partition_counts makes of literals of the code alone.
KNOWN = {
    *("done", "to", "owner", "chosen", "letters", "lock_seconds", "statement_seconds"),
    "partition_counts.timeouts(lock_seconds=2, statement_seconds=10)",
}


#: f-strings of SQL: all parts are names in capitals, constants of the module.
def interpolations(tree: ast.AST) -> Iterator[ast.JoinedStr]:
    statement = re.compile(r"^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|ALTER|CREATE|DROP|GRANT|SET)\b")
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and node.values:
            first = node.values[0]
            if isinstance(first, ast.Constant) and statement.match(str(first.value)):
                yield node


def test_no_value_is_written_into_sql() -> None:
    bad = []
    for path in PYTHON:
        for node in interpolations(ast.parse(path.read_text())):
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    written = ast.unparse(part.value)
                    if not re.match(r"^'?(\w+\.)?_?[A-Z]{2}|^'", written) and written not in KNOWN:
                        bad.append(f"{path.relative_to(ROOT)}:{node.lineno} {written}")
    assert bad == []


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_bandit_finds_nothing_in_the_product() -> None:
    # B608: SQL of our own words (the test above is stricter); B104: compared with, not bound to.
    done = run(
        *("bandit", "--quiet", "--recursive", "api", "workers", "alembic"),
        *("--skip", "B608,B104", "--severity-level", "medium", "--exclude", "api/web"),
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_no_secret_is_in_what_is_tracked() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "api", "workers", "alembic", "docs", "*.yml", "*.toml", "Makefile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    secrets = re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b"
        r"|\bsk-[A-Za-z0-9_-]{20,}|\bxox[baprs]-[A-Za-z0-9-]{10,}|eyJ[\w-]{20,}\.eyJ[\w-]{20,}"
    )

    found = [
        name
        for name in tracked
        if (ROOT / name).suffix not in {".png", ".woff2", ".ico"}
        and (ROOT / name).is_file()
        and secrets.search((ROOT / name).read_text(errors="replace"))
    ]

    assert found == []
