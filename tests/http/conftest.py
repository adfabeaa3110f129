"""The running API and its people."""

from tests.support.api import ada, anybody, api, eve, start_api
from tests.support.draining import drained

__all__ = ["ada", "anybody", "api", "drained", "eve", "start_api"]
