"""Two samples become rates: what servers and clients have done between them."""

from dataclasses import dataclass, field

from pyzk.tools.javatext import hexadecimal
from pyzk.tools.top.words import Answers, Connection

MEMBER_STATES = frozenset({"leader", "follower", "observer"})


@dataclass(slots=True)
class ServerRow:
    """A server."""

    server: str
    problem: str
    state: str = ""
    zxid: str = ""
    clients: int = 0
    outstanding: int = 0
    received_per_s: float | None = None
    sent_per_s: float | None = None
    latency_ms: str = ""
    znodes: int = 0
    watches: int = 0
    ephemerals: int = 0
    data_bytes: int = 0


@dataclass(slots=True)
class ClientRow:
    """A connection of a client."""

    client: str
    server: str
    session: str
    requests: int
    requests_per_s: float | None
    queued: int
    last_operation: str
    latency_ms: str


@dataclass(slots=True)
class PathRow:
    """A subtree with its requests, or a path with its watchers."""

    path: str
    reads: float = 0
    writes: float = 0
    watchers: int = 0


@dataclass(slots=True)
class Frame:
    """What is shown at one time. Rates are None in the first one."""

    servers: list[ServerRow] = field(default_factory=list)
    clients: list[ClientRow] = field(default_factory=list)
    paths: list[PathRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    has_rates: bool = False


def frame(now: list[Answers], before: list[Answers] | None) -> Frame:
    """Compare a sample with the one before it."""
    earlier = {answers.server: answers for answers in before or []}
    made = Frame(has_rates=before is not None)
    for answers in now:
        previous = earlier.get(answers.server)
        if previous is not None and (previous.problem or previous.at >= answers.at):
            previous = None
        made.servers.append(_server_row(answers, previous))
        made.clients += _client_rows(answers, previous)
    made.clients.sort(key=lambda row: (-(row.requests_per_s or 0), -row.requests, row.client))
    made.paths = _path_rows(now, earlier)
    made.notes = _notes(now)
    return made


def _server_row(answers: Answers, previous: Answers | None) -> ServerRow:
    return ServerRow(
        answers.server,
        answers.problem,
        answers.metrics.get("server_state", ""),
        answers.metrics.get("zxid", ""),
        int(answers.number("num_alive_connections")),
        int(answers.number("outstanding_requests")),
        _rate(answers, previous, "packets_received"),
        _rate(answers, previous, "packets_sent"),
        answers.metrics.get("latency", ""),
        int(answers.number("znode_count")),
        int(answers.number("watch_count")),
        int(answers.number("ephemerals_count")),
        int(answers.number("approximate_data_size")),
    )


def _rate(answers: Answers, previous: Answers | None, name: str) -> float | None:
    if previous is None or name not in answers.metrics or name not in previous.metrics:
        return None
    # A counter that went back was reset, or the server is another one.
    return max(0.0, answers.number(name) - previous.number(name)) / (answers.at - previous.at)


def _client_rows(answers: Answers, previous: Answers | None) -> list[ClientRow]:
    earlier = {one.address: one for one in previous.connections} if previous else {}
    return [
        _client_row(answers, one, earlier.get(one.address), answers.at - previous.at if previous else 0.0)
        for one in answers.connections
        if "sid" in one.fields  # the others are words like ours
    ]


def _client_row(answers: Answers, one: Connection, earlier: Connection | None, seconds: float) -> ClientRow:
    requests = one.number("recved")
    rate = None if not seconds else max(0, requests - (earlier.number("recved") if earlier else 0)) / seconds
    latency = "/".join(one.fields.get(name, "-") for name in ("minlat", "avglat", "maxlat"))
    session, last = one.fields["sid"], one.fields.get("lop", "")
    return ClientRow(one.address, answers.server, session, requests, rate, one.number("queued"), last, latency)


def _path_rows(now: list[Answers], earlier: dict[str, Answers]) -> list[PathRow]:
    rows: dict[str, PathRow] = {}
    for answers in now:
        previous = earlier.get(answers.server)
        before = previous.traffic() if previous else {}
        seconds = answers.at - previous.at if previous else 1.0
        for (name, kind), count in answers.traffic().items():
            row = rows.setdefault(f"/{name}", PathRow(f"/{name}"))
            amount = max(0.0, count - before.get((name, kind), 0)) / max(seconds, 0.001)
            if kind == "read":
                row.reads += amount
            else:
                row.writes += amount
        for path, count in answers.watchers.items():
            rows.setdefault(path, PathRow(path)).watchers += count
    return sorted(rows.values(), key=lambda row: (-(row.reads + row.writes), -row.watchers, row.path))


def _zxid(answers: Answers) -> int:
    try:
        return int(answers.metrics.get("zxid", ""), 16)
    except ValueError:
        return 0


def _notes(now: list[Answers]) -> list[str]:
    found = []
    for answers in now:
        if answers.refused:
            words = ", ".join(answers.refused)
            what = f"{answers.server} does not answer {words}"
            found.append(f"{what}: add them to its 4lw.commands.whitelist to see clients and paths")
    leaders = [row.server for row in now if row.metrics.get("server_state") == "leader"]
    if len(leaders) > 1:
        found.append(f"more than one leader: {', '.join(leaders)} are not one ensemble")
    zxids = [_zxid(row) for row in now if row.metrics.get("server_state") in MEMBER_STATES]
    if len(zxids) > 1 and max(zxids) != min(zxids):
        found.append(f"zxids from 0x{hexadecimal(min(zxids))} to 0x{hexadecimal(max(zxids))}")
    return found
