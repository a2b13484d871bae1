"""What must hold after every step of a simulated ensemble, whatever goes wrong.

The checker has its own model: which txn stands behind which and what is committed (`sequence`), and what each server
was asked to log and what is durable of that (`servers`). Here is what it demands of roles, sessions and answers.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pyzk.codec.opcodes import OpCode
from pyzk.codec.txns import TXN_HEADER, TxnHeader
from pyzk.sim.model import RESERVED
from pyzk.sim.sequence import TxnSequence, require
from pyzk.sim.servers import Servers
from pyzk.sim.timeline import CONTAINER
from pyzk.tree.node import data_of, stat_of
from pyzk.tree.quota import Quota, limits_path, stats_path
from pyzk.zab import effects as do
from pyzk.zab.history import epoch_of
from pyzk.zab.learning import Learning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzk.sim.host import Host
    from pyzk.sim.world import World
    from pyzk.tree.tree import Tree
    from pyzk.zab.events import Entry

CZXID_SIZE = 8
SLOW_SECONDS = 2.5
"""Longer than bytes take on the slowest of links."""


class Checker:
    """Watches one world.

    Attributes:
        sequence: all txns.
        servers: what each server has; `logs` are theirs.
        model: what the committed txns make of the tree.
        has_acls: whether servers look at ACLs; with reconfigs they do not, or nobody could ask for one.
        audited: changes by session that the audit logs of servers tell of.
        leaders: who was established in which epoch.
        ending: sessions whose end was asked for or proposed.
        alive: when each session was last heard by a server, seconds.
        abandoned: sessions whose clients went away without a word, and when.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.sequence = TxnSequence(world.tally, world.membership)
        self.servers = Servers(self.sequence, world.network)
        self.logs, self.model = self.servers.logs, self.sequence.model
        self.has_acls = not world.settings.reconfig_enabled
        self.model.claims = {}
        self.audited: Counter[int] = Counter()
        self.leaders: dict[int, int] = {}
        self.ending: dict[int, None] = {}
        self.alive: dict[int, float] = {}
        self.abandoned: dict[int, float] = {}

    # Txns.

    def proposed(self, host: Host, entries: Sequence[Entry], last: int) -> None:
        """A leader's clients have written these txns, which come behind `last`."""
        if not self.sequence.is_known(last):
            last = self.logs[host.server_id].end  # zxids are left out
        for zxid, payload in entries:
            self.sequence.propose(zxid, payload, last)
            self._watch_ends(host, payload)
            last = zxid
        self.world.tally["proposals"] += len(entries)

    def _watch_ends(self, host: Host, payload: bytes) -> None:
        """A leader ends a session on its own only if that has been silent."""
        header = TxnHeader.from_bytes(payload[: TXN_HEADER.size])
        if header.type != OpCode.CLOSE_SESSION:
            return
        if header.cxid == 0:
            self.expires(host, header.client_id)
        self.ending[header.client_id] = None

    def expires(self, host: Host, session_id: int) -> None:
        """A leader has given a session up; the txn that ends it may have to wait for others, and nobody may return."""
        if session_id in host.expiring:
            return
        host.expiring[session_id] = self.ending[session_id] = None
        timeout_ms = self.model.sessions.get(session_id, 0)
        silent_seconds = self.world.now - self.alive.get(session_id, -1e9)
        settings = self.world.settings
        # A follower serves for syncLimit after it was last heard by the leader, which looks at the time once a tick.
        slack_seconds = (settings.sync_ticks + 3) * settings.tick_ms / 1000 + SLOW_SECONDS
        what = f"0x{session_id:x} was heard {silent_seconds:.1f} s ago, its timeout is {timeout_ms} ms"
        require(silent_seconds >= timeout_ms / 1000 - slack_seconds, "no session ends that shows life", what)

    # Roles.

    def opened(self, host: Host, effect: do.Opened) -> None:
        """A server serves: all that it has in its tree is committed, and a new leader has all there is."""
        log = self.logs[host.server_id]
        epoch, what = epoch_of(effect.zxid), f"server {host.server_id}, zxid {effect.zxid:x}"
        require(not host.state.doubt, "nobody serves in doubt", what)
        if effect.is_leader:
            require(epoch not in self.leaders, "an epoch has one leader", f"{what}, {self.leaders.get(epoch)}")
            require(log.end == log.applied, "a new leader has applied all that it has", what)
            self.leaders[epoch] = host.server_id
            having = [server_id for server_id, log in self.logs.items() if log.current >= epoch]
            is_quorum = self.sequence.can_decide(having)
            require(is_quorum, "the epoch of a leader is durable on a quorum", f"{what}: {having}")
            self.sequence.bases[epoch] = log.end
            self._put_in_force(host, having)
        self.servers.commit_tree(host, log)
        if effect.is_leader:
            # One that was frozen until a later epoch had begun is established by the acks that waited for it.
            last = self.sequence.last_before(epoch)
            require(log.end == last, "a new leader has all that was committed", f"{what}, {last:x} is committed")

    def _put_in_force(self, host: Host, having: list[int]) -> None:
        """A new leader's configuration is in force, even if the txn that proposed it was in nobody's log any more.

        NEWLEADER has brought it, and a quorum of it and of the one before has acknowledged that.
        """
        newer, sequence = host.state.membership, self.sequence
        if newer.version <= sequence.configuration.version:
            return
        for membership in (sequence.configuration, newer):
            is_quorum = membership.quorum().contains_quorum(having)
            what = f"server {host.server_id}: {newer.version:x} behind {sequence.configuration.version:x}, {having}"
            require(is_quorum, "a configuration is in force when quorums of it and of the last one know it", what)
        sequence.configuration = newer

    # Clients.

    def refused(self, host: Host, session_id: int) -> None:
        """A server calls a session expired: it has ended or is about to, or began behind what that server has.

        A leader that was deposed and does not know it yet knows no sessions of its successor, as in Apache; who has no
        leader at all leaves that to others. Local sessions do not move.
        """
        is_local = self.world.extras.local_sessions and session_id not in self.model.begun
        is_right = session_id in self.ending or is_local
        if host.opened is not None:
            place = self.sequence.places[self.logs[host.server_id].applied]
            is_right = is_right or self.model.begun.get(session_id, 0) > place
        what = f"server {host.server_id} refuses 0x{session_id:x}"
        require(is_right, "only a session that was ended has expired", what)

    def swept(self, host: Host, path: bytes, wall_ms: int) -> None:
        """A leader lets a container or a TTL znode go, by its wall clock."""
        place = self.sequence.places[self.logs[host.server_id].applied]
        node, never_used_max_ms = self.model.node(path, place), self.world.extras.never_used_max_ms
        what = f"server {host.server_id} lets {path!r} go at {wall_ms}: {node}"
        require(node is not None and not self.model.children(path, place), "only what is empty goes by itself", what)
        assert node is not None
        age_ms = wall_ms - node.changed_ms
        is_unused = bool(never_used_max_ms) and age_ms > never_used_max_ms
        is_spent = node.lifetime_ms == CONTAINER and (self.model.had_children(path, place) or is_unused)
        is_old = 0 < node.lifetime_ms < age_ms
        require(is_spent or is_old, "only containers and TTL znodes go by themselves", what)

    def mark(self) -> int:
        """How much is committed by now: what a sync that comes now must show."""
        return len(self.sequence.committed)

    def synced(self, host: Host, mark: int) -> None:
        """A sync is answered."""
        place = self.sequence.places[self.logs[host.server_id].applied]
        what = f"server {host.server_id}: {place} < {mark}"
        require(place >= mark, "a sync shows what was committed before", what)

    # After every step.

    def step(self, host: Host) -> None:
        """What a server believes of itself is true."""
        if host.peer is None or host.is_frozen:
            return
        state, log = host.state, self.logs[host.server_id]
        role = host.peer.role
        if isinstance(role, Learning) and role.epoch and not role.is_observer and not state.doubt:
            require(
                role.epoch >= log.accepted,
                "nobody follows in an epoch older than it has promised",
                lambda: f"server {host.server_id} follows in epoch {role.epoch}, {log.accepted} is promised",
            )
        history = state.history
        durable, last = self.sequence.real(history.durable_zxid), self.sequence.real(history.last_zxid)

        def what() -> str:
            return f"server {host.server_id} believes {durable:x}, {last:x}; it has {log.durable_end:x}, {log.end:x}"

        if state.doubt or any(isinstance(work, do.Truncate) for work in host.machine.queue):
            return
        require(durable <= log.durable_end, "nothing is taken for durable that is not", what)
        # An observer without a log that is to vote goes back to its files when it looks, before it speaks of them.
        is_held = role is None or (isinstance(role, Learning) and not role.keeps_log)
        if not history.is_durable and (not state.keeps_log or (is_held and not host.peer.is_looking)):
            return
        require(last <= log.end, "nothing is taken for logged that is not", what)
        if host.peer.is_looking:
            is_still = last == log.end == log.durable_end
            require(is_still, "votes speak of what is durable, and of all of that", what)

    def are_expired(self) -> bool:
        """Whether the sessions whose clients went away have ended."""
        return not any(session_id in self.model.sessions for session_id in self.abandoned)

    def finished(self) -> None:
        """All is healed: every server serves the same, but for those that have left."""
        last = self.sequence.last
        for host in self.world.hosts.values():
            if host.is_up:
                applied = self.logs[host.server_id].applied
                what = f"server {host.server_id} at {applied:x}, committed is {last:x}"
                require(applied == last, "all servers end with the same", what)
                self._compare_model(host)

    def _compare_model(self, host: Host) -> None:
        """A tree holds what the txns say, and its ephemerals are those of sessions that live."""
        tree, wanted = host.tree, self.model.paths
        what = f"server {host.server_id}"
        found = {path for path in tree.nodes if not path.startswith(RESERVED)}
        require(found == set(wanted), "trees hold what was written", f"{what}: {sorted(found ^ set(wanted))[:5]}")
        owner_of = {path: session_id for session_id, paths in tree.ephemerals.items() for path in paths}
        for path, znode in wanted.items():
            is_same = data_of(tree.nodes[path]) == znode.data and owner_of.get(path, 0) == znode.owner
            require(is_same, "trees hold what was written", f"{what}: {path!r} should be {znode}")
        require(tree.sessions == self.model.sessions, "trees hold the sessions that live", what)
        self._compare_quotas(tree, what)
        owners = {session_id for session_id, paths in tree.ephemerals.items() if paths}
        require(owners <= set(tree.sessions), "ephemerals live as long as their sessions", what)

    def _compare_quotas(self, tree: Tree, what: str) -> None:
        """What a quota says is in use is there, if it was counted behind the limits; without them nobody counts."""
        last = len(self.sequence.committed)
        for path in tree.quotas:
            stats, limits = tree.nodes.get(stats_path(path)), tree.nodes[limits_path(path)]
            if stats is None or stat_of(stats)[:CZXID_SIZE] < stat_of(limits)[:CZXID_SIZE]:
                continue
            usage = Quota.parse(data_of(stats))
            count = len(self.model.below(path, last)) + (self.model.node(path, last) is not None)
            is_right = usage is not None and usage.count == count
            require(is_right, "a quota counts what is there", f"{what}: {path!r} {usage}, not {count}")
