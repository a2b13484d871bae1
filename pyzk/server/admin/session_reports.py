"""Words about clients: stat, cons, dump, wchs, wchc, wchp. Source: docs/protocol/operations.md 1.2, 1.4 and 1.5."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pyzk.codec.opcodes import OpCode
from pyzk.server.admin import ensemble_reports, reports
from pyzk.server.clock import monotonic_seconds, wall_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyzk.server.base import BaseServer as Server
    from pyzk.service.connection import Connection

JAVA_DATE = "%a %b %d %H:%M:%S %Z %Y"
NO_OPERATION = "NA"
OPERATIONS: dict[int | None, str] = {
    OpCode.CREATE_SESSION: "SESS",
    OpCode.CLOSE_SESSION: "CLOS",
    OpCode.PING: "PING",
    OpCode.CREATE: "CREA",
    OpCode.CREATE2: "CREA",
    OpCode.CREATE_TTL: "CREA",
    OpCode.CREATE_CONTAINER: "CREA",
    OpCode.DELETE: "DELE",
    OpCode.SET_DATA: "SETD",
    OpCode.SET_ACL: "SETA",
    OpCode.RECONFIG: "RECO",
    OpCode.MULTI: "MULT",
    OpCode.MULTI_READ: "MLTR",
    OpCode.SYNC: "SYNC",
    OpCode.CHECK: "CHEC",
    OpCode.EXISTS: "EXIS",
    OpCode.GET_DATA: "GETD",
    OpCode.GET_ACL: "GETA",
    OpCode.GET_CHILDREN: "GETC",
    OpCode.GET_CHILDREN2: "GETC",
    OpCode.GET_ALL_CHILDREN_NUMBER: "GETACN",
    OpCode.GET_EPHEMERALS: "GETE",
    OpCode.SET_WATCHES: "SETW",
    OpCode.SET_WATCHES2: "STW2",
    OpCode.ADD_WATCH: "ADDW",
    OpCode.CHECK_WATCHES: "CHKW",
    OpCode.REMOVE_WATCHES: "REMW",
    OpCode.WHO_AM_I: "HOMI",
}
"""How cons names the last operation of a session."""


def server_and_clients(server: Server, asker: int) -> str:
    """Word stat."""
    clients = [f" {_brief(server, state, asker)})\n" for state in server.peer.service.connections.values()]
    return "".join([reports.version(server), "Clients:\n", *clients, "\n", reports.totals(server)])


def connections(server: Server, asker: int) -> str:
    """Word cons."""
    lines = []
    for state in server.peer.service.connections.values():
        session = _session(state) if state.established else ""
        lines.append(f" {_brief(server, state, asker)}{session})\n")
    return "".join(lines) + "\n"


def _brief(server: Server, state: Connection, asker: int) -> str:
    """One connection; the word's own is not read from any more."""
    client = server.peer.clients[state.id]
    interest = 0 if state.id == asker else client.interest
    traffic = state.stats
    return f"{client.label}[{interest}](queued={len(state.queue)},recved={traffic.received},sent={traffic.sent}"


def _session(state: Connection) -> str:
    latency = state.stats
    mean_ms = latency.total // latency.count if latency.count else 0
    last_xid = f",lcxid={_hex(state.last_xid)}" if state.last_xid >= 0 else ""
    return (
        f",sid={_hex(state.session_id)},lop={OPERATIONS.get(state.last_opcode, NO_OPERATION)}"
        f",est={state.connected_wall_ms},to={state.timeout_ms}{last_xid},lzxid={_hex(state.last_zxid)}"
        f",lresp={int(state.last_response_at * 1000)},llat={state.last_latency_ms}"
        f",minlat={latency.least},avglat={mean_ms},maxlat={latency.most}"
    )


def _hex(number: int) -> str:
    return f"0x{number & 0xFFFFFFFFFFFFFFFF:x}"


def dump(server: Server) -> str:
    """Word dump: when sessions expire, their ephemerals, and when connections expire."""
    sessions = ensemble_reports.sessions(server)
    return "".join(
        [*(_sessions(server) if sessions is None else sessions), *_ephemerals(server), *_connections(server)]
    )


def _sessions(server: Server) -> Iterable[str]:
    buckets = list(server.peer.service.tracker.buckets())
    yield f"SessionTracker dump:\nSession Sets ({len(buckets)})/({sum(len(ids) for _, ids in buckets)}):\n"
    for expires_at, session_ids in buckets:
        yield _bucket(expires_at, [_hex(session_id) for session_id in session_ids])


def _ephemerals(server: Server) -> Iterable[str]:
    ephemerals = server.peer.service.tree.ephemerals
    yield f"ephemeral nodes dump:\nSessions with Ephemerals ({len(ephemerals)}):\n"
    for session_id, paths in ephemerals.items():
        yield f"{_hex(session_id)}:\n"
        yield from [f"\t{_text(path)}\n" for path in paths]


def _connections(server: Server) -> Iterable[str]:
    states = server.peer.service.connections.values()
    buckets: dict[float, list[str]] = {}
    for state in states:
        session_id = state.session_id if state.established else 0
        line = f"ip: {server.peer.clients[state.id].label} sessionId: {_hex(session_id)}"
        buckets.setdefault(_expires_at(server, state), []).append(line)
    yield f"Connections dump:\nConnections Sets ({len(buckets)})/({len(states)}):\n"
    for expires_at in sorted(buckets):
        yield _bucket(expires_at, buckets[expires_at])


def _expires_at(server: Server, state: Connection) -> float:
    """Monotonic seconds, in steps of the sessionless timeout."""
    step_ms = server.config.sessionless_timeout_ms
    timeout_ms = state.timeout_ms if state.established else step_ms
    return (int(state.last_heard_at * 1000 + timeout_ms) // step_ms + 1) * step_ms / 1000


def _bucket(expires_at: float, lines: list[str]) -> str:
    wall_seconds = wall_ms() / 1000 + expires_at - monotonic_seconds()
    date = time.strftime(JAVA_DATE, time.localtime(wall_seconds))
    return "".join([f"{len(lines)} expire at {date}:\n", *[f"\t{line}\n" for line in lines]])


def watch_totals(server: Server) -> str:
    """Word wchs: data watches only, as in wchc and wchp."""
    watches = server.peer.service.watches
    return (
        f"{watches.data_connections} connections watching {watches.data_paths} paths\n"
        f"Total watches:{watches.data_total}\n"
    )


def watches_by_session(server: Server) -> str:
    """Word wchc."""
    service = server.peer.service
    lines = []
    for connection, paths in service.watches.by_connection():
        lines.append(f"{_hex(service.connections[connection].session_id)}\n")
        lines += [f"\t{_text(path)}\n" for path in paths]
    return "".join(lines) + "\n"


def watches_by_path(server: Server) -> str:
    """Word wchp."""
    service = server.peer.service
    lines = []
    for path, watchers in service.watches.by_path():
        lines.append(f"{_text(path)}\n")
        lines += [f"\t{_hex(service.connections[connection].session_id)}\n" for connection in watchers]
    return "".join(lines) + "\n"


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
