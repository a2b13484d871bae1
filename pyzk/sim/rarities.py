"""What simulated clients ask for less often: persistent watches, identities and ACLs, containers and TTL znodes.

It is drawn from a generator of its own in each client, so that what `workload` draws stays as it is.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from pyzk.client.watches import WatchKind
from pyzk.codec.opcodes import AddWatchMode, CreateMode, OpCode, Perms, WatcherType
from pyzk.codec.records import ACL
from pyzk.codec.requests import (
    CreateRequest,
    CreateTTLRequest,
    EmptyRequest,
    MultiRequest,
    PathRequest,
    PathTypeRequest,
    PathVersionRequest,
    PathWatchRequest,
    ReconfigRequest,
    SetACLRequest,
    SetDataRequest,
)
from pyzk.sim.acls import ADDRESS
from pyzk.sim.equipment import ENSEMBLE, HOUSE, SUPER_PASSWORD
from pyzk.sim.txns import OPEN
from pyzk.sim.watches import Watch
from pyzk.tree.acl import digest_id
from pyzk.tree.quota import QUOTA_ROOT, limits_path, stats_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.sim.client import Client

PRIVATE, MORTAL = b"/p", b"/t"
"""Above what not everybody may see, and above what goes by itself."""
WATCHED = b"/", b"/a", b"/b", PRIVATE, MORTAL, b"/a/n0", b"/b/n1"
NAMES = tuple(b"/n%d" % number for number in range(4))
RECONFIG_CHANCE = 0.1
STANDING_MAX = 4
"""Persistent watches of one session."""
TTLS_MS = 200, 2_000, 20_000
MODES = {
    AddWatchMode.PERSISTENT: WatchKind.PERSISTENT,
    AddWatchMode.PERSISTENT_RECURSIVE: WatchKind.RECURSIVE,
}
NO_SERVERS = (
    b"nonsense",
    b"server.1=nonsense",
    b"server.x=10.0.0.9:2888:3888:participant;2181",
    b"server.9=10.0.0.9:2888:3888:participant",
    b"server.9=10.0.0.1:2888:3888:participant;2181",
    b"server.9=10.0.0.9:2888:2888:participant;2181",
    b"server.9=10.0.0.9:2888:99999:participant;2181",
    b"server.9=10.0.0.9:port:3888:participant;2181",
    b"server.9=10.0.0.9:2888:3888:leader;2181",
    b"server.9=10.0.0.9:2888:3888:observer|10.0.0.8:2888:3888:participant;2181",
    b"server.9=10.0.0.9:2888:3888;a:b:c",
    b"server.9=10.0.0.9:2888:3888;1;2",
    b"server.9=[::1:2888:3888;2181",
    b"server.9=[::1]2888:3888;2181",
    b"server.9=[::1]:;2181",
    b"\xff",
)
NO_MEMBERS = (
    b"group.1=1,group.2=1",
    b"group.1=1:x",
    b"group.1=1,weight.1=-1",
    b"group.1=1,weight.1=one",
    b"group.1=1",
    b"version=nonsense",
    b"tickTime=2000",
    b"server.1=10.0.0.1:28:38:participant;2181\\u00zz",
)
"""What does not belong into a configuration, or not in this way."""
READ_BY_ALL = ACL(Perms.READ, b"world", b"anyone")


def request_rarely(client: Client) -> None:
    """One request, whatever it may be."""
    if client.world.settings.reconfig_enabled and client.rare.random() < RECONFIG_CHANCE:
        reconfigure(client)
    client.rare.choices(_KINDS, cum_weights=_WEIGHTS)[0](client)


def _is_there(client: Client, path: bytes) -> bool:
    model = client.world.checker.model
    return model.node(path, len(model.headers)) is not None


# Watches.


def add_watch(client: Client) -> None:
    """One that stays."""
    standing = [watch for watch in client.promises.watches.set if watch.is_persistent]
    if len(standing) < STANDING_MAX:
        path, mode = client.rare.choice(WATCHED), client.rare.choice(list(MODES))
        client.ask(OpCode.ADD_WATCH, PathTypeRequest(path, mode), watch=Watch(MODES[mode], path))


def remove_watches(client: Client) -> None:
    """Of one kind or all kinds, whether there are any or not."""
    kind = client.rare.choice(list(WatcherType))
    client.ask(OpCode.REMOVE_WATCHES, PathTypeRequest(client.rare.choice(WATCHED), kind))


def check_watches(client: Client) -> None:
    """Whether one that stays is there."""
    kind = client.rare.choice((WatcherType.PERSISTENT, WatcherType.PERSISTENT_RECURSIVE))
    client.ask(OpCode.CHECK_WATCHES, PathTypeRequest(client.rare.choice(WATCHED), kind))


# Identities and ACLs.


def add_auth(client: Client) -> None:
    """Be somebody; half of all clients are the same, and not everybody is believed."""
    rng, draw = client.rare, client.rare.random()
    if draw < 0.6:
        client.add_auth(b"digest", b"user%d:secret" % rng.choice((client.number, client.number % 2)))
    elif draw < 0.9:
        word = rng.choice((b"pass:%d", b"%d", b"what%d"))
        client.add_auth(HOUSE, word % client.number)
    else:
        schemes = ((b"digest", SUPER_PASSWORD), (b"ip", b""), (b"ensemble", ENSEMBLE), (b"x509", b""), (b"none", b""))
        client.add_auth(*rng.choice(schemes))


def _acl(client: Client) -> list[ACL]:
    user = digest_id(b"user%d:secret" % (client.number % 2))
    return client.rare.choice(
        (
            [ACL(Perms.ALL, b"digest", user)],
            [ACL(Perms.ALL, b"digest", user), READ_BY_ALL],
            [ACL(Perms.ALL, b"auth", b"")],
            [ACL(Perms.READ | Perms.WRITE | Perms.CREATE, b"ip", ADDRESS.encode())],
            [ACL(Perms.ALL, b"ip", b"10.1.0.0/16")],
            [ACL(Perms.ALL, b"ip", b"10.2.0.0/16"), READ_BY_ALL],
            [ACL(Perms.ALL, HOUSE, b"%d" % client.number), READ_BY_ALL],
            [ACL(Perms.ALL, HOUSE, b"nobody")],
            [ACL(Perms.ALL, b"nobody", b"knows")],
        )
    )


def create_private(client: Client) -> None:
    """What not everybody may do everything with, below what is made first."""
    rng, kind = client.rare, OpCode.CREATE2
    if not _is_there(client, PRIVATE):
        client.ask(kind, CreateRequest(PRIVATE, b"", OPEN, CreateMode.PERSISTENT))
        return
    mode = rng.choice((CreateMode.PERSISTENT, CreateMode.PERSISTENT, CreateMode.EPHEMERAL))
    path = PRIVATE + rng.choice(NAMES) + rng.choice((b"", b"", b"/n0"))
    client.ask(kind, CreateRequest(path, client.data(), _acl(client), mode))


def use_private(client: Client) -> None:
    """Whether that is allowed or not."""
    rng = client.rare
    path = PRIVATE + rng.choice(NAMES)
    kind = rng.choice(("read", "write", "acl", "get acl", "delete", "names", "multi"))
    if kind == "read":
        is_watched, opcode = rng.random() < 0.5, rng.choice((OpCode.GET_DATA, OpCode.EXISTS))
        watch = Watch(WatchKind.DATA, path) if is_watched else None
        client.ask(opcode, PathWatchRequest(path, is_watched), watch=watch)
    elif kind == "write":
        client.ask(OpCode.SET_DATA, SetDataRequest(path, client.data(), -1))
    elif kind == "acl":
        client.ask(OpCode.SET_ACL, SetACLRequest(path, _acl(client), rng.choice((-1, -1, 0, 1))))
    elif kind == "get acl":
        client.ask(OpCode.GET_ACL, PathRequest(path))
    elif kind == "delete":
        client.ask(OpCode.DELETE, PathVersionRequest(path + rng.choice((b"", b"/n0")), -1))
    elif kind == "names":
        client.ask(OpCode.GET_CHILDREN2, PathWatchRequest(rng.choice((path, PRIVATE)), watch=False))
    else:
        steps = [(OpCode.CHECK, PathVersionRequest(path, 0)), (OpCode.SET_DATA, SetDataRequest(path, b"", -1))]
        client.ask(OpCode.MULTI, MultiRequest(list(steps)))


# What goes by itself.


def create_mortal(client: Client) -> None:
    """A container, or a znode with a time to live; what is above, or what is below."""
    rng = client.rare
    path, draw = MORTAL + rng.choice(NAMES), rng.random()
    if not _is_there(client, MORTAL):
        client.ask(OpCode.CREATE, CreateRequest(MORTAL, b"", OPEN, CreateMode.PERSISTENT))
    elif draw < 0.4:
        client.ask(OpCode.CREATE_CONTAINER, CreateRequest(path, client.data(), OPEN, CreateMode.CONTAINER))
    elif draw < 0.6:
        mode = rng.choice((CreateMode.PERSISTENT_WITH_TTL, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL))
        client.ask(OpCode.CREATE_TTL, CreateTTLRequest(path, client.data(), OPEN, mode, rng.choice(TTLS_MS)))
    elif draw < 0.8:
        client.ask(OpCode.CREATE, CreateRequest(path + b"/n0", client.data(), OPEN, CreateMode.PERSISTENT))
    elif draw < 0.9:
        client.ask(OpCode.DELETE, PathVersionRequest(path + b"/n0", -1))
    else:
        client.ask(OpCode.SET_DATA, SetDataRequest(path, client.data(), -1))


def multi_mortal(client: Client) -> None:
    """A container with something in it, at once."""
    path = MORTAL + client.rare.choice(NAMES)
    steps = [
        (OpCode.CREATE_CONTAINER, CreateRequest(path, b"", OPEN, CreateMode.CONTAINER)),
        (OpCode.CREATE2, CreateRequest(path + b"/n0", client.data(), OPEN, CreateMode.PERSISTENT)),
        (OpCode.CREATE_TTL, CreateTTLRequest(path + b"/n1", b"", OPEN, CreateMode.PERSISTENT_WITH_TTL, 500)),
        (OpCode.DELETE, PathVersionRequest(path + b"/n0", -1)),
    ]
    client.ask(OpCode.MULTI, MultiRequest(list(steps[: client.rare.randrange(1, 5)])))


# Others.


def read_all(client: Client) -> None:
    """What reads more than a znode."""
    rng = client.rare
    draw, path = rng.random(), rng.choice(WATCHED)
    if draw < 0.3:
        client.ask(OpCode.GET_EPHEMERALS, PathRequest(rng.choice((path, b"/a/n", b"/"))))
    elif draw < 0.5:
        client.ask(OpCode.GET_ALL_CHILDREN_NUMBER, PathRequest(path if path != b"/" else b"/a"))
    elif draw < 0.7:
        client.ask(OpCode.WHO_AM_I, EmptyRequest())
    else:
        paths = [PRIVATE + name for name in NAMES]
        steps = [(OpCode.GET_DATA, PathWatchRequest(path, watch=False)) for path in paths]
        client.ask(OpCode.MULTI_READ, MultiRequest(list(steps)))


def set_quota(client: Client) -> None:
    """On how much there may be below a path; one step of it at a time."""
    if not client.world.extras.has_quotas:
        return
    rng = client.rare
    path = rng.choice((b"/a", b"/t"))
    draw, limits = rng.random(), b"count=4,bytes=-1=;byteHardLimit=%d;countHardLimit=%d"
    data = limits % (rng.choice((-1, 400)), rng.choice((3, 12, 40)))
    if draw < 0.3:
        client.ask(OpCode.CREATE, CreateRequest(QUOTA_ROOT + path, b"", OPEN, CreateMode.PERSISTENT))
    elif draw < 0.6:
        client.ask(OpCode.CREATE, CreateRequest(limits_path(path), data, OPEN, CreateMode.PERSISTENT))
    elif draw < 0.8:
        client.ask(OpCode.CREATE, CreateRequest(stats_path(path), b"count=0,bytes=0", OPEN, CreateMode.PERSISTENT))
    elif draw < 0.95:
        client.ask(OpCode.SET_DATA, SetDataRequest(limits_path(path), data, -1))
    else:
        client.ask(OpCode.DELETE, PathVersionRequest(limits_path(path), -1))


def move(client: Client) -> None:
    """To another server, perhaps behind a write whose answer nobody waits for."""
    if client.rare.random() < 0.5:
        client.ask(OpCode.SET_DATA, SetDataRequest(b"/a", client.data(), -1))
    client.go_to(client.rare.choice(list(client.world.hosts)))


def reconfigure(client: Client) -> None:
    """What a leader has to refuse, wherever it is asked for; or to the same members once more."""
    rng = client.rare
    configuration = client.world.checker.sequence.configuration
    members = ",".join(configuration.lines()).encode()
    draw = rng.random()
    if draw < 0.3:
        version = rng.choice((-1, configuration.version, 12345))
        client.ask(OpCode.RECONFIG, ReconfigRequest(None, None, members, version))
    elif draw < 0.5:
        everybody = b",".join(b"%d" % server.server_id for server in configuration.servers)
        client.ask(OpCode.RECONFIG, ReconfigRequest(None, rng.choice((b"99", b"1,x", everybody)), None, -1))
    elif draw < 0.75:
        client.ask(OpCode.RECONFIG, ReconfigRequest(rng.choice(NO_SERVERS), None, None, -1))
    else:
        client.ask(OpCode.RECONFIG, ReconfigRequest(None, None, members + b"," + rng.choice(NO_MEMBERS), -1))


_REQUESTS: tuple[tuple[Callable[[Client], None], int], ...] = (
    (add_watch, 10),
    (remove_watches, 3),
    (check_watches, 3),
    (add_auth, 4),
    (create_private, 12),
    (use_private, 24),
    (create_mortal, 14),
    (multi_mortal, 3),
    (read_all, 5),
    (set_quota, 3),
    (move, 2),
    (reconfigure, 1),
)
_KINDS = [kind for kind, _ in _REQUESTS]
_WEIGHTS = list(accumulate(weight for _, weight in _REQUESTS))
