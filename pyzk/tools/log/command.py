"""`pyzk log`: the command line."""

import argparse
import sys
from collections.abc import Sequence

from pyzk.errors import DecodeError
from pyzk.storage.disk import Disk
from pyzk.storage.logreader import LogReader
from pyzk.storage.txnlog import BATCH_BYTES_MAX
from pyzk.tools import output
from pyzk.tools.files import log_files, real_disk, split
from pyzk.tools.javatext import hexadecimal
from pyzk.tools.log import filters, toolkit
from pyzk.tools.log.entries import Entry
from pyzk.tools.output import Advance, ToolError, note, progress, say, say_json

EXAMPLES = """\
examples:
  pyzk log data/version-2                                     every txn of every log
  pyzk log --path /app --type delete,multi --since 2026-11-22T20:00:00 data
  pyzk log --json --from 0x100000000 data/version-2/log.100000001
  pyzk log -r -y log.1                                        log.1.fixed, with checksums mended
  pyzk log -c -z 0x14 log.1                                   log.1.chopped20, without what is behind it
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code: 0 all read, 1 damage or a refusal. Raises PyzkError."""
    parser = _parser()
    options = parser.parse_args(arguments)
    paths = log_files(options.file)
    if options.recover or options.chop:
        if len(paths) != 1:
            parser.error(f"one file at a time; {', '.join(options.file)} are {len(paths)}")
        return _repair(options, paths[0], parser)
    disk = real_disk()
    total = sum(disk.size(path) for path in paths)
    code = 0
    # On a terminal the txns themselves show that it goes on.
    with progress("reading", 0 if sys.stdout.isatty() else total) as advance:
        for path in paths:
            if options.apache:
                toolkit.dump(toolkit.RawLog(disk, path), advance)
            else:
                code |= show(disk, path, filters.Filter.of(options), advance, as_json=options.json)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyzk log",
        description="Show the txns of transaction logs; mend wrong checksums; cut a log.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="+", metavar="FILE", help="log files, version-2 directories or dataDirs")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document a txn")
    form.add_argument(
        "--apache", "-d", "--dump", action="store_true", help="as Apache's TxnLogToolkit; filters are off"
    )
    filters.add_arguments(parser)
    repair = parser.add_argument_group("repair, with the words and file names of Apache's TxnLogToolkit")
    repair.add_argument("-r", "--recover", action="store_true", help="write FILE.fixed with checksums reckoned anew")
    repair.add_argument("-v", "--verbose", action="store_true", help="with -r: print all txns, not only those mended")
    repair.add_argument("-y", "--yes", action="store_true", help="with -r: mend all without asking")
    repair.add_argument("-c", "--chop", action="store_true", help="write FILE.choppedZXID with the txns up to -z")
    repair.add_argument("-z", "--zxid", type=output.zxid, metavar="ZXID", help="with -c: the last txn to keep")
    return parser


def _repair(options: argparse.Namespace, path: str, parser: argparse.ArgumentParser) -> int:
    log = toolkit.RawLog(real_disk(), path)
    with progress("writing", log.size) as advance:
        if options.chop:
            if options.zxid is None:
                parser.error("-c needs -z ZXID: the last txn to keep")
            return toolkit.chop(log, options.zxid, advance)
        return toolkit.recover(log, advance, verbose=options.verbose, yes=options.yes)


def show(disk: Disk, path: str, wanted: filters.Filter, advance: Advance, *, as_json: bool) -> int:
    """Print the txns of one file that are wanted; 1 if something in it cannot be read."""
    reader = LogReader(disk, *split(path))
    code = 0
    for zxid, offset, payload in reader:
        advance(len(payload))
        if not wanted.wants(zxid):
            continue
        try:
            entry = Entry.decode(path, offset, payload)
        except DecodeError as error:
            note(
                f"{path} at offset {offset}: txn 0x{hexadecimal(zxid)} has a good checksum and no good content: {error}"
            )
            code = 1
            continue
        if wanted.accepts(entry):
            if as_json:
                say_json(entry.value())
            else:
                say(entry.line())
    if reader.damage is None:
        return code
    note(f"{path} at offset {reader.position}: {damage(disk, reader)}. {remedy(disk, reader)}")
    return 1


def damage(disk: Disk, reader: LogReader) -> str:
    """What is wrong where a log file cannot be read on, and what is behind that."""
    good = good_behind(disk, reader)
    behind = f", among them {good} good txns" if good else ""
    return f"{reader.damage}, with {reader.behind} bytes behind it{behind}"


def good_behind(disk: Disk, reader: LogReader) -> int:
    """How many records behind the damage have a good checksum: they speak for damage at rest, not for a power cut."""
    count = 0
    try:
        for record in toolkit.RawLog(disk, reader.path):
            count += record.offset > reader.position and record.is_good and record.is_whole
    except ToolError:
        return count  # the damage hides where the next record begins
    return count


def remedy(disk: Disk, reader: LogReader) -> str:
    """What to do about the damage of a log file."""
    if reader.last_zxid == 0 and reader.position == 0:
        return "Is it a log file? A log without its header holds nothing that a server reads"
    mend = f"pyzk log -r {reader.path} mends a checksum that is wrong"
    cut = f"pyzk log -c -z 0x{hexadecimal(reader.last_zxid)} {reader.path} cuts the log behind the last good txn"
    ways = f"{mend}; {cut}" if reader.last_zxid else mend
    if reader.behind > BATCH_BYTES_MAX:
        return f"Restore the file from a backup, or let the member be filled by its leader; {ways}"
    if good_behind(disk, reader):
        return f"Of the newest log a server would cut all that is behind it too; {ways}"
    return f"Of the newest log this is the torn last batch of a crash, which the server cuts; elsewhere: {ways}"
