"""The running API and its people, as the HTTP tests have them."""

from tests.http.conftest import ada, anybody, api, eve, start_api

__all__ = ["ada", "anybody", "api", "eve", "start_api"]
