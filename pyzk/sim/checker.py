"""What must hold after every step of a simulated ensemble, whatever goes wrong.

The checker has its own model: which txn stands behind which, what each server was asked to log and what is durable of
that, and what is committed. A txn is named by its zxid; the first zxid of an epoch stands for the end of the log that
the leader of that epoch was established with.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pyzk.codec.opcodes import OpCode
from pyzk.codec.txns import TXN_HEADER, TxnHeader, decode_txn
from pyzk.sim.machine import Work
from pyzk.sim.model import Model
from pyzk.tree.apply import apply
from pyzk.tree.node import data_of
from pyzk.tree.tree import Tree
from pyzk.zab import effects as do
from pyzk.zab.configuring import is_reconfig, membership_of
from pyzk.zab.history import begins_epoch, epoch_of
from pyzk.zab.leading import Leading
from pyzk.zab.learning import Learning
from pyzk.zab.state import ACCEPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pyzk.sim.host import Host
    from pyzk.sim.world import World
    from pyzk.storage.member import Stored
    from pyzk.zab.events import Entry
    from pyzk.zab.membership import Membership


Details: TypeAlias = "str | Callable[[], str]"
"""What is said about a broken promise, or what makes it."""
SLOW_SECONDS = 2.5
"""Longer than bytes take on the slowest of links."""


class BrokenInvariantError(Exception):
    """A promise of agreement was broken; `invariant` says which."""

    def __init__(self, invariant: str, details: str) -> None:
        super().__init__(f"{invariant}: {details}")
        self.invariant = invariant
        self.details = details


@dataclass(slots=True)
class Log:
    """What one server has on its disk.

    Attributes:
        zxids: all txns that it was asked to log, oldest first.
        durable: how many of them are durable.
        accepted, current: epochs on the disk.
        applied: the last txn in its tree.
        interrupted: what was under way at a crash.
        promises: the leader to which it has promised each epoch.
        memory: the tree that it had in memory at a crash.
        lost: what was durable before the disk was damaged.
        floor: the last txn of the tree that it has by SNAP; what is below that is in no file any more.
    """

    zxids: list[int] = field(default_factory=list)
    durable: int = 0
    accepted: int = 0
    current: int = 0
    applied: int = 0
    interrupted: Work | None = None
    promises: dict[int, int] = field(default_factory=dict)
    memory: Tree | None = None
    lost: frozenset[int] = frozenset()
    floor: int = 0

    @property
    def end(self) -> int:
        """The last txn that was asked for."""
        return self.zxids[-1] if self.zxids else 0

    @property
    def durable_end(self) -> int:
        """The last txn that is durable."""
        return self.zxids[self.durable - 1] if self.durable else 0

    def has(self, zxid: int) -> bool:
        """Whether a txn is durable here."""
        position = bisect_right(self.zxids, zxid, 0, self.durable)
        return position > 0 and self.zxids[position - 1] == zxid

    def cut(self, zxid: int) -> None:
        """Nothing above `zxid` is left."""
        del self.zxids[bisect_right(self.zxids, zxid) :]
        self.durable = min(self.durable, len(self.zxids))


class Checker:
    """Watches one world.

    Attributes:
        logs: by server id.
        committed: zxids of all committed txns, in order.
        leaders: who was established in which epoch.
        model: what the committed txns make of the tree.
        configuration: the last one that is committed.
        ending: sessions whose end was asked for or proposed.
        alive: when each session was last heard by a server, seconds.
        abandoned: sessions whose clients went away without a word, and when.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.logs: dict[int, Log] = {}
        self.committed: list[int] = []
        self.leaders: dict[int, int] = {}
        self._places: dict[int, int] = {0: 0}
        self._previous: dict[int, int] = {}
        self._bases: dict[int, int] = {0: 0}
        self._signatures: dict[int, tuple[int, ...]] = {}
        self._payloads: dict[int, bytes] = {}
        self.model = Model(world.tally, self.require)
        self.configuration = world.membership
        self._proposed: list[Membership] = []
        self.ending: dict[int, None] = {}
        self.alive: dict[int, float] = {}
        self.abandoned: dict[int, float] = {}

    def require(self, holds: bool, invariant: str, details: Details = "") -> None:  # noqa: FBT001 - a statement, not a flag
        """Something must be so. Raises BrokenInvariantError; details that come often are written only then."""
        if not holds:
            raise BrokenInvariantError(invariant, details if isinstance(details, str) else details())

    # Txns and their order.

    def real(self, zxid: int) -> int:
        """The txn that a zxid stands for."""
        if not begins_epoch(zxid):
            return zxid
        self.require(epoch_of(zxid) in self._bases, "no zxid names an epoch without a leader", f"{zxid:x}")
        return self._bases[epoch_of(zxid)]

    def chain(self, zxid: int) -> list[int]:
        """All txns up to this one, oldest first."""
        found = []
        zxid = self.real(zxid)
        while zxid:
            found.append(zxid)
            zxid = self._previous[zxid]
        return found[::-1]

    def proposed(self, host: Host, entries: Sequence[Entry], last: int) -> None:
        """A leader's clients have written these txns, which come behind `last`."""
        if self.real(last) not in self._places and self.real(last) not in self._previous:
            last = self.logs[host.server_id].end  # zxids are left out
        for zxid, payload in entries:
            self.require(zxid not in self._previous, "a zxid is given out once", f"{host.server_id}: {zxid:x}")
            self._previous[zxid] = self.real(last)
            self._payloads[zxid] = payload
            self._watch_ends(payload)
            if is_reconfig(payload):
                self._proposed.append(membership_of(payload))
            last = zxid
        self.world.tally["proposals"] += len(entries)

    def _watch_ends(self, payload: bytes) -> None:
        """A leader ends a session on its own only if that has been silent."""
        header = TxnHeader.from_bytes(payload[: TXN_HEADER.size])
        if header.type != OpCode.CLOSE_SESSION:
            return
        session_id = header.client_id
        self.ending[session_id] = None
        timeout_ms = self.model.sessions.get(session_id, 0)
        silent_seconds = self.world.now - self.alive.get(session_id, -1e9)
        settings = self.world.settings
        # A follower serves for syncLimit after it was last heard by the leader, which looks at the time once a tick.
        slack_seconds = (settings.sync_ticks + 3) * settings.tick_ms / 1000 + SLOW_SECONDS
        is_right = header.cxid != 0 or silent_seconds >= timeout_ms / 1000 - slack_seconds
        what = f"0x{session_id:x} was heard {silent_seconds:.1f} s ago, its timeout is {timeout_ms} ms"
        self.require(is_right, "no session ends that shows life", what)

    # What servers do with their disks.

    def asked(self, host: Host, effect: do.Effect) -> None:
        """A server asks its disk for something."""
        log = self.logs[host.server_id]
        if isinstance(effect, do.SaveEpoch):
            self._asked_epoch(host, effect)
        if not isinstance(effect, do.Append):
            return
        for zxid, payload in effect.entries:
            self.require(
                self._previous[zxid] == log.end,
                "a log has no holes",
                f"server {host.server_id} logs {zxid:x} behind {log.end:x}, not {self._previous[zxid]:x}",
            )
            self.require(payload == self._payloads[zxid], "a txn is the same everywhere", f"{zxid:x}")
            log.zxids.append(zxid)

    def _asked_epoch(self, host: Host, effect: do.SaveEpoch) -> None:
        """A server promises an epoch to one leader only, and no leader begins one that a quorum has not promised it."""
        role = host.peer.role if host.peer is not None else None
        if effect.name == ACCEPTED:
            self.logs[host.server_id].promises[effect.epoch] = (
                role.leader_id if isinstance(role, Learning) else host.server_id
            )
        elif host.leads:
            having = [
                server_id
                for server_id, other in self.logs.items()
                if other.accepted >= effect.epoch and other.promises.get(effect.epoch) == host.server_id
            ]
            is_quorum = self._can_decide(having)
            what = f"epoch {effect.epoch} of server {host.server_id}: {having}"
            self.require(is_quorum, "an epoch is promised to one leader, by a quorum", what)

    def done(self, host: Host, work: Work) -> None:
        """Something is durable."""
        log = self.logs[host.server_id]
        if isinstance(work, do.Append):
            log.durable += len(work.entries)
        elif isinstance(work, do.Truncate):
            host.may_doubt = host.may_doubt or self._is_below_floor(log, work)
            log.cut(self.real(work.zxid))
            self.reset(host)
        elif isinstance(work, do.Install):
            log.zxids = self.chain(work.tree.last_zxid)
            log.durable, log.floor = len(log.zxids), log.end
            self.reset(host)
        elif isinstance(work, do.SaveEpoch):
            self._epoch(host, work)

    def _is_below_floor(self, log: Log, work: do.Truncate) -> bool:
        """Whether nothing is left that what is to be kept could be made of: a server does best to doubt it all."""
        return self.real(work.zxid) < log.floor

    def _epoch(self, host: Host, work: do.SaveEpoch) -> None:
        log, what = self.logs[host.server_id], f"server {host.server_id}: {work.name} {work.epoch}"
        if work.name == ACCEPTED:
            self.require(work.epoch >= log.accepted, "acceptedEpoch never goes back", what)
            log.accepted = work.epoch
        else:
            self.require(work.epoch >= log.current, "currentEpoch never goes back", what)
            log.current = work.epoch
        self.require(log.accepted >= log.current, "acceptedEpoch is never below currentEpoch", what)

    def unwritten(self, host: Host) -> None:
        """The disk has taken nothing of what was under way."""
        log = self.logs[host.server_id]
        del log.zxids[log.durable :]

    def interrupted(self, host: Host, work: Work) -> None:
        """A crash comes in the middle of this."""
        self.logs[host.server_id].interrupted = work

    def loaded(self, host: Host, stored: Stored) -> None:
        """A process has started: what it finds is what was durable, and perhaps what was under way."""
        before = self.logs.setdefault(host.server_id, Log())
        after = self.logs[host.server_id] = Log(floor=before.floor)
        if isinstance(before.interrupted, do.Truncate) and self._is_below_floor(before, before.interrupted):
            host.may_doubt = True
        if not stored.doubt:
            after.zxids = self.chain(stored.last_zxid)
            after.durable = len(after.zxids)
            self._compare(host, before, after.zxids)
            self._replay(host, before, stored)
        else:
            after.lost = before.lost | frozenset(before.zxids[: before.durable])
        after.accepted, after.current = stored.accepted_epoch, stored.current_epoch
        after.promises = {epoch: leader for epoch, leader in before.promises.items() if epoch <= after.accepted}
        what = f"server {host.server_id} finds {after.accepted}/{after.current}, had {before.accepted}/{before.current}"
        if not stored.doubt:
            self.require(after.accepted >= before.accepted, "acceptedEpoch survives a crash", what)
            self.require(after.current >= before.current, "currentEpoch survives a crash", what)
            self.require(after.accepted >= after.current, "acceptedEpoch is never below currentEpoch", what)
        self.require(not stored.doubt or host.may_doubt, "nobody is in doubt without reason", stored.doubt)
        host.may_doubt = bool(stored.doubt)
        self.reset(host)

    def _compare(self, host: Host, before: Log, found: list[int]) -> None:
        kept = before.durable
        if isinstance(before.interrupted, do.Truncate):
            kept = bisect_right(before.zxids, self.real(before.interrupted.zxid), 0, kept)
        is_old = found == before.zxids[: len(found)] and len(found) >= kept
        installing = before.interrupted
        is_new = isinstance(installing, do.Install) and found == self.chain(installing.tree.last_zxid)
        if is_new:
            self.logs[host.server_id].floor = self.logs[host.server_id].end
        self.require(
            is_old or is_new,
            "what is durable survives a crash",
            f"server {host.server_id} finds {len(found)} txns, had {before.durable} of {len(before.zxids)}",
        )

    def crashed(self, host: Host) -> None:
        """What a process has in memory is looked at when it comes back."""
        self.logs[host.server_id].memory = host.tree

    def _replay(self, host: Host, before: Log, stored: Stored) -> None:
        """What was in memory, with the rest of the log applied to it, is what the files say."""
        memory = before.memory
        if memory is None or epoch_of(memory.last_zxid) not in self._bases:
            return
        start, chain = self.real(memory.last_zxid), self.chain(stored.last_zxid)
        if start in {0, *chain}:
            for zxid in chain[chain.index(start) + 1 if start else 0 :]:
                apply(memory, decode_txn(self._payloads[zxid]))
            what = f"server {host.server_id} from {start:x} to {stored.last_zxid:x}"
            is_same = _signature(memory) == _signature(stored.tree) and memory.sessions == stored.tree.sessions
            self.require(is_same, "memory is the replay of the log", what)

    # Trees.

    def reset(self, host: Host) -> None:
        """A server has another tree."""
        log = self.logs[host.server_id]
        log.applied = self.real(host.tree.last_zxid)
        self._compare_tree(host, log.applied)

    def applied(self, host: Host, zxids: Sequence[int]) -> None:
        """A server has moved its tree by these txns, because they are committed."""
        log = self.logs[host.server_id]
        self._commit_tree(host, log)
        for zxid in zxids:
            what = f"server {host.server_id} applies {zxid:x} on {log.applied:x}"
            self.require(self._previous[zxid] == log.applied, "trees move txn by txn", what)
            self._commit(host, zxid)
            log.applied = zxid
        self._compare_tree(host, log.applied)

    def _compare_tree(self, host: Host, zxid: int) -> None:
        found = _signature(host.tree)
        expected = self._signatures.setdefault(zxid, found)
        self.require(expected == found, "trees at the same txn are the same", lambda: f"{host.server_id} at {zxid:x}")

    def _commit_tree(self, host: Host, log: Log) -> None:
        """Who moves its tree, or serves, calls all that it has in it committed, with what its log held at the start."""
        if log.applied not in self._places:
            for zxid in self.chain(log.applied)[len(self.committed) :]:
                self._commit(host, zxid)

    def _commit(self, host: Host, zxid: int) -> None:
        """A txn counts as committed from the first time on that somebody says so."""
        if zxid in self._places:
            return
        last = self.committed[-1] if self.committed else 0
        what = f"server {host.server_id} commits {zxid:x} behind {last:x}"
        self.require(self._previous[zxid] == last, "committed txns are one sequence", what)
        having = [
            server_id for server_id, log in self.logs.items() if log.has(zxid) or self._had(host, server_id, zxid)
        ]
        needed = [self.configuration, *self._brought_by(zxid)]
        self.require(
            all(membership.quorum().contains_quorum(having) for membership in needed),
            "what is committed is durable on a quorum",
            f"{what}, and only {having} have it",
        )
        self.committed.append(zxid)
        self._places[zxid] = len(self.committed)
        self.model.apply(self._payloads[zxid])
        self.world.tally["reconfigurations"] += needed[-1] is not self.configuration
        self.configuration = needed[-1]
        self.world.tally["commits"] += 1

    def _brought_by(self, zxid: int) -> list[Membership]:
        """The configuration that a txn brings, if it does."""
        return [membership for membership in self._proposed if membership.version == zxid]

    def _can_decide(self, servers: Collection[int]) -> bool:
        """Whether these are a quorum, in the configuration that is committed or in one that may be."""
        newer = [membership for membership in self._proposed if membership.version > self.configuration.version]
        return any(membership.quorum().contains_quorum(servers) for membership in [self.configuration, *newer])

    def _had(self, host: Host, server_id: int, zxid: int) -> bool:
        """Whether a server had acknowledged a txn and has lost it since, and its leader has not heard that it ended.

        Who commits without leading passes on what a leader has said.
        """
        if zxid not in self.logs[server_id].lost:
            return False
        role = host.peer.role if host.peer is not None else None
        if not isinstance(role, Leading):
            return True
        links = [learner.link for learner in role.learners.values() if learner.server_id == server_id]
        return any(self.world.network.is_from_the_past((host.server_id, host.boot, link)) for link in links)

    # Roles.

    def opened(self, host: Host, effect: do.Opened) -> None:
        """A server serves: all that it has in its tree is committed, and a new leader has all there is."""
        log = self.logs[host.server_id]
        what = f"server {host.server_id}, zxid {effect.zxid:x}"
        self.require(not host.state.doubt, "nobody serves in doubt", what)
        if effect.is_leader:
            epoch = epoch_of(effect.zxid)
            self.require(epoch not in self.leaders, "an epoch has one leader", f"{what}, {self.leaders.get(epoch)}")
            self.require(log.end == log.applied, "a new leader has applied all that it has", what)
            self.leaders[epoch] = host.server_id
            having = [server_id for server_id, log in self.logs.items() if log.current >= epoch]
            is_quorum = self._can_decide(having)
            self.require(is_quorum, "the epoch of a leader is durable on a quorum", f"{what}: {having}")
            self._bases[epoch] = log.end
        self._commit_tree(host, log)
        if effect.is_leader:
            last = self.committed[-1] if self.committed else 0
            self.require(log.end == last, "a new leader has all that was committed", f"{what}, {last:x} is committed")

    # Clients.

    def acknowledged(self, zxid: int) -> None:
        """A client was told that its write is done."""
        self.require(zxid in self._places, "what is acknowledged is committed", f"{zxid:x}")

    def place_of(self, zxid: int) -> int:
        """How much was committed with the txn that a zxid stands for; -1 if it is not committed."""
        if begins_epoch(zxid) and epoch_of(zxid) not in self._bases:
            return -1
        zxid = self.real(zxid)
        return self._places.get(zxid, -1)

    def refused(self, host: Host, session_id: int) -> None:
        """A server calls a session expired: it has ended, or began behind what that server has.

        A leader that was deposed and does not know it yet knows no sessions of its successor, as in Apache.
        """
        place = self._places[self.logs[host.server_id].applied]
        is_right = session_id in self.ending or self.model.begun.get(session_id, 0) > place
        what = f"server {host.server_id} refuses 0x{session_id:x}"
        self.require(is_right, "only a session that was ended has expired", what)

    def mark(self) -> int:
        """How much is committed by now: what a sync that comes now must show."""
        return len(self.committed)

    def synced(self, host: Host, mark: int) -> None:
        """A sync is answered."""
        place = self._places[self.logs[host.server_id].applied]
        what = f"server {host.server_id}: {place} < {mark}"
        self.require(place >= mark, "a sync shows what was committed before", what)

    # After every step.

    def step(self, host: Host) -> None:
        """What a server believes of itself is true."""
        if host.peer is None or host.is_frozen:
            return
        state, log = host.state, self.logs[host.server_id]
        role = host.peer.role
        if isinstance(role, Learning) and role.epoch and not role.is_observer and not state.doubt:
            self.require(
                role.epoch >= log.accepted,
                "nobody follows in an epoch older than it has promised",
                lambda: f"server {host.server_id} follows in epoch {role.epoch}, {log.accepted} is promised",
            )
        history = state.history
        durable, last = self.real(history.durable_zxid), self.real(history.last_zxid)

        def what() -> str:
            return f"server {host.server_id} believes {durable:x}, {last:x}; it has {log.durable_end:x}, {log.end:x}"

        if state.doubt or any(isinstance(work, do.Truncate) for work in host.machine.queue):
            return
        self.require(durable <= log.durable_end, "nothing is taken for durable that is not", what)
        # An observer without a log that is to vote goes back to its files when it looks, before it speaks of them.
        is_between_roles = role is None and not host.peer.is_looking
        if not history.is_durable and (not state.keeps_log or is_between_roles):
            return
        self.require(last <= log.end, "nothing is taken for logged that is not", what)
        if host.peer.is_looking:
            is_still = last == log.end == log.durable_end
            self.require(is_still, "votes speak of what is durable, and of all of that", what)

    def are_expired(self) -> bool:
        """Whether the sessions whose clients went away have ended."""
        return not any(session_id in self.model.sessions for session_id in self.abandoned)

    def finished(self) -> None:
        """All is healed: every server serves the same."""
        last = self.committed[-1] if self.committed else 0
        for server_id, log in self.logs.items():
            what = f"server {server_id} at {log.applied:x}, committed is {last:x}"
            self.require(log.applied == last, "all servers end with the same", what)
        for host in self.world.hosts.values():
            self._compare_model(host)

    def _compare_model(self, host: Host) -> None:
        """A tree holds what the txns say, and its ephemerals are those of sessions that live."""
        tree, wanted = host.tree, self.model.paths
        what = f"server {host.server_id}"
        found = {path for path in tree.nodes if not path.startswith(b"/zookeeper")}
        self.require(found == set(wanted), "trees hold what was written", f"{what}: {sorted(found ^ set(wanted))[:5]}")
        owner_of = {path: session_id for session_id, paths in tree.ephemerals.items() for path in paths}
        for path, znode in wanted.items():
            is_same = data_of(tree.nodes[path]) == znode.data and owner_of.get(path, 0) == znode.owner
            self.require(is_same, "trees hold what was written", f"{what}: {path!r} should be {znode}")
        self.require(tree.sessions == self.model.sessions, "trees hold the sessions that live", what)
        owners = {session_id for session_id, paths in tree.ephemerals.items() if paths}
        self.require(owners <= set(tree.sessions), "ephemerals live as long as their sessions", what)


def _signature(tree: Tree) -> tuple[int, ...]:
    """Of two trees at the same txn these are equal."""
    return tree.digest, len(tree.nodes), len(tree.sessions), tree.ephemeral_count
