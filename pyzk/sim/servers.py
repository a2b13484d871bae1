"""What every simulated server has on its disk and in its tree, and what must hold of both whatever goes wrong."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyzk.codec.txns import decode_txn
from pyzk.sim.machine import Work
from pyzk.sim.sequence import require
from pyzk.tree.apply import apply
from pyzk.tree.tree import Tree
from pyzk.zab import effects as do
from pyzk.zab.history import epoch_of
from pyzk.zab.leading import Leading
from pyzk.zab.learning import Learning
from pyzk.zab.state import ACCEPTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzk.sim.host import Host
    from pyzk.sim.network import Network
    from pyzk.sim.sequence import TxnSequence
    from pyzk.storage.member import Stored
    from pyzk.zab.events import Entry


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
        promised: the last epoch that it has promised durably; its disk may have lost that since.
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
    promised: int = 0
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


class Servers:
    """What the servers of a world have.

    Args:
        sequence: of all txns.
        network: between them.

    Attributes:
        logs: by server id.
    """

    def __init__(self, sequence: TxnSequence, network: Network) -> None:
        self.sequence = sequence
        self.logs: dict[int, Log] = {}
        self._network = network
        self._signatures: dict[int, tuple[int, ...]] = {}

    # What servers do with their disks.

    def asked(self, host: Host, effect: do.Effect) -> None:
        """A server asks its disk for something."""
        log = self.logs[host.server_id]
        if isinstance(effect, do.SaveEpoch):
            self._asked_epoch(host, effect)
        elif isinstance(effect, do.Append):
            self._follows(host, log.end, effect.entries)
            log.zxids += [zxid for zxid, _ in effect.entries]
        elif isinstance(effect, do.Install):
            self._follows(host, self.sequence.real(effect.tree.last_zxid), effect.tail)

    def _follows(self, host: Host, last: int, entries: Sequence[Entry]) -> None:
        sequence = self.sequence
        for zxid, payload in entries:
            what = f"server {host.server_id} logs {zxid:x} behind {last:x}, not {sequence.previous[zxid]:x}"
            require(sequence.previous[zxid] == last, "a log has no holes", what)
            require(payload == sequence.payloads[zxid], "a txn is the same everywhere", f"{zxid:x}")
            last = zxid

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
                if other.promised >= effect.epoch and other.promises.get(effect.epoch) == host.server_id
            ]
            is_quorum = self.sequence.can_decide(having)
            what = f"epoch {effect.epoch} of server {host.server_id}: {having}"
            require(is_quorum, "an epoch is promised to one leader, by a quorum", what)

    def done(self, host: Host, work: Work) -> None:
        """Something is durable."""
        log = self.logs[host.server_id]
        if isinstance(work, do.Append):
            log.durable += len(work.entries)
        elif isinstance(work, do.Truncate):
            kept = self.sequence.real(work.zxid)
            what = f"server {host.server_id}: {work.zxid:x}, its tree is of {log.floor:x}"
            require(kept >= log.floor, "no server drops what it cannot make anew", what)
            log.cut(kept)
            self.reset(host)
        elif isinstance(work, do.Install):
            log.zxids = self.sequence.chain(work.last_zxid)
            log.durable, log.floor = len(log.zxids), self.sequence.real(work.tree.last_zxid)
            host.is_damaged = False
            self.reset(host)
        elif isinstance(work, do.SaveEpoch):
            self._epoch(host, work)

    def _epoch(self, host: Host, work: do.SaveEpoch) -> None:
        log, what = self.logs[host.server_id], f"server {host.server_id}: {work.name} {work.epoch}"
        if work.name == ACCEPTED:
            require(work.epoch >= log.accepted, "acceptedEpoch never goes back", what)
            log.accepted = work.epoch
            log.promised = max(log.promised, work.epoch)
        else:
            require(work.epoch >= log.current, "currentEpoch never goes back", what)
            log.current = work.epoch
        require(log.accepted >= log.current, "acceptedEpoch is never below currentEpoch", what)

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
        if not stored.doubt:
            after.zxids = self.sequence.chain(stored.last_zxid)
            after.durable = len(after.zxids)
            self._compare(host, before, after.zxids)
            self._replay(host, before, stored)
        else:
            after.lost = before.lost | frozenset(before.zxids[: before.durable])
        after.accepted, after.current = stored.accepted_epoch, stored.current_epoch
        after.promised = max(before.promised, after.accepted)
        after.promises = {epoch: leader for epoch, leader in before.promises.items() if epoch <= after.promised}
        what = f"server {host.server_id} finds {after.accepted}/{after.current}, had {before.accepted}/{before.current}"
        if not stored.doubt:
            require(after.accepted >= before.accepted, "acceptedEpoch survives a crash", what)
            require(after.current >= before.current, "currentEpoch survives a crash", what)
            require(after.accepted >= after.current, "acceptedEpoch is never below currentEpoch", what)
        require(not stored.doubt or host.may_doubt, "nobody is in doubt without reason", stored.doubt)
        host.may_doubt = bool(stored.doubt)
        self.reset(host)

    def _compare(self, host: Host, before: Log, found: list[int]) -> None:
        kept = before.durable
        if isinstance(before.interrupted, do.Truncate):
            end = self.sequence.real(before.interrupted.zxid)
            kept = bisect_right(before.zxids, end, 0, kept) if end >= before.floor else kept
        is_old = found == before.zxids[: len(found)] and len(found) >= kept
        installing = before.interrupted
        is_new = False
        if isinstance(installing, do.Install) and found == self.sequence.chain(installing.last_zxid):
            is_new = True
            self.logs[host.server_id].floor = self.sequence.real(installing.tree.last_zxid)
        require(
            is_old or is_new,
            "what is durable survives a crash",
            f"server {host.server_id} finds {len(found)} txns, had {before.durable} of {len(before.zxids)}",
        )

    def renewed(self, host: Host, *, keeps_epochs: bool, keeps_data: bool) -> None:
        """A server that never votes was begun anew while it was down: what it has had binds nobody."""
        before = self.logs[host.server_id]
        after = self.logs[host.server_id] = Log(lost=before.lost | frozenset(before.zxids[: before.durable]))
        if keeps_epochs:
            after.accepted, after.current = before.accepted, before.current
            after.promised, after.promises = before.promised, before.promises
        if keeps_data:
            after.zxids, after.durable, after.floor = before.zxids, before.durable, before.floor
            after.memory, after.interrupted, after.lost = before.memory, before.interrupted, before.lost

    def crashed(self, host: Host) -> None:
        """What a process has in memory is looked at when it comes back."""
        self.logs[host.server_id].memory = host.tree

    def _replay(self, host: Host, before: Log, stored: Stored) -> None:
        """What was in memory, with the rest of the log applied to it, is what the files say."""
        memory = before.memory
        if memory is None or epoch_of(memory.last_zxid) not in self.sequence.bases:
            return
        start, chain = self.sequence.real(memory.last_zxid), self.sequence.chain(stored.last_zxid)
        if start in {0, *chain}:
            for zxid in chain[chain.index(start) + 1 if start else 0 :]:
                apply(memory, decode_txn(self.sequence.payloads[zxid]))
            what = f"server {host.server_id} from {start:x} to {stored.last_zxid:x}"
            is_same = _signature(memory) == _signature(stored.tree) and memory.sessions == stored.tree.sessions
            require(is_same, "memory is the replay of the log", what)

    # Trees.

    def reset(self, host: Host) -> None:
        """A server has another tree."""
        log = self.logs[host.server_id]
        log.applied = self.sequence.real(host.tree.last_zxid)
        self._compare_tree(host, log.applied)

    def applied(self, host: Host, zxids: Sequence[int]) -> None:
        """A server has moved its tree by these txns, because they are committed."""
        log = self.logs[host.server_id]
        self.commit_tree(host, log)
        for zxid in zxids:
            what = f"server {host.server_id} applies {zxid:x} on {log.applied:x}"
            require(self.sequence.previous[zxid] == log.applied, "trees move txn by txn", what)
            self._commit(host, zxid)
            log.applied = zxid
        self._compare_tree(host, log.applied)

    def _compare_tree(self, host: Host, zxid: int) -> None:
        found = _signature(host.tree)
        expected = self._signatures.setdefault(zxid, found)
        require(expected == found, "trees at the same txn are the same", lambda: f"{host.server_id} at {zxid:x}")

    def commit_tree(self, host: Host, log: Log) -> None:
        """Who moves its tree, or serves, calls all that it has in it committed, with what its log held at the start."""
        if log.applied not in self.sequence.places:
            for zxid in self.sequence.chain(log.applied)[len(self.sequence.committed) :]:
                self._commit(host, zxid)

    def _commit(self, host: Host, zxid: int) -> None:
        """A txn counts as committed from the first time on that somebody says so."""
        if zxid in self.sequence.places:
            return
        having = [
            server_id for server_id, log in self.logs.items() if log.has(zxid) or self._had(host, server_id, zxid)
        ]
        self.sequence.commit(zxid, having, f"server {host.server_id}")

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
        return any(self._network.is_from_the_past((host.server_id, host.boot, link)) for link in links)


def _signature(tree: Tree) -> tuple[int, ...]:
    """Of two trees at the same txn these are equal."""
    return tree.digest, len(tree.nodes), len(tree.sessions), tree.ephemeral_count
