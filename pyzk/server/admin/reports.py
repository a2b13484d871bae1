"""Words about the server as a whole: srvr, conf, dirs, envi, hash. Source: docs/protocol/operations.md 1.2 to 1.4."""

from __future__ import annotations

import getpass
import os
import platform
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pyzk import VERSION_WORD
from pyzk.server.admin import ensemble_reports
from pyzk.server.config.fields_clients import PORT_UNSET

if TYPE_CHECKING:
    from pyzk.server.base import BaseServer as Server
    from pyzk.service.counters import Distribution, Summary

NOT_AVAILABLE = "<NA>"
STANDALONE_SERVER_ID = 0
JAVA_KEYS = ("version", "vendor", "home", "class.path", "library.path", "io.tmpdir", "compiler")
JAVA_ARCHITECTURES = {"x86_64": "amd64"}


def average(summary: Summary | Distribution) -> str:
    """The mean with one to four decimals, rounded half up."""
    if not summary.count:
        return "0.0"
    ten_thousandths = (20_000 * summary.total + summary.count) // (2 * summary.count)
    whole, decimals = divmod(ten_thousandths, 10_000)
    return f"{whole}.{f'{decimals:04}'.rstrip('0') or '0'}"


def version(server: Server) -> str:
    """What srvr and stat begin with."""
    return f"Zookeeper version: {VERSION_WORD}\n{ensemble_reports.read_only_line(server)}"


def totals(server: Server) -> str:
    """The lines that srvr and stat end with."""
    service = server.peer.service
    counters, latency = service.counters, service.counters.latency
    return (
        f"Latency min/avg/max: {latency.least}/{average(latency)}/{latency.most}\n"
        f"Received: {counters.received}\n"
        f"Sent: {counters.sent}\n"
        f"Connections: {len(service.connections)}\n"
        f"Outstanding: {service.outstanding}\n"
        f"Zxid: 0x{service.tree.last_zxid:x}\n"
        f"Mode: {server.peer.mode}\n"
        f"Node count: {service.tree.node_count}\n"
        f"{ensemble_reports.proposal_line(server)}"
    )


def server(server: Server) -> str:
    """Word srvr."""
    return version(server) + totals(server)


def configuration(server: Server) -> str:
    """Word conf."""
    config = server.config
    snapshots, logs = server.directory_sizes()
    pairs = {
        "clientPort": server.port or PORT_UNSET,
        "secureClientPort": server.secure_port or PORT_UNSET,
        "dataDir": server.places.snapshots,
        "dataDirSize": snapshots,
        "dataLogDir": server.places.logs,
        "dataLogSize": logs,
        "tickTime": config.tick_time_ms,
        "maxClientCnxns": config.max_client_connections_per_address,
        "minSessionTimeout": config.min_session_timeout_ms,
        "maxSessionTimeout": config.max_session_timeout_ms,
        "clientPortListenBacklog": config.listen_backlog,
        "serverId": config.server_id if config.is_distributed else STANDALONE_SERVER_ID,
    }
    return _lines(pairs) + ensemble_reports.configuration(server)


def directories(server: Server) -> str:
    """Word dirs: sizes in bytes."""
    snapshots, logs = server.directory_sizes()
    return f"datadir_size: {snapshots}\nlogdir_size: {logs}\n"


def digests(server: Server) -> str:
    """Word hash: the tree's digest at each 128th txn."""
    return "".join([f"{zxid:x}: {digest}\n" for zxid, digest in server.peer.service.digests])


def environment(server: Server) -> str:  # noqa: ARG001
    """Word envi."""
    return "Environment:\n" + _lines(environment_pairs())


def environment_pairs() -> dict[str, str]:
    """What Java would say where it applies, then what is ours."""
    return {
        "zookeeper.version": VERSION_WORD,
        "host.name": socket.getfqdn(),
        **{f"java.{key}": NOT_AVAILABLE for key in JAVA_KEYS},
        "os.name": platform.system(),
        "os.arch": JAVA_ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os.version": platform.release(),
        "user.name": _user_name(),
        "user.home": str(Path.home()),
        "user.dir": str(Path.cwd()),
        **_memory(),
        "python.version": platform.python_version(),
        "python.implementation": platform.python_implementation(),
        "python.executable": sys.executable,
    }


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, whose user has no name
        return str(os.getuid())


def _memory() -> dict[str, str]:
    """Of the machine, where Java tells of its heap."""
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * page_bytes >> 20
    free = os.sysconf("SC_AVPHYS_PAGES") * page_bytes >> 20
    return {"os.memory.free": f"{free}MB", "os.memory.max": f"{total}MB", "os.memory.total": f"{total}MB"}


def _lines(pairs: dict[str, object] | dict[str, str]) -> str:
    return "".join([f"{key}={value}\n" for key, value in pairs.items()])
