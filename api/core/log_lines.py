"""Lines of the processes' own logs: plain ones, or JSON objects (LOG_FORMAT)."""

import json
import logging
from datetime import UTC, datetime
from typing import Final, Literal

LogFormat = Literal["text", "json"]

_TEXT: Final = "%(asctime)s level=%(levelname)s process=%(process)d logger=%(name)s %(message)s"


class JsonLines(logging.Formatter):
    """One JSON object a line: `time` (ISO 8601, UTC), `level`, `process`, `logger`, `message`.

    A traceback, where there is one, is in `traceback`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def formatter(log_format: LogFormat) -> logging.Formatter:
    """Return what makes lines of a format."""
    return JsonLines() if log_format == "json" else logging.Formatter(_TEXT)


def capture_warnings() -> None:
    """Write Python's own warnings as lines of JSON, too: they go past all handlers."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    warnings = logging.getLogger("py.warnings")
    warnings.propagate = False
    warnings.addHandler(handler)
    logging.captureWarnings(capture=True)
