"""A ZooKeeper client for asyncio.

    async with Client("127.0.0.1:2181/app") as client:
        await client.create("/greeting", b"hello")

A `Client` is one session: it survives lost connections, and ends when it is closed or has expired. Every request is
one method; all of them raise a subclass of `pyzk.errors.RequestError` for what the server refuses,
`ConnectionLostError` when the connection ended before the reply came (the request may have been executed),
`SessionExpiredError` or `SessionClosedError` when the session has ended. See docs/client.md.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from random import Random
from ssl import SSLContext
from types import TracebackType
from typing import NamedTuple, Self, TypeVar, cast

from pyzk import errors
from pyzk.client import operations
from pyzk.client.aio_login import KerberosLogin, Login
from pyzk.client.aio_shell import Shell
from pyzk.client.aio_watch import Watch, Watcher, WatchEvent
from pyzk.client.effects import Notification, State
from pyzk.client.hosts import parse_hosts
from pyzk.client.operations import VERSION_ANY, Operation, Result, result_of, to_bytes, to_text
from pyzk.client.session import TIMEOUT_MS_DEFAULT, Session
from pyzk.client.transaction import Transaction
from pyzk.client.watches import WatchKind
from pyzk.codec.opcodes import AddWatchMode, CreateMode, OpCode, WatcherType
from pyzk.codec.record import Record
from pyzk.codec.records import ACL, ReplyHeader, Stat
from pyzk.codec.replies import (
    AclReply,
    Children2Reply,
    ChildrenReply,
    CountReply,
    DataReply,
    EphemeralsReply,
    MultiReply,
    PathReply,
    SaslReply,
    StatReply,
    WhoAmIReply,
)
from pyzk.codec.requests import (
    EmptyRequest,
    MultiRequest,
    PathRequest,
    PathTypeRequest,
    PathWatchRequest,
    ReconfigRequest,
    SaslRequest,
    SetACLRequest,
)
from pyzk.errors import ConnectionLostError, DecodeError, SessionClosedError

CONNECT_TIMEOUT_S_DEFAULT = 15.0


Reply = TypeVar("Reply", bound=Record)


class Identity(NamedTuple):
    """One identity of the connection."""

    scheme: str
    user: str


class Client:
    """One session with a ZooKeeper ensemble.

    Args:
        hosts: `host:port`, several with commas between them, and perhaps a chroot: `a:2181,b:2181/app`.
        timeout_ms: session timeout to ask for; the server may grant another one.
        read_only: whether a server that has lost its ensemble will do for reads.
        ssl: for TLS.
        login: for SASL, see `pyzk.client.aio_login`.
        connect_timeout_s: how long `start` waits for the session; None for ever.
        random: for the order of servers and the waits between attempts.
    """

    def __init__(
        self,
        hosts: str,
        *,
        timeout_ms: int = TIMEOUT_MS_DEFAULT,
        read_only: bool = False,
        ssl: SSLContext | None = None,
        login: Login | None = None,
        connect_timeout_s: float | None = CONNECT_TIMEOUT_S_DEFAULT,
        random: Random | None = None,
    ) -> None:
        addresses, chroot = parse_hosts(hosts)
        self.hosts = hosts
        self.connect_timeout_s = connect_timeout_s
        self._session = Session(
            addresses,
            random or Random(),
            timeout_ms=timeout_ms,
            chroot=to_bytes(chroot),
            read_only=read_only,
            login=login,
        )
        self._ssl = ssl
        self._prepare = login.prepare if isinstance(login, KerberosLogin) else None
        self._started: Shell | None = None
        self._listeners: dict[Callable[[State], object], None] = {}
        self._state_changed = asyncio.Event()

    # The session

    @property
    def state(self) -> State:
        """Whether requests are sent at once, wait for a connection, or fail because the session has ended."""
        return self._session.state

    @property
    def session_id(self) -> int:
        """0 until the session is established."""
        return self._session.session_id

    @property
    def timeout_ms(self) -> int:
        """The session timeout that the server granted."""
        return self._session.timeout_ms

    @property
    def last_zxid_seen(self) -> int:
        """The latest txn that this client knows of."""
        return self._session.progress.seen

    def listen(self, listener: Callable[[State], object]) -> Callable[[], object]:
        """Have `listener` called with every new state; the returned function ends that."""
        self._listeners[listener] = None
        return partial(self._listeners.pop, listener, None)

    async def start(self) -> None:
        """Open the session.

        Raises:
            ConnectionLostError: no server gives one within `connect_timeout_s`.
            AuthFailedError: the login was refused.
        """
        assert self._started is None
        self._started = Shell(self._session, self._on_state, self._on_event, self._ssl, self._prepare)
        self._started.start()
        try:
            async with asyncio.timeout(self.connect_timeout_s):
                await self.wait_connected()
        except TimeoutError:
            what = f"no session from {self.hosts} in {self.connect_timeout_s} s"
            raise ConnectionLostError(f"{what}; last: {self._session.last_failure or 'no answer'}") from None
        finally:
            if not self.state.connected:
                await self.close()

    async def wait_connected(self) -> None:
        """Return when the session has a connection.

        Raises:
            AuthFailedError: a server has refused our login or an identity.
            SessionClosedError: it has ended.
        """
        while not self.state.connected:
            if self.state is State.AUTH_FAILED:
                raise errors.AuthFailedError(self._session.last_failure)
            if self.state.final:
                raise SessionClosedError(f"the session is {self.state.value}")
            self._state_changed.clear()
            await self._state_changed.wait()

    async def close(self) -> None:
        """End the session: its ephemeral znodes vanish. Replies to what was sent before still come."""
        if self._started is not None:
            await self._started.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # Changes of znodes

    async def create(
        self,
        path: str,
        data: bytes | None = b"",
        *,
        mode: CreateMode = CreateMode.PERSISTENT,
        ttl_ms: int | None = None,
        acl: Sequence[ACL] | None = None,
    ) -> str:
        """Create a znode and return its path, which sequential modes make longer. See `operations.create`."""
        result = await self._operate(operations.create(path, data, mode=mode, ttl_ms=ttl_ms, acl=acl))
        return result if isinstance(result, str) else cast("tuple[str, Stat]", result)[0]

    async def create2(
        self,
        path: str,
        data: bytes | None = b"",
        *,
        mode: CreateMode = CreateMode.PERSISTENT,
        ttl_ms: int | None = None,
        acl: Sequence[ACL] | None = None,
    ) -> tuple[str, Stat]:
        """Create a znode and return its path and Stat."""
        result = await self._operate(operations.create(path, data, mode=mode, ttl_ms=ttl_ms, acl=acl, stat=True))
        return cast("tuple[str, Stat]", result)

    async def delete(self, path: str, version: int = VERSION_ANY) -> None:
        """Delete a znode without children, if it has this version."""
        await self._operate(operations.delete(path, version))

    async def delete_container(self, path: str) -> None:
        """What servers send themselves to remove an empty container; pyzk refuses it from clients."""
        await self._request(OpCode.DELETE_CONTAINER, PathRequest(to_bytes(path)), Record)

    async def set(self, path: str, data: bytes | None, version: int = VERSION_ANY) -> Stat:
        """Replace the data of a znode, if it has this version."""
        return cast("Stat", await self._operate(operations.set_data(path, data, version)))

    async def set_acl(self, path: str, acl: Sequence[ACL], version: int = VERSION_ANY) -> Stat:
        """Replace the ACL of a znode, if its aversion is `version`."""
        request = SetACLRequest(to_bytes(path), list(acl), version)
        return (await self._request(OpCode.SET_ACL, request, StatReply)).stat

    # Reads

    async def exists(self, path: str, watch: Watcher | None = None) -> Stat | None:
        """The Stat, or None. `watch` is told once of the next creation, deletion or change of data."""
        request = PathWatchRequest(to_bytes(path), watch is not None)
        try:
            return (await self._request(OpCode.EXISTS, request, StatReply, watch)).stat
        except errors.NoNodeError:
            return None

    async def get(self, path: str, watch: Watcher | None = None) -> tuple[bytes | None, Stat]:
        """Data and Stat. `watch` is told once of the next change of data or of the deletion."""
        request = PathWatchRequest(to_bytes(path), watch is not None)
        reply = await self._request(OpCode.GET_DATA, request, DataReply, watch)
        return reply.data, reply.stat

    async def get_children(self, path: str, watch: Watcher | None = None) -> list[str]:
        """Names of the children, in no order. `watch` is told once when one comes or goes, or of the deletion."""
        request = PathWatchRequest(to_bytes(path), watch is not None)
        reply = await self._request(OpCode.GET_CHILDREN, request, ChildrenReply, watch)
        return [to_text(name) for name in reply.children or []]

    async def get_children2(self, path: str, watch: Watcher | None = None) -> tuple[list[str], Stat]:
        """As get_children, with the Stat."""
        request = PathWatchRequest(to_bytes(path), watch is not None)
        reply = await self._request(OpCode.GET_CHILDREN2, request, Children2Reply, watch)
        return [to_text(name) for name in reply.children or []], reply.stat

    async def get_acl(self, path: str) -> tuple[list[ACL], Stat]:
        """ACL and Stat. Without ADMIN, digests are hidden."""
        reply = await self._request(OpCode.GET_ACL, PathRequest(to_bytes(path)), AclReply)
        return reply.acl or [], reply.stat

    async def get_all_children_number(self, path: str) -> int:
        """How many descendants a znode has."""
        return (await self._request(OpCode.GET_ALL_CHILDREN_NUMBER, PathRequest(to_bytes(path)), CountReply)).count

    async def get_ephemerals(self, prefix: str = "/") -> list[str]:
        """Paths of this session's ephemeral znodes that begin with `prefix`, a plain string."""
        reply = await self._request(OpCode.GET_EPHEMERALS, PathRequest(to_bytes(prefix)), EphemeralsReply)
        return [to_text(path) for path in reply.paths or []]

    async def sync(self, path: str = "/") -> str:
        """Let later reads see everything that was written, by anybody, before this was called."""
        return to_text((await self._request(OpCode.SYNC, PathRequest(to_bytes(path)), PathReply)).path)

    # Several at once

    async def multi(self, operations: Sequence[Operation]) -> list[Result]:
        """Do all or nothing; one result per operation. If one fails, all results are exceptions (and not raised).

        The one that failed has its own error, the others RuntimeInconsistencyError. See `transaction` for comfort.
        """
        return await self._multi(OpCode.MULTI, operations)

    async def multi_read(self, operations: Sequence[Operation]) -> list[Result]:
        """Several get_data and get_children of one state of the tree; for one that fails the result is its error."""
        return await self._multi(OpCode.MULTI_READ, operations)

    def transaction(self) -> Transaction:
        """Operations that are done all or not at all: `async with client.transaction() as transaction: ...`."""
        return Transaction(self.multi)

    # Watches

    @asynccontextmanager
    async def watch(self, path: str, *, recursive: bool = False) -> AsyncIterator[Watch]:
        """Watch a znode (and with `recursive` all below it) for as long as the block lasts."""
        watch = Watch()
        await self.add_watch(path, watch, recursive=recursive)
        try:
            yield watch
        finally:
            watch.end()
            await self._drop_watch(path, watch, recursive=recursive)

    async def add_watch(self, path: str, watcher: Watcher, *, recursive: bool = False) -> None:
        """Tell `watcher` of every change until remove_watches.

        Without `recursive` of those of the znode, and of its children's coming and going; with it of every creation,
        deletion and change of data of the znode and all below it.
        """
        mode = AddWatchMode.PERSISTENT_RECURSIVE if recursive else AddWatchMode.PERSISTENT
        await self._request(OpCode.ADD_WATCH, PathTypeRequest(to_bytes(path), mode), Record, watcher)

    async def remove_watches(self, path: str, kind: WatcherType = WatcherType.ANY) -> None:
        """Remove all our watches of a kind; their watchers are told. Raises NoWatcherError when there is none."""
        await self._request(OpCode.REMOVE_WATCHES, PathTypeRequest(to_bytes(path), kind), Record)

    async def check_watches(self, path: str, kind: WatcherType = WatcherType.ANY) -> bool:
        """Whether the server has a watch of ours of this kind."""
        try:
            await self._request(OpCode.CHECK_WATCHES, PathTypeRequest(to_bytes(path), kind), Record)
        except errors.NoWatcherError:
            return False
        return True

    # Identities

    async def add_auth(self, scheme: str, auth: bytes) -> None:
        """Add an identity to this session; it is sent again after a reconnect. Raises AuthFailedError.

        If a server refuses later what was accepted once, the session ends with State.AUTH_FAILED.
        """
        await self._shell.add_auth(to_bytes(scheme), auth)

    async def whoami(self) -> list[Identity]:
        """The identities of this connection; the address is always among them."""
        reply = await self._request(OpCode.WHO_AM_I, EmptyRequest(), WhoAmIReply)
        return [Identity(to_text(identity.scheme), to_text(identity.user)) for identity in reply.identities or []]

    async def sasl(self, token: bytes | None) -> bytes | None:
        """One step of a SASL exchange: our token, and the server's. It is not repeated after a reconnect."""
        return (await self._request(OpCode.SASL, SaslRequest(token), SaslReply)).token

    # The ensemble

    async def ping(self) -> None:
        """Ask for a sign of life; the session does so by itself when it is idle."""
        await self._request(OpCode.PING, EmptyRequest(), Record)

    async def reconfig(
        self,
        *,
        joining: str | None = None,
        leaving: str | None = None,
        new_members: str | None = None,
        config_id: int = -1,
    ) -> tuple[bytes | None, Stat]:
        """Change the membership: servers that join (`server.4=...`) and leave (`2,3`), or all of the new one.

        Returns the new configuration. With `config_id` other than -1 only if that is the version of the present one.
        """
        joining_raw, leaving_raw, members_raw = [
            None if text is None else to_bytes(text) for text in (joining, leaving, new_members)
        ]
        request = ReconfigRequest(joining_raw, leaving_raw, members_raw, config_id)
        reply = await self._request(OpCode.RECONFIG, request, DataReply)
        return reply.data, reply.stat

    async def raw(self, opcode: int, body: bytes = b"") -> tuple[ReplyHeader, bytes]:
        """Send any opcode with any body; header and body of the reply, whatever they are.

        Without chroot, and without watches being remembered: for tests and fuzzers.
        """
        answer = await self._shell.request_raw(opcode, body)
        return answer.header, answer.body

    # Inside

    @property
    def _shell(self) -> Shell:
        if self._started is None:
            raise SessionClosedError("the client is not started: use `async with`, or await start()")
        return self._started

    async def _request(
        self, opcode: OpCode, record: Record, kind: type[Reply], watcher: Watcher | None = None
    ) -> Reply:
        reply = await self._shell.request(opcode, record, watcher)
        assert isinstance(reply, kind)
        return reply

    async def _operate(self, operation: Operation) -> Result:
        return result_of(operation, await self._shell.request(*operation))

    async def _multi(self, opcode: OpCode, operations: Sequence[Operation]) -> list[Result]:
        reply = await self._request(opcode, MultiRequest(list(operations)), MultiReply)
        if len(reply.results) != len(operations):
            raise DecodeError(f"{len(reply.results)} results for {len(operations)} operations")
        return [result_of(operation, record) for operation, (_, record) in zip(operations, reply.results, strict=True)]

    async def _drop_watch(self, path: str, watch: Watch, *, recursive: bool) -> None:
        kind, which = _PERSISTENT[recursive]
        last = self._session.watches.discard(kind, self._session.chroot.add(to_bytes(path)), watch)
        if last and self.state.connected:
            # MarshallingError: servers before 3.9 cannot remove a single kind. Its events then find no watcher.
            with suppress(errors.NoWatcherError, errors.MarshallingError, ConnectionLostError, SessionClosedError):
                await self.remove_watches(path, which)

    def _on_state(self, state: State) -> None:
        self._state_changed.set()
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.call_soon(listener, state)

    def _on_event(self, notification: Notification, watchers: tuple[Hashable, ...]) -> None:
        event = WatchEvent(notification.type, to_text(notification.path), self.state, notification.zxid)
        loop = asyncio.get_running_loop()
        for watcher in watchers:
            # Not called from here: what a watcher raises concerns the loop's exception handler, not the session. The
            # order stays, because a reply also reaches its caller by way of the loop.
            if callable(watcher):
                loop.call_soon(watcher, event)


_PERSISTENT = {
    False: (WatchKind.PERSISTENT, WatcherType.PERSISTENT),
    True: (WatchKind.RECURSIVE, WatcherType.PERSISTENT_RECURSIVE),
}
