"""Names of files and the directories that hold them.

`log.<hex zxid of the first record>`, `snapshot.<hex zxid>[.gz|.snappy]`; other files are not ours and are ignored.
Source: docs/protocol/storage.md section 1.
"""

import re
from dataclasses import dataclass
from typing import Self

from pyzk.errors import ConfigError
from pyzk.storage.disk import Disk

LOG_NAME = re.compile(r"log\.([0-9a-fA-F]{1,16})")
SNAPSHOT_NAME = re.compile(r"snapshot\.([0-9a-fA-F]{1,16})(?:\.(?:gz|snappy))?")
SUFFIXES = {"": "", "gz": ".gz", "snappy": ".snappy"}


@dataclass(slots=True)
class Places:
    """The two `version-2` directories of a server, and where its `initialize` marker lies."""

    snapshots: str
    logs: str
    marker_directory: str

    @classmethod
    def of(cls, data_directory: str, data_log_directory: str | None = None) -> Self:
        """The places below dataDir and dataLogDir (None: the same)."""
        log_directory = data_log_directory or data_directory
        return cls(f"{data_directory}/version-2", f"{log_directory}/version-2", log_directory)

    def check(self, disk: Disk) -> None:
        """Refuse directories that were mixed up. Raises ConfigError."""
        if self.snapshots == self.logs:
            return
        if logs(disk.names(self.snapshots)):
            remedy = "Snapshot directory has log files. Check if dataLogDir and dataDir configuration is correct."
            raise ConfigError("dataDir", self.snapshots, remedy)
        if snapshots(disk.names(self.logs)):
            remedy = "Log directory has snapshot files. Check if dataLogDir and dataDir configuration is correct."
            raise ConfigError("dataLogDir", self.logs, remedy)


def log_name(zxid: int) -> str:
    """Name of the log file whose first record has this zxid."""
    return f"log.{zxid:x}"


def snapshot_name(zxid: int, compression: str = "") -> str:
    """Name of a snapshot; `compression` is empty, `gz` or `snappy`."""
    return f"snapshot.{zxid:x}{SUFFIXES[compression]}"


def logs(names: list[str]) -> list[tuple[int, str]]:
    """(zxid, name) of the log files among `names`, oldest first."""
    return _numbered(LOG_NAME, names)


def snapshots(names: list[str]) -> list[tuple[int, str]]:
    """(zxid, name) of the snapshots among `names`, oldest first."""
    return _numbered(SNAPSHOT_NAME, names)


def _numbered(pattern: re.Pattern[str], names: list[str]) -> list[tuple[int, str]]:
    matches = [(pattern.fullmatch(name), name) for name in names]
    return sorted((int(match[1], 16), name) for match, name in matches if match and int(match[1], 16) < 1 << 63)
