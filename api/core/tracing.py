"""Traces of writes, from the request to PostgreSQL's commit, where TRACES says so.

What records and sends them (`api.core.spans`) needs packages that are an extra: nothing of it is
imported, and nothing is done, otherwise.
"""

from typing import TYPE_CHECKING, Final, Literal

from api.core.settings import Settings

if TYPE_CHECKING:
    from api.core.spans import Spans

#: Which of our processes this is, as `service.name`; OTEL_SERVICE_NAME says it otherwise.
Service = Literal["verbatim-api", "verbatim-worker"]

_opened: Final[dict[Service, "Spans"]] = {}


def spans_of(settings: Settings, service: Service) -> "Spans | None":
    """Return what records the spans of this process, None where TRACES is off."""
    if settings.traces == "off":
        return None
    if service not in _opened:
        from api.core.spans import Spans  # noqa: PLC0415 - see above

        _opened[service] = Spans(service)
    return _opened[service]


def close(service: Service) -> None:
    """Send what was recorded, for a few seconds at most, and record nothing more."""
    if spans := _opened.pop(service, None):
        spans.close()
