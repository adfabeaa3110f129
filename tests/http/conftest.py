"""The running API and its people."""

from tests.support.api import ada, anybody, api, eve, start_api

__all__ = ["ada", "anybody", "api", "eve", "start_api"]
