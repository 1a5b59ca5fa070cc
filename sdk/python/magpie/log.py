"""The standard logging module, as lines that the daemon reads back: JSON with hclog's keys on standard error."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import Any

_LEVELS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warn", "ERROR": "error", "CRITICAL": "error"}
_KNOWN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
_MOST = 8000  # of a text: the daemon cuts lines at 16 KiB, and a cut line is no JSON


class Lines(logging.Handler):
    """Writes a record as a line. What is given with extra= becomes its fields."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line: dict[str, Any] = {
                "@level": _LEVELS.get(record.levelname, "info"),
                "@message": record.getMessage()[:_MOST],
                "@timestamp": datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc).isoformat(),
            }
            if record.name != "root":
                line["@module"] = record.name
            for name, value in record.__dict__.items():
                if name not in _KNOWN:
                    line[name] = value if isinstance(value, (bool, int, float)) else str(value)[:_MOST]
            if record.exc_info:
                line["stack"] = logging.Formatter().formatException(record.exc_info)[-_MOST:]
            sys.stderr.write(json.dumps(line) + "\n")
            sys.stderr.flush()
        except Exception:  # a log line must not end what it tells of
            self.handleError(record)


def install() -> None:
    """Makes everything that is logged in this process go to the daemon."""
    root = logging.getLogger()
    root.handlers[:] = [Lines()]
    root.setLevel(logging.DEBUG)
    logging.raiseExceptions = False
    for noisy in ("grpc", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class Component(logging.LoggerAdapter):
    """A component's logger: the daemon shows its lines under the component's address."""

    def __init__(self, address: str) -> None:
        super().__init__(logging.getLogger(), {"component": address})

    def process(self, msg: Any, kwargs: Any) -> Any:
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs
