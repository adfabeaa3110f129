"""Times have one width, so that clients may sort them as texts."""

import json
from datetime import UTC, datetime, timedelta, timezone
from importlib import import_module
from pkgutil import iter_modules
from typing import get_type_hints

import pytest
from pydantic import BaseModel, TypeAdapter

from api.accounts import export
from api.http import schemas
from api.http.fields import Time
from api.http.schemas.base import In

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TIMES = [NOON, NOON + timedelta(microseconds=10), NOON + timedelta(milliseconds=765)]


@pytest.mark.parametrize("at", [*TIMES, NOON.astimezone(timezone(timedelta(hours=2)))])
def test_a_time_has_six_digits_after_the_second_also_when_they_are_zero(at: datetime) -> None:
    shown = TypeAdapter(Time).dump_json(at).decode().strip('"')

    assert len(shown) == len("2026-11-23T12:00:00.000000Z")
    assert shown.endswith("Z")
    assert datetime.fromisoformat(shown) == at


def test_times_sort_as_texts_as_they_do_as_times() -> None:
    shown = [TypeAdapter(Time).dump_json(at) for at in TIMES]

    assert sorted(shown) == shown


def test_no_answer_has_a_time_of_another_form() -> None:
    models = [
        model
        for module in iter_modules(schemas.__path__)
        for model in vars(import_module(f"{schemas.__name__}.{module.name}")).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and not issubclass(model, In)
    ]
    other = [
        f"{model.__name__}.{name}"
        for model in models
        for name, hint in get_type_hints(model, include_extras=True).items()
        if "datetime" in str(hint).lower() and hint not in {Time, Time | None}
    ]

    assert models
    assert other == []


def test_an_exports_times_have_the_same_form() -> None:
    line = json.loads(export._json({"at": NOON}))

    assert line == {"at": "2026-11-23T12:00:00.000000Z"}
