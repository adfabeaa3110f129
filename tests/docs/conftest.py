"""The app as its pages describe it, made and never started; and one that is running."""

from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from api.core.settings import Settings
from api.main import create_app
from tests.docs.contract import Call, Operation, operations_of
from tests.support.api import api, start_api

__all__ = ["api", "start_api"]


@pytest.fixture(scope="package")
def app() -> FastAPI:
    return create_app(Settings(_env_file=None, secret_key=SecretStr("k" * 32)))


@pytest.fixture(scope="package")
def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    return app.openapi()


@pytest.fixture(scope="package")
def operations(document: dict[str, Any]) -> dict[Call, Operation]:
    """The calls of the OpenAPI document."""
    return operations_of(document)
