"""A simulated server with its service: the production `Member`, and clients that write, sync and read on it."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING, Protocol

from pyzk.codec.opcodes import OpCode
from pyzk.service.containers import deletable, is_deletable
from pyzk.service.member import Member
from pyzk.service.proposer import Proposer
from pyzk.service.service import Service
from pyzk.service.sessions import SessionIds
from pyzk.sim.acls import ADDRESS
from pyzk.sim.equipment import equip, make_rules, make_throttle, service_settings
from pyzk.sim.host import Host
from pyzk.sim.workload import create, sync
from pyzk.tree.acl import AccessControl
from pyzk.zab import effects as do
from pyzk.zab import events
from pyzk.zab.connections import ConnectionSettings
from pyzk.zab.leading import Leading
from pyzk.zab.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzk.service.outbox import Outbox
    from pyzk.sim.client import Client
    from pyzk.tree.tree import Tree
    from pyzk.zab.state import State

REFUSAL = "the session is unknown"
WALL_MS = 1_700_000_000_000


class Hearer(Protocol):
    """Who has connected."""

    def hears(self, connection: int, data: bytes) -> None:
        """The server has sent something."""

    def closed(self, connection: int) -> None:
        """The server has closed the connection."""

    def session_on(self, connection: int) -> int:
        """The session that has the connection; 0 if that is none."""


class WatchedPeer(Peer):
    """Shows the checker what is proposed."""

    host: MemberHost

    def receive(self, event: events.Event, now: float) -> list[do.Effect]:
        """As `Peer`."""
        if isinstance(event, events.Propose) and isinstance(self.role, Leading) and self.role.established:
            self.host.world.checker.proposed(self.host, event.entries, self.role.proposals.given_zxid)
        return super().receive(event, now)


class WatchedMember(Member):
    """Shows the checker what is delivered, and when it begins to serve."""

    host: MemberHost

    def _deliver(self, effect: do.Deliver, now: float, wall_ms: int) -> None:
        super()._deliver(effect, now, wall_ms)
        self.host.world.checker.servers.applied(self.host, [zxid for zxid, _ in effect.entries])

    def _opened(self, effect: do.Opened, now: float, wall_ms: int) -> None:
        self.host.expiring = {}
        self.host.world.checker.opened(self.host, effect)
        super()._opened(effect, now, wall_ms)


class MemberHost(Host):
    """A server of a world, with clients.

    Attributes:
        member: while the process runs.
        clients: by the number of their connection.
        wall_step_ms: by how much the wall clock was set.
    """

    member: WatchedMember | None = None
    wall_step_ms = 0
    _ticked_at = 0.0
    _ticks = 0

    def _make_process(self, state: State, tree: Tree) -> Peer:
        world = self.world
        self.clients: dict[int, Hearer] = {}
        self._held: dict[int, list[bytes]] = {}
        access = AccessControl(skip=world.settings.reconfig_enabled)
        rng = Random(world.rng.getrandbits(32))
        peer = WatchedPeer(state, ConnectionSettings(), self.election_settings, rng)
        new_session_id = SessionIds(self.wall_ms, self.server_id).next
        throttle, settings = make_throttle(world), service_settings(world)
        service = Service(tree, access, settings, new_session_id, throttle, world.points)
        equip(world, service)
        proposer = Proposer(tree, make_rules(world, access))
        member = WatchedMember(service, proposer, peer, rng, read_only_enabled=world.read_only_enabled)
        self.member = member
        peer.host = member.host = self
        boot = self.boot
        self._ticked_at = self.now
        self._tick(boot)
        return peer

    @property
    def wall_ms(self) -> int:
        """The machine's wall clock: somebody may set it."""
        return WALL_MS + int(self.now * 1000) + self.wall_step_ms

    @property
    def tree(self) -> Tree:
        """Of the service, while there is one."""
        return self.member.service.tree if self.member is not None else self._tree

    @tree.setter
    def tree(self, tree: Tree) -> None:
        self._tree = tree
        if self.member is not None and self.member.service.tree is not tree:
            self.member.replace_tree(tree)

    def crash(self, *, has_no_power: bool) -> None:
        """Clients notice, or find out when nothing is heard any more."""
        if self.member is not None and self.is_up:
            super().crash(has_no_power=has_no_power)
            self._tree, self.member = self.tree, None
            clients, self.clients = self.clients, {}
            if not has_no_power:
                for connection, client in clients.items():
                    client.closed(connection)

    # The process.

    def _begin(self) -> Sequence[do.Effect]:
        assert self.member is not None
        return self.member.start(self.now, self.wall_ms)

    def _handle(self, event: events.Event) -> Sequence[do.Effect]:
        assert self.member is not None
        return self.member.receive(event, self.now, self.wall_ms)

    def _tick(self, boot: int) -> None:
        def tick() -> None:
            if self.boot == boot and self.is_up:
                self.call(self._pass_tick)
                self._tick(boot)

        self.world.after(self.world.settings.tick_ms / 1000, tick)

    def _pass_tick(self) -> None:
        """As `server/housekeeping.py`: time in which this server stood still is given back to all sessions."""
        if self.member is not None:
            tick_seconds = self.world.settings.tick_ms / 1000
            stall_seconds = self.now - self._ticked_at - tick_seconds
            self._ticked_at = self.now
            if stall_seconds > tick_seconds:
                self.member.service.tracker.shift(stall_seconds)
            self._sweep(self.member)
            effects = self.member.tick(self.now, self.wall_ms)
            self._show_expiring(self.member)
            self._perform_all(effects)

    def _show_expiring(self, member: WatchedMember) -> None:
        """The ends of sessions that wait until fewer txns are under way: what is proposed is shown by `WatchedPeer`."""
        if member.desk is not None:
            for request in member.service.outbox.submitted:
                if request.opcode == OpCode.CLOSE_SESSION and not request.origin:
                    self.world.checker.expires(self, request.session_id)

    def _sweep(self, member: WatchedMember) -> None:
        """As `server/housekeeping.py`: a leader asks for the deletion of what has had its time."""
        extras = self.world.extras
        self._ticks += 1
        if not extras.sweep_ticks or self._ticks % extras.sweep_ticks or member.desk is None:
            return
        for path in deletable(self.tree, self.wall_ms, extras.never_used_max_ms):
            if is_deletable(self.tree, path, self.wall_ms, extras.never_used_max_ms):
                self.world.checker.swept(self, path, self.wall_ms)
                self.world.tally["swept"] += 1
                member.service.delete_container(path)

    def _perform_all(self, effects: Sequence[do.Effect]) -> None:
        """Perform effects, then what the service has for agreement and for its clients."""
        self._perform(effects)
        is_throttled = self.world.extras.requests.requests_max > 0
        while (member := self.member) is not None and self._has_to_settle(member):
            waiting = len(member.service.outbox.submitted)
            self._perform(member.settle(self.now, self.wall_ms))
            if is_throttled and len(member.service.outbox.submitted) >= waiting:
                break  # the rest waits for a delivery
        if self.member is not None:
            self._flush(self.member.service)

    @staticmethod
    def _has_to_settle(member: WatchedMember) -> bool:
        return bool(member.service.outbox.submitted or member.service.outbox.packets)

    def _flush(self, service: Service) -> None:
        outbox = service.outbox
        for connection in list(outbox.dirty):
            data = service.take(connection)
            if data and connection in self.clients:
                self.clients[connection].hears(connection, data)
        outbox.dirty.clear()
        self._read_or_not(outbox)
        unfinished, outbox.unfinished = outbox.unfinished, {}
        for connection in unfinished:
            self.world.after(1e-4, lambda connection=connection: self._serve_more(connection))  # type: ignore[misc]
        closing, outbox.closing = outbox.closing, []
        for end in closing:
            self.world.trace(self.server_id, "closes client", end.reason)
            service.disconnect(end.connection)
            client = self.clients.pop(end.connection, None)
            self._held.pop(end.connection, None)
            if client is not None and end.reason.startswith(REFUSAL) and client.session_on(end.connection):
                self.world.checker.refused(self, client.session_on(end.connection))
            if client is not None:
                client.closed(end.connection)

    def _read_or_not(self, outbox: Outbox) -> None:
        """What comes on a connection that is not read from waits."""
        reading, outbox.reading = outbox.reading, {}
        for connection, is_read in reading.items():
            if not is_read:
                self._held.setdefault(connection, [])
            elif data := b"".join(self._held.pop(connection, [])):
                # Ahead of what has come on the connection since, and waits in the inbox.
                self._inbox.appendleft(partial(self._hear_client, connection, data))

    def _serve_more(self, connection: int) -> None:
        def go_on() -> None:
            if self.member is not None and connection in self.clients:
                self.member.service.go_on(connection, self.now)
                self._perform_all([])

        if connection in self.clients:
            self.call(go_on)

    # Clients.

    def connect(self, connection: int, client: Hearer) -> None:
        """A client has connected."""

        def accept() -> None:
            if self.member is not None and connection in self.clients:
                self.member.service.connect(connection, ADDRESS, self.now, self.wall_ms)

        self.clients[connection] = client
        self.call(accept)

    def hear_client(self, connection: int, data: bytes) -> None:
        """Bytes of a client have arrived."""
        if connection in self.clients:
            self.call(lambda: self._hear_client(connection, data))

    def lose_client(self, connection: int) -> None:
        """A client has closed its connection."""

        def lose() -> None:
            self._held.pop(connection, None)
            if self.member is not None and self.clients.pop(connection, None) is not None:
                self.member.service.disconnect(connection)
                self._perform_all([])

        if connection in self.clients:
            self.call(lose)

    def _hear_client(self, connection: int, data: bytes) -> None:
        if connection in self._held:
            self._held[connection].append(data)
        elif self.member is not None and connection in self.clients:
            self.member.service.receive(connection, data, self.now)
            self._perform_all([])

    def _opens(self, effect: do.Opened) -> None:
        self.opened = effect
        self.world.tally["elections"] += effect.is_leader

    def propose(self, count: int) -> None:
        """Clients write on their own here; one of them at once."""
        for client in self._own_clients()[:count]:
            create(client)

    def sync(self) -> None:
        """As `propose`."""
        for client in self._own_clients()[:1]:
            sync(client)

    def _own_clients(self) -> list[Client]:
        """Strangers are left out."""
        return [client for client in self.world.clients if client in self.clients.values()]
