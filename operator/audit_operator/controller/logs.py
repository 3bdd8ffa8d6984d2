"""Logs as one JSON object a line, for whoever collects them: object, digest and reason as fields, never content."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from aiohttp.http_exceptions import HttpProcessingError

_FIELDS = ("object", "digest", "reason", "user", "since", "until", "records")


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: str(value) for name in _FIELDS if (value := getattr(record, name, None)) is not None},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def without_requests(record: logging.LogRecord) -> bool:
    """A filter that keeps from the log what aiohttp could not parse: it would show the bytes, and a token in them."""
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        record.exc_info = None
    return True


def configure(level: str) -> None:
    """Send all loggers' records to standard error, as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("aiohttp.server").addFilter(without_requests)
    # kopf tells of every event that it handles; what matters is told here.
    logging.getLogger("kopf").setLevel(logging.WARNING)
