"""What the programs of a stack are told: settings that are not secret, and what each needs."""

import pytest

from api.core.settings import Settings
from api.local.programs import Api, Flower, PythonProgram, Worker

BUCKET = {
    "ASSETS_URL": "s3://files/of/chats",
    "ASSETS_ENDPOINT": "https://s3.example.com",
    "ASSETS_ACCESS_KEY_ID": "id",
    "ASSETS_SECRET_ACCESS_KEY": "key",
    "ASSETS_STORE": "postgresql",
}


@pytest.mark.parametrize(("program", "uses_it"), [(Api, True), (Worker, True), (Flower, False)])
def test_a_bucket_is_told_whole_to_who_uses_it_and_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch, program: type[PythonProgram], *, uses_it: bool
) -> None:
    for name, value in BUCKET.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", "postgresql://h/d")
    monkeypatch.setenv("REDIS_URL", "redis://h")
    monkeypatch.setenv("SECRET_KEY", "k" * 32)
    settings = Settings(_env_file=None)

    environment = program(settings).command().environment

    told = {name: value for name, value in environment.items() if name in BUCKET}
    assert told == (BUCKET if uses_it else {})
