"""What simulated clients ask for: writes of every kind on a few paths, so that they meet, and reads with watches."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from pyzk.client.watches import WatchKind
from pyzk.codec.opcodes import CreateMode, OpCode
from pyzk.codec.requests import (
    CreateRequest,
    EmptyRequest,
    MultiRequest,
    PathRequest,
    PathVersionRequest,
    PathWatchRequest,
    SetACLRequest,
    SetDataRequest,
)
from pyzk.sim.client import BURST_MAX
from pyzk.sim.rarities import request_rarely
from pyzk.sim.txns import OPEN
from pyzk.sim.watches import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.codec.record import Record
    from pyzk.sim.client import Client
    from pyzk.sim.plan import Plan
    from pyzk.sim.world import World

PARENTS = (b"/a", b"/b", b"/c")
NAMES = tuple(b"n%d" % number for number in range(6))
CREATE_MODES = (
    CreateMode.PERSISTENT,
    CreateMode.PERSISTENT,
    CreateMode.EPHEMERAL,
    CreateMode.PERSISTENT_SEQUENTIAL,
    CreateMode.EPHEMERAL_SEQUENTIAL,
)
PACES = 1 / 3, 4.0
"""Pauses are so many times as long as usual at least, and at most."""
SLACK_WRITES = 20
"""So few more or less say nothing."""
SESSION_CHANCE = 0.01
"""How often a client ends its session, one way or the other, in place of a request."""


class Workload:
    """Makes all clients of a world ask for things.

    Args:
        clients: all of them.
        plan: says how much they ask for.
    """

    def __init__(self, clients: list[Client], plan: Plan) -> None:
        self.clients = clients
        self.pause_seconds = plan.client_pause_seconds
        self.writes_a_second = plan.writes_a_second
        self.is_over = False
        for client in clients:
            self._next(client)

    def _next(self, client: Client) -> None:
        pause_seconds = self.pause_seconds * self._pace(client.world)
        client.world.after(client.rng.expovariate(1 / pause_seconds), lambda: self._act(client))

    def _pace(self, world: World) -> float:
        """How many times as long pauses are as usual: longer if more has been written than is wanted by now.

        What could not be written while nobody served is made up for; a run in which all goes well is not all writes.
        """
        ahead = (world.tally["writes"] + SLACK_WRITES) / (world.now * self.writes_a_second + SLACK_WRITES)
        least, most = PACES
        return min(max(ahead * ahead, least), most)

    def _act(self, client: Client) -> None:
        if self.is_over:
            return
        if client.world.is_quiet:
            self._next(client)
            return
        if client.rng.random() < SESSION_CHANCE:
            client.vanish() if client.rng.random() < 0.7 else client.close()
        else:
            request(client)
        burst_share = client.world.extras.burst_share
        if burst_share and client.bursts.random() < burst_share:
            request_many(client)
        rare_share = client.world.extras.rare_share
        if rare_share and client.rare.random() < rare_share:
            request_rarely(client)
        self._next(client)


def request(client: Client) -> None:
    """One request, whatever it may be."""
    client.rng.choices(_KINDS, cum_weights=_WEIGHTS)[0](client)


def request_many(client: Client) -> None:
    """All at once, so that the server takes them in one turn."""
    with client.burst():
        for _ in range(client.bursts.randrange(2, BURST_MAX)):
            request(client)


def some_path(client: Client) -> bytes:
    """A path that may be there."""
    rng = client.rng
    if client.known and rng.random() < 0.4:
        return rng.choice(client.known)
    return rng.choice(PARENTS) + b"/" + rng.choice(NAMES)


def _data(client: Client) -> bytes:
    return b"%d:%d" % (client.number, client.rng.getrandbits(40))


def create(client: Client) -> None:
    """Below a parent; sometimes the parent itself."""
    rng = client.rng
    parent = rng.choice(PARENTS)
    if rng.random() < 0.1:
        client.ask(OpCode.CREATE, CreateRequest(parent, b"", OPEN, CreateMode.PERSISTENT))
        return
    path = parent + b"/" + rng.choice(NAMES)
    client.ask(OpCode.CREATE, CreateRequest(path, _data(client), OPEN, rng.choice(CREATE_MODES)))


def set_data(client: Client) -> None:
    """On the condition of a version, sometimes."""
    version = client.rng.choice((-1, -1, -1, 0, 1))
    path = client.rng.choice(PARENTS) if client.rng.random() < 0.3 else some_path(client)
    client.ask(OpCode.SET_DATA, SetDataRequest(path, _data(client), version))


def delete(client: Client) -> None:
    """Of anything but a parent."""
    client.ask(OpCode.DELETE, PathVersionRequest(some_path(client), -1))


def multi(client: Client) -> None:
    """Of three ops that stand or fall together."""
    path = client.rng.choice(PARENTS) + b"/" + client.rng.choice(NAMES)
    steps = [
        (OpCode.CREATE, CreateRequest(path, _data(client), OPEN, client.rng.choice(CREATE_MODES[:3]))),
        (OpCode.SET_DATA, SetDataRequest(client.rng.choice(PARENTS), _data(client), -1)),
        (OpCode.SET_DATA, SetDataRequest(path, _data(client), 0)),
        (OpCode.DELETE, PathVersionRequest(path, 1)),
    ]
    client.ask(OpCode.MULTI, MultiRequest(list(steps[: client.rng.randrange(2, 5)])))


def read(client: Client) -> None:
    """With a watch, often."""
    opcode = client.rng.choice((OpCode.EXISTS, OpCode.GET_DATA, OpCode.GET_CHILDREN))
    is_list = opcode == OpCode.GET_CHILDREN
    path = client.rng.choice(PARENTS) if is_list or client.rng.random() < 0.2 else some_path(client)
    watch = None
    if client.rng.random() < 0.5:
        watch = Watch(WatchKind.CHILD if is_list else WatchKind.DATA, path)
    client.ask(opcode, PathWatchRequest(path, watch is not None), watch=watch)


def read_otherwise(client: Client) -> None:
    """What is seldom asked for, without a watch."""
    opcode, record = client.rng.choice(_OTHER_READS)
    if opcode == OpCode.MULTI_READ:
        steps = [(kind, PathWatchRequest(some_path(client), watch=False)) for kind in _MULTI_READS]
        client.ask(opcode, MultiRequest(list(steps)))
    elif record is PathWatchRequest:
        client.ask(opcode, PathWatchRequest(client.rng.choice(PARENTS), watch=False))
    else:
        client.ask(opcode, EmptyRequest() if record is EmptyRequest else PathRequest(some_path(client)))


def set_acl(client: Client) -> None:
    """The one that it has."""
    client.ask(OpCode.SET_ACL, SetACLRequest(some_path(client), OPEN, client.rng.choice((-1, -1, 0))))


def sync(client: Client) -> None:
    """Then read."""
    client.ask(OpCode.SYNC, PathRequest(b"/"))
    read(client)


_REQUESTS: tuple[tuple[Callable[[Client], None], int], ...] = (
    (create, 30),
    (set_data, 25),
    (delete, 12),
    (multi, 8),
    (read, 15),
    (sync, 10),
    (read_otherwise, 5),
    (set_acl, 3),
)
_MULTI_READS = OpCode.GET_DATA, OpCode.GET_CHILDREN
_OTHER_READS: tuple[tuple[OpCode, type[Record]], ...] = (
    (OpCode.GET_CHILDREN2, PathWatchRequest),
    (OpCode.GET_ACL, PathRequest),
    (OpCode.GET_EPHEMERALS, PathRequest),
    (OpCode.GET_ALL_CHILDREN_NUMBER, PathRequest),
    (OpCode.WHO_AM_I, EmptyRequest),
    (OpCode.MULTI_READ, MultiRequest),
)
_KINDS = [kind for kind, _ in _REQUESTS]
_WEIGHTS = list(accumulate(weight for _, weight in _REQUESTS))
