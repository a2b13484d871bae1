"""The C client (libzookeeper-mt 3.8.0) in every call that a server can tell apart, as a transcript."""

import argparse
import ctypes
from collections.abc import Callable, Iterator

from tests.integration.processes import ServerProcess, free_port
from tests.interop import c_library as c
from tests.interop.relay import Relay
from tests.interop.results import Result
from tests.interop.transcript import run_client

EPHEMERAL, SEQUENTIAL, EPHEMERAL_SEQUENTIAL, CONTAINER, TTL, TTL_SEQUENTIAL = 1, 2, 3, 4, 5, 6
CHILDREN, DATA, ANY = 1, 2, 3
DIGEST_OF_BOB = b"bob:8e5oAdfRNmUUqYcQ8dMcc0Z4oLI="


def run(options: argparse.Namespace) -> list[Result]:
    library = c.load()

    def client(server: ServerProcess) -> str:
        return "\n".join(transcript(library, server))

    return run_client("c-client", client, options)


def transcript(library: ctypes.CDLL, server: ServerProcess) -> Iterator[str]:
    session = c.Session(library, server.port)
    session.wait_state("connected")
    for section in SECTIONS:
        yield f"== {section.__name__.replace('_', ' ')}"
        yield from section(session)
    for conversation in CONVERSATIONS:
        yield f"== {conversation.__name__.replace('_', ' ')}"
        yield from conversation(library, server)
    yield "== close"
    yield session.close()


def create_and_read(session: c.Session) -> Iterator[str]:
    yield session.create(b"/c", b"data")
    yield session.create(b"/c", b"again")
    yield session.create(b"/c/null", None)
    yield session.get(b"/c/null")
    yield session.create(b"/missing/child")
    yield session.get(b"/c")
    yield session.get(b"/missing")
    yield session.exists(b"/c")
    yield session.exists(b"/missing")
    yield session.children(b"/c")
    yield session.children(b"/missing")
    yield session.children(b"/")
    yield session.children(b"/zookeeper")
    yield session.create("/c/é漢字".encode(), "é漢字".encode())
    yield session.get("/c/é漢字".encode())


def set_and_delete(session: c.Session) -> Iterator[str]:
    yield session.set(b"/c", b"one")
    yield session.set(b"/c", b"two", 1)
    yield session.set(b"/c", b"three", 1)
    yield session.set(b"/missing", b"")
    yield session.delete(b"/c")
    yield session.delete(b"/c/null", 7)
    yield session.delete(b"/c/null", 0)
    yield session.delete(b"/c/null")
    yield session.delete(b"/zookeeper")


def kinds_of_nodes(session: c.Session) -> Iterator[str]:
    yield session.create(b"/c/s-", b"", SEQUENTIAL)
    yield session.create(b"/c/s-", b"", SEQUENTIAL)
    yield session.create(b"/c/e", b"mine", EPHEMERAL)
    yield session.create(b"/c/e/child", b"")
    yield session.create(b"/c/es-", b"", EPHEMERAL_SEQUENTIAL)
    yield session.create(b"/c/box", b"", CONTAINER)
    yield session.create(b"/c/ttl", b"", TTL, ttl=3_600_000)
    yield session.create(b"/c/ttl-", b"", TTL_SEQUENTIAL, ttl=3_600_000)
    yield session.create(b"/c/none", b"", TTL, ttl=0)
    yield session.exists(b"/c/box")
    yield session.exists(b"/c/ttl")
    yield session.children(b"/c")


def large_values(session: c.Session) -> Iterator[str]:
    yield session.create(b"/big", b"x" * 1_000_000)
    yield session.get(b"/big")
    yield session.set(b"/big", b"y" * 1_048_000)
    yield session.get(b"/big")
    yield session.delete(b"/big")


def bad_paths(session: c.Session) -> Iterator[str]:
    for path in (b"no-slash", b"/c/", b"//c", b"/c//d", b"/c/./d", b"/c/../d", b"/c/\x01", b""):
        yield f"{path!r}: {session.create(path)} | {session.exists(path)}"
    yield session.create(b"/")
    yield session.delete(b"/")


def transactions(session: c.Session) -> Iterator[str]:
    yield from session.multi(
        ("create", b"/m", b"0", 0),
        ("create", b"/m/s-", b"", SEQUENTIAL),
        ("create", b"/m/e", b"", EPHEMERAL),
        ("set", b"/m", b"1", 0),
        ("check", b"/m", 1),
        ("delete", b"/m/e", 0),
    )
    yield session.get(b"/m")
    yield session.children(b"/m")
    yield from session.multi(
        ("create", b"/m/a", b"", 0), ("check", b"/m", 9), ("delete", b"/m/a", -1), ("set", b"/m", b"", -1)
    )
    yield from session.multi(("delete", b"/m", -1), ("create", b"/m/b", b"", 0))
    yield from session.multi(("delete", b"/missing", -1))
    yield session.children(b"/m")
    yield session.exists(b"/m")


def access_control(session: c.Session) -> Iterator[str]:
    yield session.get_acl(b"/c")
    yield session.set_acl(b"/c/box", c.acl_vector((1, b"world", b"anyone"), (31, b"digest", DIGEST_OF_BOB)))
    yield session.get_acl(b"/c/box")
    yield session.create(b"/c/box/child")
    yield session.set(b"/c/box", b"")
    yield session.set_acl(b"/c/box", c.OPEN_ACL)
    yield session.set_acl(b"/missing", c.OPEN_ACL)
    yield session.create(b"/c/creator", acl=c.acl_vector((31, b"auth", b"")))
    yield session.add_auth(b"digest", b"bob:bobsecret")
    yield session.create(b"/c/creator", acl=c.acl_vector((31, b"auth", b"")))
    yield session.get_acl(b"/c/creator")
    yield session.create(b"/c/wrong", acl=c.acl_vector((31, b"nonsense", b"id")))
    yield session.create(b"/c/network", acl=c.acl_vector((31, b"ip", b"127.0.0.0/8")))
    yield session.create(b"/c/network/child")
    yield session.create(b"/c/elsewhere", acl=c.acl_vector((31, b"ip", b"10.1.2.3")))
    yield session.get(b"/c/elsewhere")
    yield session.get_acl(b"/c/elsewhere")
    yield session.set_acl(b"/c", c.OPEN_ACL, 5)
    yield session.exists(b"/c")


def watches(session: c.Session) -> Iterator[str]:
    yield session.create(b"/w")
    yield session.get(b"/w", watch=True)
    yield session.set(b"/w", b"1")
    yield session.next_event()
    yield session.exists(b"/w/new", watch=True)
    yield session.children(b"/w", watch=True)
    yield session.create(b"/w/new")
    yield from sorted([session.next_event(), session.next_event()])
    yield session.exists(b"/w/new", watch=True)
    yield session.children(b"/w/new", watch=True)
    yield session.delete(b"/w/new")
    yield session.next_event()
    yield session.get(b"/missing", watch=True)
    yield session.exists(b"/w", watch=True)
    yield session.remove_watches(b"/w", DATA)
    yield session.remove_watches(b"/w", CHILDREN)
    yield session.remove_watches(b"/missing", ANY)
    yield session.set(b"/w", b"2")
    yield f"left over: {session.events.qsize()}"


def the_rest(session: c.Session) -> Iterator[str]:
    yield session.sync(b"/c")
    yield session.sync(b"/missing")
    yield session.config()
    yield f"negotiated: {session.library.zoo_recv_timeout(session.handle)} ms"


def timeouts(library: ctypes.CDLL, server: ServerProcess) -> Iterator[str]:
    for wanted_ms in (2000, 4000, 9000, 60000):
        other = c.Session(library, server.port, wanted_ms)
        other.wait_state("connected")
        yield f"{wanted_ms}: {library.zoo_recv_timeout(other.handle)} ms, {other.close()}"


def reconnect(library: ctypes.CDLL, server: ServerProcess) -> Iterator[str]:
    """The network fails: the same session, its ephemeral node and its watches, on a new connection."""
    with Relay(server.port, free_port()) as relay:
        session = c.Session(library, relay.port)
        session.wait_state("connected")
        before = session.identity
        yield session.create(b"/r", b"", EPHEMERAL)
        yield session.get(b"/r", watch=True)
        yield session.exists(b"/r2", watch=True)
        yield session.children(b"/c", watch=True)
        relay.cut()
        session.wait_state("connecting")
        session.wait_state("connected")
        yield f"same session: {session.identity.session == before.session}"
        yield session.set(b"/r", b"")
        yield session.next_event()
        yield session.create(b"/r2")
        yield session.next_event()
        yield session.delete(b"/c/creator")
        yield session.next_event()
        yield session.close()


def missed_events(library: ctypes.CDLL, server: ServerProcess) -> Iterator[str]:
    """What changed while a client was away is told when it comes back."""
    other = c.Session(library, server.port)
    other.wait_state("connected")
    with Relay(server.port, free_port()) as relay:
        session = c.Session(library, relay.port, 20000)
        session.wait_state("connected")
        yield session.get(b"/w", watch=True)
        yield session.exists(b"/later", watch=True)
    session.wait_state("connecting")
    yield other.set(b"/w", b"while away")
    yield other.create(b"/later")
    with Relay(server.port, relay.port):
        session.wait_state("connected")
        yield from sorted([session.next_event(), session.next_event()])
        yield session.close()
    yield other.close()


def take_over(library: ctypes.CDLL, server: ServerProcess) -> Iterator[str]:
    """A session id and its password open the session from a second handle; a wrong one does not."""
    with Relay(server.port, free_port()) as relay:
        # Without its network: connected, the two handles would take the session from each other for ever.
        first = c.Session(library, relay.port)
        first.wait_state("connected")
        yield first.create(b"/t", b"", EPHEMERAL)
        identity = first.identity
    first.wait_state("connecting")
    # While nobody else is there: Apache would cut the owner's connection, pyzk does not (docs/differences.md).
    stranger = c.Session(library, server.port, resume=c.ClientId(identity.session))
    yield stranger.wait_state("expired")
    stranger.close()
    second = c.Session(library, server.port, resume=identity)
    second.wait_state("connected")
    yield f"same session: {second.identity.session == identity.session}"
    yield second.delete(b"/t")
    yield f"close: {second.close()}"
    with Relay(server.port, relay.port):
        yield first.wait_state("expired")
    first.close()


def ephemerals_end_with_their_session(library: ctypes.CDLL, server: ServerProcess) -> Iterator[str]:
    watching, owner = c.Session(library, server.port), c.Session(library, server.port)
    watching.wait_state("connected")
    owner.wait_state("connected")
    yield owner.create(b"/gone", b"", EPHEMERAL)
    yield watching.exists(b"/gone", watch=True)
    yield owner.close()
    yield watching.next_event()
    yield watching.exists(b"/gone")
    yield watching.close()


SECTIONS: tuple[Callable[[c.Session], Iterator[str]], ...] = (
    create_and_read,
    set_and_delete,
    kinds_of_nodes,
    large_values,
    bad_paths,
    transactions,
    access_control,
    watches,
    the_rest,
)
CONVERSATIONS: tuple[Callable[[ctypes.CDLL, ServerProcess], Iterator[str]], ...] = (
    timeouts,
    reconnect,
    missed_events,
    take_over,
    ephemerals_end_with_their_session,
)
