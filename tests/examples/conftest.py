"""The running API, as the HTTP tests have it."""

from tests.support.api import start_api

__all__ = ["start_api"]
