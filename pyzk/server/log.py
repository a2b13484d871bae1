"""How the server's log looks: lines for people in a terminal, one JSON object a line anywhere else.

Events are snake_case phrases with fields: `log.info("session_created", session=..., timeout_ms=...)`. What libraries
say through `logging` (asyncio's complaints) comes out in the same form. Our own events never go through `logging`: one
below the level costs a method call.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Sets the log up for this process; once, before the first event.

    Args:
        level: a key of LEVELS.
        stream: standard error unless given.
    """
    target = sys.stderr if stream is None else stream
    structlog.configure(
        processors=_processors(target),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=LEVELS[level], handlers=[_ToStructlog()], force=True)


def _processors(stream: TextIO) -> list[structlog.typing.Processor]:
    if stream.isatty():
        timestamp = structlog.processors.TimeStamper("%H:%M:%S.%f", utc=False)
        return [structlog.processors.add_log_level, timestamp, structlog.dev.ConsoleRenderer()]
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("iso"),
        structlog.processors.format_exc_info,
        _show_bytes,
        structlog.processors.JSONRenderer(),
    ]


def _show_bytes(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Paths are raw UTF-8 bytes in the core; JSON has no bytes."""
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = value.decode("utf-8", "backslashreplace")
    return event


class _ToStructlog(logging.Handler):
    """Hands records of the standard library's loggers on."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        level = max(logging.DEBUG, min(record.levelno, logging.ERROR))
        log.log(level, record.getMessage(), logger=record.name, exc_info=record.exc_info)
