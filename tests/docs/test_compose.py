"""The compose file and the Dockerfile, read by a compose parser that needs no container engine."""

import importlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tornado.options
import yaml
from redis import Redis
from redis.exceptions import RedisError

from api.core import redis_client
from api.local import redis_version

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
SECRETS = {
    "POSTGRES_PASSWORD": "postgres-secret",
    "API_DATABASE_PASSWORD": "api-database-secret",
    "WORKER_DATABASE_PASSWORD": "worker-database-secret",
    "REDIS_PASSWORD": "redis-secret",
    "SECRET_KEY": "signing-secret-of-more-than-32-bytes",
    "FLOWER_BASIC_AUTH": "operator:flower-secret",
}
OURS = ("migrate", "api", "worker", "flower")
#: The parser lets an unknown key pass, so that a misspelt one would be silently without effect.
SERVICE_KEYS = {
    *("image", "build", "restart", "command", "environment", "volumes", "ports", "healthcheck"),
    *("depends_on", "cap_drop", "security_opt", "stop_grace_period"),
}


def parse(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    parser = Path(sys.executable).with_name("podman-compose")
    return subprocess.run(
        [parser, "--dry-run", "--file", COMPOSE_FILE, "--env-file", os.devnull, "config"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    parsed = parse(SECRETS)

    assert parsed.returncode == 0, parsed.stderr
    found: dict[str, Any] = yaml.safe_load(parsed.stdout)["services"]
    return found


def options_of(command: list[str]) -> dict[str, str]:
    return dict(zip(command[1::2], command[2::2], strict=True))


def dockerfile(instruction: str) -> list[str]:
    text = (ROOT / "Dockerfile").read_text()
    return re.findall(rf"^{instruction} +(.+)$", text.replace("\\\n", " "), flags=re.MULTILINE)


@pytest.mark.parametrize("missing", SECRETS)
def test_without_any_one_secret_nothing_starts(missing: str) -> None:
    environment = {name: value for name, value in SECRETS.items() if name != missing}

    parsed = parse(environment)

    assert parsed.returncode != 0
    assert f"required variable {missing} is missing" in parsed.stderr


@pytest.mark.parametrize("empty", SECRETS)
def test_an_empty_secret_is_a_missing_one(empty: str) -> None:
    assert parse({**SECRETS, empty: ""}).returncode != 0


def test_no_file_holds_a_secret() -> None:
    for name in SECRETS:
        literal = re.compile(rf"^\s*(ENV|ARG)?\s*{name}[:= ]+(?!\$)\S", flags=re.MULTILINE)
        assert not literal.search(COMPOSE_FILE.read_text())
        assert not literal.search((ROOT / "Dockerfile").read_text())
    assert "!.env" not in (ROOT / ".dockerignore").read_text()
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_redis_fsyncs_every_write_and_never_evicts(services: dict[str, Any]) -> None:
    options = options_of(services["redis"]["command"])

    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--no-appendfsync-on-rewrite"] == "no"
    assert options["--maxmemory-policy"] == "noeviction"
    assert re.fullmatch(r"\d+[gm]b", options["--maxmemory"])
    assert options["--requirepass"] == SECRETS["REDIS_PASSWORD"]


def test_a_real_redis_takes_these_options_and_passes_our_own_check(
    services: dict[str, Any], tmp_path: Path
) -> None:
    command = [redis_version.program_path(None), *services["redis"]["command"][1:]]
    listening = [
        "--port",
        "0",
        "--unixsocket",
        str(tmp_path / "redis.sock"),
        "--dir",
        str(tmp_path),
    ]

    with subprocess.Popen([*command, *listening], stdout=subprocess.DEVNULL) as server:
        try:
            with connected(tmp_path / "redis.sock") as client:
                redis_client.check(client, "always")
        finally:
            server.terminate()


def connected(socket: Path) -> Redis:
    deadline = time.monotonic() + 10
    client: Redis = Redis(
        unix_socket_path=str(socket), password=SECRETS["REDIS_PASSWORD"], decode_responses=True
    )
    while True:
        try:
            client.ping()
        except RedisError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return client


def test_both_stores_keep_their_data_in_a_volume(services: dict[str, Any]) -> None:
    assert services["postgres"]["volumes"] == ["postgres-data:/var/lib/postgresql"]
    assert services["redis"]["volumes"] == ["redis-data:/data"]


def test_ports_are_published_on_loopback_only(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert published == {"api": ["127.0.0.1:8000:8000"], "flower": ["127.0.0.1:5555:5555"]}


def test_our_processes_run_without_privileges(services: dict[str, Any]) -> None:
    assert dockerfile("USER")[-1] == "10001:10001"
    for name in OURS:
        assert "user" not in services[name]
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]


def test_a_secret_is_given_only_to_those_who_need_it(services: dict[str, Any]) -> None:
    holders = {
        secret: {name for name, service in services.items() if value in str(service)}
        for secret, value in SECRETS.items()
    }

    assert holders == {
        "POSTGRES_PASSWORD": {"postgres", "migrate"},
        "API_DATABASE_PASSWORD": {"migrate", "api"},
        "WORKER_DATABASE_PASSWORD": {"migrate", "worker"},
        "REDIS_PASSWORD": {"redis", "api", "worker", "flower"},
        "SECRET_KEY": {"api"},
        "FLOWER_BASIC_AUTH": {"flower"},
    }


def test_what_a_proxy_needs_is_passed_on_to_the_api() -> None:
    known = {"TRUSTED_PROXIES": "172.18.0.0/16", "PUBLIC_ORIGIN": "https://chat.example.com"}
    # The parser leaves a name without a value to the engine, which takes it from its environment.
    given = yaml.safe_load(parse(SECRETS | known).stdout)["services"]["api"]["environment"]

    assert known.keys() <= given.keys()
    assert given["ALLOWED_HOSTS"] == "api"


def test_the_image_serves_on_the_published_port_in_as_many_processes_as_are_set() -> None:
    given = yaml.safe_load(parse(SECRETS | {"API_PROCESSES": "3"}).stdout)["services"]["api"]

    settings = dict(pair.split("=") for pair in dockerfile("ENV")[-1].split())
    assert (settings["HOST"], settings["PORT"]) == ("0.0.0.0", "8000")
    assert given["environment"]["API_PROCESSES"] == "3"


def test_every_key_of_a_service_is_a_known_one(services: dict[str, Any]) -> None:
    for service in services.values():
        assert set(service) <= SERVICE_KEYS


def test_every_dependency_exists_and_waits_for_health_or_completion(
    services: dict[str, Any],
) -> None:
    for service in services.values():
        for name, wait in service.get("depends_on", {}).items():
            one_shot = services[name].get("restart") == "no"
            wanted = "service_completed_successfully" if one_shot else "service_healthy"
            assert wait["condition"] == wanted


def test_every_process_that_stays_has_a_health_check(services: dict[str, Any]) -> None:
    of_the_image = dockerfile("HEALTHCHECK")

    assert "/livez" in of_the_image[0]
    for name in set(services) - {"migrate", "api"}:
        assert services[name]["healthcheck"]["test"]
    assert "healthcheck" not in services["api"]
    assert services["migrate"]["healthcheck"] == {"disable": True}


def test_flower_asks_for_a_password_and_changes_nothing(services: dict[str, Any]) -> None:
    assert "--read-only" in services["flower"]["command"]
    assert services["flower"]["environment"]["FLOWER_BASIC_AUTH"] == SECRETS["FLOWER_BASIC_AUTH"]
    assert "FLOWER_UNAUTHENTICATED_API" not in services["flower"]["environment"]


def test_the_image_is_built_from_pinned_packages_only() -> None:
    installs = [part for run in dockerfile("RUN") for part in run.split("&&") if "install" in part]
    fetching = [part for part in installs if "pip install" in part and "--no-deps" not in part]

    assert len(fetching) == 2
    assert all("--require-hashes" in part for part in fetching)
    assert [found for run in dockerfile("RUN") if "npm" in run for found in run.split("&&")] == [
        "npm ci --omit=dev ",
        " npm run vendor",
    ]
    assert len(dockerfile("FROM")) == 3


def test_every_file_the_image_copies_exists_and_is_sent_to_the_builder() -> None:
    sent = (ROOT / ".dockerignore").read_text()

    for arguments in dockerfile("COPY"):
        if "--from" not in arguments:
            for source in arguments.split()[:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}\n" in sent


def options_of_celery(application: str, command: str) -> str:
    if command == "flower":  # its --help leaves its options out
        importlib.import_module("flower.options")
        return " ".join(f"--{name}" for name in tornado.options.options)
    return subprocess.run(
        [
            Path(sys.executable).with_name("celery"),
            *("--app", application, command, "--help"),
        ],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_every_command_exists(services: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert services["migrate"]["command"] == ["verbatim", "migrate"]
    cli = importlib.import_module("api.cli.app")
    assert "migrate" in {
        command.name or (command.callback and command.callback.__name__)
        for command in cli.app.registered_commands
    }

    *python, module = yaml.safe_load(dockerfile("CMD")[-1])
    assert python == ["python", "-m"]
    assert callable(importlib.import_module(module).main)

    for service in ("worker", "flower"):
        program, option, application, command = services[service]["command"][:4]
        assert (program, option) == ("celery", "--app")
        assert importlib.import_module(application).app
        usage = options_of_celery(application, command)
        for argument in services[service]["command"][4:]:
            assert argument.partition("=")[0].replace("-", "_") in usage.replace("-", "_")
