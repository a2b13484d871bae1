"""Where audit records go: to a file of their own, in Apache's layout, or into the server's log.

Success is told at level info, failure at level error, as Apache's server does. Source: docs/protocol/operations.md
section 4.
"""

import getpass
import logging
import os

import structlog

from pyzk.service.audit import FAILURE, AuditRecord

log = structlog.get_logger("audit")

SERVER_START, SERVER_STOP = "serverStart", "serverStop"
INVOKED = "invoked"
LAYOUT = "%(asctime)s %(levelname)-5s audit.Slf4jAuditLogger: %(message)s"
FILE_BYTES_MAX = 10 * 1024 * 1024
FILES_KEPT = 10


def server_user() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, whose user has no name
        return str(os.getuid())


class AuditLog:
    """Writes records.

    Args:
        path: of the file; empty for the server's log. Raises OSError if it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._file: logging.Handler | None = None
        if path:
            from logging.handlers import RotatingFileHandler  # noqa: PLC0415 - takes its time, and few ask for it

            self._file = RotatingFileHandler(path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8")
            self._file.setFormatter(logging.Formatter(LAYOUT))

    def write(self, record: AuditRecord) -> None:
        """One record, one line."""
        level = logging.ERROR if record.result == FAILURE else logging.INFO
        if self._file is not None:
            self._file.handle(logging.LogRecord("audit", level, "", 0, record.text(), None, None))
        else:
            fields = {name: value for name, value in record._asdict().items() if value}
            (log.error if level == logging.ERROR else log.info)("audit", **fields)

    def server(self, operation: str, result: str) -> None:
        """The server itself has done something."""
        self.write(AuditRecord(operation, result, user=server_user()))

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
