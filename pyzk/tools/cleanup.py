"""`pyzk cleanup`: PurgeTxnLog, with its arguments, its words and its choice of files.

Kept are the newest snapshots, as many as asked for, and every log that may hold txns behind the oldest of them.
Source: docs/protocol/storage.md section 9.
"""

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyzk.errors import StorageError
from pyzk.server.config import load_config
from pyzk.storage.disk import Disk
from pyzk.storage.names import Places
from pyzk.storage.retention import SNAPSHOTS_MIN, disposable
from pyzk.storage.snapshot import candidates
from pyzk.tools.files import real_disk
from pyzk.tools.javatext import medium_date
from pyzk.tools.output import note, say

USAGE = """\
Usage:
PurgeTxnLog dataLogDir [snapDir] -n count
\tdataLogDir -- path to the txn log directory
\tsnapDir -- path to the snapshot directory
\tcount -- the number of old snaps/logs you want to keep, value should be greater than or equal to 3"""
EXAMPLES = """\
examples:
  pyzk cleanup --config conf/zoo.cfg -n 5
  pyzk cleanup /var/log/zookeeper /var/lib/zookeeper -n 3
  pyzk cleanup --dry-run --config conf/zoo.cfg
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code. Raises PyzkError."""
    options = _parser().parse_args(arguments)
    problem = _problem(options)
    if problem is not None:
        note(problem)
        say(USAGE)
        return 1
    disk, verb = real_disk(), "Would remove" if options.dry_run else "Removing"
    code = 0
    for path in files_to_remove(disk, _places(options), int(options.count)):
        say(f"{verb} file: {medium_date(int(Path(path).stat().st_mtime * 1000))}\t{path}")
        if not options.dry_run:
            code |= _remove(disk, path)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyzk cleanup",
        description="Remove snapshots and logs that are not needed any more, as Apache's zkCleanup.sh.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", nargs="*", metavar="dataLogDir [snapDir]", help="as for Apache's PurgeTxnLog")
    parser.add_argument("--config", metavar="FILE", help="take the directories from this zoo.cfg")
    parser.add_argument(
        "-n", dest="count", default=str(SNAPSHOTS_MIN), metavar="COUNT", help="snapshots to keep, 3 or more"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed")
    return parser


def _problem(options: argparse.Namespace) -> str | None:
    """What is wrong with the arguments, in Apache's words where it has any."""
    if not re.fullmatch(r"[+-]?\d+", options.count):
        return f"'{options.count}' can not be parsed to integer."
    if int(options.count) < SNAPSHOTS_MIN:
        return "count should be greater than or equal to 3"
    if bool(options.config) == bool(options.directory) or len(options.directory) > 2:
        return "Name either --config FILE, or dataLogDir and perhaps snapDir"
    for directory in options.directory:
        if not Path(directory).exists():
            return f"Path '{Path(directory).absolute()}' does not exist. "
    return None


def _places(options: argparse.Namespace) -> Places:
    if options.config:
        config, _ = load_config(options.config, os.environ)
        return Places.of(config.data_dir, config.data_log_dir)
    logs, snapshots = options.directory[0], options.directory[-1]
    return Places.of(snapshots, logs)


def files_to_remove(disk: Disk, places: Places, count: int) -> Iterator[str]:
    """Paths of the logs, then of the snapshots, that nothing needs. Raises ConfigError for mixed up directories."""
    places.check(disk)
    snapshots, logs = disk.names(places.snapshots), disk.names(places.logs)
    old_snapshots, old_logs = disposable(snapshots, logs, candidates(disk, places.snapshots, count), count)
    yield from (f"{places.logs}/{name}" for name in old_logs)
    yield from (f"{places.snapshots}/{name}" for name in old_snapshots)


def _remove(disk: Disk, path: str) -> int:
    try:
        disk.remove(path)
    except StorageError as error:
        note(f"Failed to remove {path}: {error}")
        return 1
    return 0
