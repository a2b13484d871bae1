"""How the server's log looks: lines for people in a terminal, one JSON object a line anywhere else.

Events are snake_case phrases with fields: `log.info("session_created", session=..., timeout_ms=...)`. What libraries
say through `logging` (asyncio's complaints) comes out in the same form. Our own events never go through `logging`: one
below the level costs a method call.

Each module's logger has the level of the part it belongs to: `server.clients`, `server`, or one that it names itself
(`zab` for what the agreement says, `audit`). A longer name that fits wins.
"""

import logging
import sys
from collections.abc import MutableMapping
from functools import cache
from typing import Any, TextIO

import structlog
from structlog._config import BoundLoggerLazyProxy

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
SECRET_WORDS = ("password", "passwd", "secret", "credential", "auth_data", "super_digest")
"""Fields with one of these in their names are never shown."""
HIDDEN = "(not shown)"
PACKAGE = "pyzk."
_bound_class = cache(structlog.make_filtering_bound_logger)


class PartLogger(structlog.WriteLogger):
    """Writes lines, and knows for which part."""

    def __init__(self, file: TextIO, part: str) -> None:
        super().__init__(file)
        self.part = part


def configure(level: str = "info", stream: TextIO | None = None, *, levels: str = "", shape: str = "") -> None:
    """Sets the log up for this process, before the first event; again when the configuration is read.

    Args:
        level: a key of LEVELS.
        stream: standard error unless given.
        levels: of parts, as `zab=debug,server.clients=error` (pyzk.logLevels).
        shape: json or console; empty: by what `stream` is (pyzk.logFormat).
    """
    target = sys.stderr if stream is None else stream
    by_part = parse_levels(levels)
    was_configured = structlog.is_configured()

    def bound(logger: PartLogger, processors: object, context: object) -> object:
        name = level_of(logger.part, by_part, level)
        make: Any = _bound_class(LEVELS[name])
        return make(logger, processors, context)

    structlog.configure(
        processors=_processors(target, shape or ("console" if target.isatty() else "json")),
        wrapper_class=bound,  # type: ignore[arg-type]
        logger_factory=lambda *names: PartLogger(target, names[0] if names else _calling_module()),
        # Loggers are kept by the modules that use them; those of before the configuration was read must not be.
        cache_logger_on_first_use=True,
    )
    if was_configured:
        _forget_loggers()
    logging.basicConfig(level=LEVELS[level], handlers=[_ToStructlog()], force=True)


def _forget_loggers() -> None:
    """Each module's logger keeps what it was made into at its first word; make it anew at the next one."""
    modules = [vars(module) for name, module in list(sys.modules.items()) if f"{name}.".startswith(PACKAGE)]
    for values in modules:
        for value in values.values():
            if isinstance(value, BoundLoggerLazyProxy):
                vars(value).pop("bind", None)


def parse_levels(text: str) -> dict[str, str]:
    """Part to level; the text has been checked."""
    pairs = (part.strip().partition("=") for part in text.split(",") if part.strip())
    return {name: level for name, _, level in pairs}


def level_of(part: str, by_part: dict[str, str], default: str) -> str:
    """Of the longest name that is the part, or holds it."""
    fitting = [name for name in by_part if part == name or part.startswith(f"{name}.")]
    return by_part[max(fitting, key=len)] if fitting else default


def _calling_module() -> str:
    """The module whose logger says its first word: the first frame that is not structlog's."""
    frame = sys._getframe(1)  # noqa: SLF001 - as structlog and logging themselves do
    while frame.f_back is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if not name.startswith("structlog") and name != __name__:
            return name.removeprefix(PACKAGE)
        frame = frame.f_back
    return ""


def _processors(stream: TextIO, shape: str) -> list[structlog.typing.Processor]:
    if shape == "console":
        timestamp = structlog.processors.TimeStamper("%H:%M:%S.%f", utc=False)
        # Plain: rich would show local variables, passwords among them.
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)
        return [structlog.processors.add_log_level, timestamp, _hide_secrets, renderer]
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("iso"),
        structlog.processors.format_exc_info,
        _hide_secrets,
        _show_bytes,
        structlog.processors.JSONRenderer(),
    ]


def _hide_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last fence: nobody should hand a secret to the log in the first place."""
    for key in event:
        if any(word in key.lower() for word in SECRET_WORDS):
            event[key] = HIDDEN
    return event


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
