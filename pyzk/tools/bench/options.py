"""The command line of `pyzk bench`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyzk.client.hosts import parse_hosts
from pyzk.tools.bench.access import Access, read_password
from pyzk.tools.bench.workloads import WORKLOADS
from pyzk.tools.output import ToolError

SECONDS_DEFAULT = 2.0
WARMUP_S_DEFAULT = 0.5
VALUE_BYTES_MAX = 1_000_000
"""A little less than what servers take unless jute.maxbuffer says otherwise."""
EXAMPLES = """\
examples:
  pyzk bench --server zk1:2181,zk2:2181,zk3:2181            all workloads, about half a minute
  pyzk bench --workload mixed --seconds 60 --read-share 0.8
  pyzk bench --workload get --rate 2000                      latencies at a load that your clients really have
  pyzk bench --workload set --rate 200 --seconds 600         kill the leader meanwhile: the longest gap is the failover
  pyzk bench --workload get --jobs 4 --connections 64        when one process is too slow for the servers
  pyzk bench --json > result.json

All happens below --root, which is deleted at the end, also after Ctrl-C. With --rate a latency counts from the moment
at which the request was due; without it each worker (--connections times --depth) sends its next request when the last
is answered. The exit code is 1 if a workload had no success at all.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be done; `operations`, if given, in place of `seconds`."""

    access: Access
    workloads: tuple[str, ...] = tuple(WORKLOADS)
    connections: int = 16
    depth: int = 4
    seconds: float = SECONDS_DEFAULT
    operations: int | None = None
    warmup_s: float = WARMUP_S_DEFAULT
    rate: float | None = None
    value_bytes: int = 100
    keys: int = 1000
    read_share: float = 0.9
    root: str = "/pyzk-bench"
    jobs: int = 1
    as_json: bool = False

    def share(self, job: int) -> "Options":
        """What one of several processes does of it."""
        return replace(
            self,
            connections=_part(self.connections, job, self.jobs),
            operations=None if self.operations is None else _part(self.operations, job, self.jobs),
            rate=None if self.rate is None else self.rate / self.jobs,
        )


def _part(total: int, job: int, jobs: int) -> int:
    return total // jobs + (job < total % jobs)


def read_options(arguments: Sequence[str]) -> Options:
    """Take the command line apart. Raises ToolError."""
    given = _parser().parse_args(arguments)
    password = read_password(given.password_file) if given.password_file else ""
    access = Access(given.server, given.timeout, given.client_configuration, given.user, password)
    options = Options(
        access=access,
        workloads=tuple(given.workload.split(",")),
        connections=given.connections,
        depth=given.depth,
        seconds=given.seconds,
        operations=given.operations,
        warmup_s=given.warmup,
        rate=given.rate,
        value_bytes=given.value_bytes,
        keys=given.keys,
        read_share=given.read_share,
        root=given.root,
        jobs=given.jobs,
        as_json=given.json,
    )
    _check(options)
    return options


def _check(options: Options) -> None:
    unknown = [name for name in options.workloads if name not in WORKLOADS]
    rules = (
        (not unknown, f"--workload {','.join(unknown)}: write one or several of {','.join(WORKLOADS)}"),
        (options.connections > 0, f"--connections {options.connections}: write a number, at least 1"),
        (options.depth > 0, f"--depth {options.depth}: write a number, at least 1"),
        (options.seconds > 0, f"--seconds {options.seconds:g}: write seconds, more than 0"),
        (options.operations is None or options.operations > 0, f"--operations {options.operations}: write at least 1"),
        (options.warmup_s >= 0, f"--warmup {options.warmup_s:g}: write seconds"),
        (options.rate is None or options.rate > 0, f"--rate {options.rate}: write operations a second, more than 0"),
        (0 <= options.value_bytes <= VALUE_BYTES_MAX, f"--value-bytes {options.value_bytes}: 0 to {VALUE_BYTES_MAX}"),
        (options.keys > 0, f"--keys {options.keys}: write a number, at least 1"),
        (0 <= options.read_share <= 1, f"--read-share {options.read_share:g}: write a number from 0 to 1"),
        (0 < options.jobs <= options.connections, f"--jobs {options.jobs}: 1 to the number of connections"),
        (0 < options.access.timeout_ms < 1 << 31, f"--timeout {options.access.timeout_ms}: write milliseconds"),
        (_is_path(options.root), f"--root {options.root}: write the path of a znode, such as /pyzk-bench"),
    )
    for holds, complaint in rules:
        if not holds:
            raise ToolError(complaint)
    _check_access(options.access)


def _check_access(access: Access) -> None:
    if bool(access.user) != bool(access.password):
        raise ToolError("--user and --password-file belong together, and the file's first line is the password")
    try:
        parse_hosts(access.hosts)
    except ValueError as error:
        raise ToolError(str(error)) from error


def _is_path(text: str) -> bool:
    return text.startswith("/") and all(name not in {"", ".", ".."} for name in text[1:].split("/"))


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:10} {workload.summary}" for name, workload in WORKLOADS.items())
    parser = argparse.ArgumentParser(
        prog="pyzk bench",
        description="Put load on a server or an ensemble, pyzk's or Apache's, and show rates and latencies.",
        epilog=f"workloads:\n{listed}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Options(Access("localhost:2181", 10_000))
    _add_servers(parser, default)
    _add_load(parser, default)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    return parser


def _add_servers(parser: argparse.ArgumentParser, default: Options) -> None:
    add = parser.add_argument_group("servers").add_argument
    add("--server", default=default.access.hosts, metavar="HOST:PORT,...[/CHROOT]", help="default localhost:2181")
    add("--timeout", type=int, default=default.access.timeout_ms, metavar="MS", help="session timeout to ask for")
    add("--client-configuration", default="", metavar="FILE", help="properties of a client as for pyzk-cli: TLS, SASL")
    add("--user", default="", metavar="NAME", help="a digest identity for each session ...")
    add("--password-file", default="", metavar="FILE", help="... whose password is the first line of this file")


def _add_load(parser: argparse.ArgumentParser, default: Options) -> None:
    group = parser.add_argument_group("load")
    add = group.add_argument
    add("--workload", default=",".join(WORKLOADS), metavar="NAME,...", help="one after the other; default: all")
    add("--connections", type=int, default=default.connections, metavar="N", help=f"default {default.connections}")
    add(
        "--depth",
        type=int,
        default=default.depth,
        metavar="D",
        help=f"requests under way on each, default {default.depth}",
    )
    length = group.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds", type=float, default=default.seconds, metavar="S", help="for each workload, default 2"
    )
    length.add_argument("--operations", type=int, metavar="N", help="so many for each workload, however long it takes")
    add(
        "--warmup",
        type=float,
        default=default.warmup_s,
        metavar="S",
        help="seconds before that which are not counted, default 0.5",
    )
    add("--rate", type=float, metavar="R", help="operations a second; as many as possible if not given")
    add("--value-bytes", type=int, default=default.value_bytes, metavar="B", help=f"default {default.value_bytes}")
    add("--keys", type=int, default=default.keys, metavar="K", help=f"znodes with values, default {default.keys}")
    add("--read-share", type=float, default=default.read_share, metavar="X", help="gets in mixed, default 0.9")
    add("--root", default=default.root, metavar="PATH", help=f"where it all happens, default {default.root}")
    add("--jobs", type=int, default=default.jobs, metavar="N", help="processes that share the connections, default 1")
