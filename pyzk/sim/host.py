"""One simulated server: its machine's clock, its process, and the performing of what agreement asks for.

The process is the production `zab.peer.Peer` over the production files on a disk that forgets. It can end between any
two effects, and in the middle of anything that the disk is asked for.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any

from pyzk.codec.opcodes import OpCode
from pyzk.codec.quorum import Forwarded, PacketType, packet
from pyzk.codec.txns import decode_txn
from pyzk.errors import StorageError
from pyzk.sim.configfiles import ConfigFiles
from pyzk.sim.disk import SimulatedDisk
from pyzk.sim.machine import DiskEffect, Machine
from pyzk.tree.apply import apply
from pyzk.tree.tree import Tree
from pyzk.tree.walk import walk
from pyzk.zab import effects as do
from pyzk.zab import events
from pyzk.zab.connections import ConnectionSettings
from pyzk.zab.election import ElectionSettings
from pyzk.zab.history import History
from pyzk.zab.leading import Leading
from pyzk.zab.membership import parse_text
from pyzk.zab.peer import Peer
from pyzk.zab.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyzk.sim.world import World
    from pyzk.storage.member import Stored

NEVER = float("inf")
NODES_PER_SLICE = 5, 50, 500
"""So many znodes of a tree that is sent go out at once; the tree goes on between."""
RESTART_SECONDS = 2.0
"""After the power has failed while a configuration was written."""
SUBMIT = OpCode.CREATE
"""What a learner forwards to have a txn proposed; the leader of this world makes up which."""


def name_of(effect: object) -> str:
    """What kind of effect it is; of an epoch, which one."""
    return effect.name if isinstance(effect, do.SaveEpoch) else type(effect).__name__


class Host:
    """A server of a world.

    Attributes:
        peer: while the process runs.
        tree: what is committed, as far as this server knows.
        opened: the role in which it serves, None if in none.
        expiring: sessions that it has given up as a leader.
        boot: how often the process was started.
        is_frozen: whether it is stopped and everything waits for it.
        has_no_power: whether the machine is off, and not only the process.
        may_doubt: whether its disk has been damaged since it was started.
        is_damaged: whether it has been since it was given a whole tree: what a start does not need may be needed later.
        membership, last_seen: the configurations in its files, the committed one and the newest.
        config_files: these files, if they change.
        dies_after: effects after which the process ends.
        dies_at: name of an effect (or of the epoch that one writes), and whether the process ends when that is done,
            or before it is begun; None if it does not.
    """

    def __init__(self, world: World, server_id: int) -> None:
        self.world = world
        self.server_id = server_id
        self.disk = SimulatedDisk()
        self.machine = Machine(self)
        self._handlers = self._table()
        self.peer: Peer | None = None
        self._tree = Tree()
        self.opened: do.Opened | None = None
        self.expiring: dict[int, None] = {}
        self.boot = 0
        self.is_frozen = self.has_no_power = False
        self.dies_after: int | None = None
        self.dies_at: tuple[str, bool] | None = None
        self.may_doubt = self.is_damaged = False
        self.membership = self.last_seen = world.membership
        self.config_files: ConfigFiles | None = None
        if world.settings.reconfig_enabled:
            rng = Random(f"{world.seed} configuration {server_id}")
            self.config_files = ConfigFiles(self.disk, server_id, world.membership, rng)
        self.clock_rate = world.rng.uniform(1 - world.clock_drift, 1 + world.clock_drift)
        self.clock_offset = world.rng.uniform(0, 1e6)
        self.syncs: deque[int] = deque()
        self._inbox: deque[events.Event | Callable[[], None]] = deque()
        self._is_busy = False
        self._wakes_at = NEVER
        self._deleting: set[bytes] = set()

    @property
    def tree(self) -> Tree:
        """What is committed, applied."""
        return self._tree

    @tree.setter
    def tree(self, tree: Tree) -> None:
        self._tree = tree

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self.peer is not None

    @property
    def votes(self) -> bool:
        """Whether it has a vote in one of the configurations in its files."""
        return self.server_id in self.membership.voter_ids | self.last_seen.voter_ids

    @property
    def leads(self) -> bool:
        """Whether it is in the leader's role, established or not."""
        return self.peer is not None and isinstance(self.peer.role, Leading)

    @property
    def role_letter(self) -> str:
        """For the trace."""
        if self.peer is None or self.peer.role is None:
            return "e" if self.peer is not None and self.peer.is_looking else "-"
        letter = "l" if self.leads else "o" if self.peer.is_observer else "f"
        return letter.upper() if self.opened is not None else letter

    @property
    def now(self) -> float:
        """The machine's monotonic clock: it has its own start and pace."""
        return self.clock_offset + self.world.now * self.clock_rate

    @property
    def state(self) -> State:
        """The agreement's state of a server that is up."""
        assert self.peer is not None
        return self.peer.state

    # Life.

    def start(self) -> None:
        """Start the process."""
        assert self.peer is None
        world = self.world
        self.has_no_power = False
        self.boot += 1
        if not self._read_configuration():
            return
        stored = self._load()
        if stored is None:
            return
        self.tree = stored.tree
        history = History(max(0, stored.last_zxid), stored.recent, world.settings.window_txns)
        state = State(self.server_id, world.settings, self.membership, self.last_seen, history)
        state.accepted_epoch, state.current_epoch = stored.accepted_epoch, stored.current_epoch
        state.doubt, state.points = stored.doubt, world.points
        self.peer = self._make_process(state, stored.tree)
        world.trace(self.server_id, "starts", f"{stored.last_zxid:x} {stored.accepted_epoch} {stored.current_epoch}")
        world.checker.servers.loaded(self, stored)
        self._perform_all(self._begin())
        self._go_on()

    def _read_configuration(self) -> bool:
        """Whether the server is in its own list; else it refuses to start (server/config/load.py)."""
        if self.config_files is None:
            return True
        self.membership, self.last_seen = self.config_files.load()
        if self.membership.find(self.server_id) is not None:
            return True
        self.world.trace(self.server_id, "is not in its list of servers")
        self.world.tally["starts of no member"] += 1
        return False

    def _load(self) -> Stored | None:
        """What the process finds; with a disk that fails it ends, and another one is started later."""
        try:
            return self.machine.load()
        except StorageError:
            self.world.tally["starts given up"] += 1
            self.machine.crash(has_no_power=False)
            self.world.after(RESTART_SECONDS, lambda: self.world.start(self.server_id))
            return None

    def crash(self, *, has_no_power: bool) -> None:
        """End the process, or the whole machine with what was not synced."""
        if self.peer is None:
            return
        self.world.trace(self.server_id, "loses power" if has_no_power else "is killed")
        self.world.tally["crashes"] += 1
        self.world.checker.servers.crashed(self)
        self.machine.crash(has_no_power=has_no_power)
        self.peer = self.opened = self.dies_after = self.dies_at = None
        self._wakes_at = NEVER
        self.is_frozen, self.has_no_power = False, has_no_power
        self._inbox.clear()
        self.syncs.clear()
        self.world.network.lose_host(self.server_id, has_no_power=has_no_power)

    def freeze(self) -> None:
        """Stop the process as it stands."""
        self.world.trace(self.server_id, "is frozen")
        self.is_frozen = True

    def thaw(self) -> None:
        """Let it go on with everything that has happened meanwhile; it may look at its clock first."""
        self.world.trace(self.server_id, "goes on")
        self.is_frozen = False
        if self.peer is not None and self.world.rng.random() < 0.5:
            self._inbox.appendleft(events.Wake())
        self._go_on()

    # The process.

    @property
    def election_settings(self) -> ElectionSettings:
        """As those of agreement."""
        return ElectionSettings(reconfig_enabled=self.world.settings.reconfig_enabled)

    def _make_process(self, state: State, tree: Tree) -> Peer:  # noqa: ARG002
        return Peer(state, ConnectionSettings(), self.election_settings, Random(self.world.rng.getrandbits(32)))

    def _begin(self) -> Sequence[do.Effect]:
        assert self.peer is not None
        return self.peer.start(self.now)

    def _handle(self, event: events.Event) -> Sequence[do.Effect]:
        assert self.peer is not None
        return self.peer.receive(event, self.now)

    def _perform_all(self, effects: Sequence[do.Effect]) -> None:
        self._perform(effects)

    def call(self, action: Callable[[], None]) -> None:
        """Something that is no event of agreement happens."""
        self._inbox.append(action)
        self._go_on()

    # Events.

    def receive(self, event: events.Event) -> None:
        """Something happens to the server; it waits if it is in the middle of something, or frozen."""
        self._inbox.append(event)
        self._go_on()

    def _go_on(self) -> None:
        while self._inbox and self.peer is not None and not self._is_busy and not self.is_frozen:
            event = self._inbox.popleft()
            if callable(event):
                event()
                continue
            self.world.trace(self.server_id, "<", event)
            if isinstance(event, events.Unwritten):
                self.machine.is_refusing = False
                self.world.checker.servers.unwritten(self)
            self._perform_all(self._handle(event))
        self._arm()

    def _arm(self) -> None:
        """Come back at the deadline, unless we come back before that and look again."""
        peer = self.peer
        if peer is None or self._is_busy or self.is_frozen:
            return
        deadline = peer.deadline()
        if deadline is None:
            return
        at = max(self.world.now, (deadline - self.clock_offset) / self.clock_rate) + 1e-6
        if at < self._wakes_at:
            self._wakes_at = at
            self.world.at(at, lambda: self._wake(at))

    def _wake(self, at: float) -> None:
        if at != self._wakes_at:
            return
        self._wakes_at = NEVER
        deadline = self.peer.deadline() if self.peer is not None and not self.is_frozen else None
        if deadline is not None and deadline <= self.now:
            self.receive(events.Wake())
        else:
            self._arm()

    # Effects.

    def _perform(self, effects: Sequence[do.Effect]) -> None:
        """Perform effects in list order; what they bring about is dealt with afterwards."""
        self._is_busy = True
        boot = self.boot
        for effect in effects:
            if self._is_to_die(effect):
                self.crash(has_no_power=self.world.rng.random() < 0.5)
            if self.peer is None or self.boot != boot:
                break
            self.world.trace(self.server_id, ">", effect)
            self._handlers[type(effect)](self, effect)
        self._is_busy = False

    def _is_to_die(self, effect: do.Effect) -> bool:
        """Whether the process ends before this effect."""
        if self.dies_at == (name_of(effect), False):
            return True
        if self.dies_after is not None:
            self.dies_after -= 1
            return self.dies_after < 0
        return False

    def has_done(self, effect: object) -> bool:
        """Something is done on the disk; whether the process is still there to hear of it."""
        if self.dies_at == (name_of(effect), True):
            self.crash(has_no_power=self.world.rng.random() < 0.5)
        return self.is_up

    def _dial(self, effect: do.Dial) -> None:
        self.world.network.dial(self.server_id, effect)

    def _send(self, effect: do.Send) -> None:
        self.world.network.send(self.server_id, effect.link, effect.data)

    def _send_tree(self, effect: do.SendTree) -> None:
        self.world.tally["trees"] += 1
        slices = walk(self.tree, self.world.rng.choice(NODES_PER_SLICE))
        self.world.network.send(self.server_id, effect.link, slices)

    def _close(self, effect: do.Close) -> None:
        self.world.network.close(self.server_id, effect.link)

    def _to_disk(self, effect: DiskEffect) -> None:
        self.world.checker.servers.asked(self, effect)
        if isinstance(effect, do.Install):
            self.tree = effect.tree
        self.machine.ask(effect)

    def _read_log(self, effect: do.ReadLog) -> None:
        self.machine.read_log(effect)

    def _deliver(self, effect: do.Deliver) -> None:
        for zxid, payload in effect.entries:
            apply(self.tree, decode_txn(payload))
            self.world.checker.servers.applied(self, [zxid])

    def _opens(self, effect: do.Opened) -> None:
        self.opened = effect
        self._deleting.clear()
        self.world.tally["elections"] += effect.is_leader
        self.world.checker.opened(self, effect)

    def _closes(self, effect: do.Closed) -> None:  # noqa: ARG002
        self.opened = None
        self.syncs.clear()

    def _requests(self, effect: do.Requests) -> None:
        for request in effect.requests:
            if request.opcode == OpCode.SYNC:
                self._inbox.append(events.Sync(effect.link))
            else:
                self.propose(1)

    def _pinged(self, effect: do.Pinged) -> None:
        self._inbox.append(events.Answer(effect.link, packet(PacketType.PING, effect.zxid, b"")))

    def _synced(self, effect: do.Synced) -> None:
        self.world.tally["syncs"] += 1
        mark = self.syncs.popleft()
        assert effect.tag in {0, mark}
        self.world.checker.synced(self, mark)

    def _save_config(self, effect: do.SaveConfig) -> None:
        may_be_cut = self.world.extras.rare_share > 0 and not self.world.is_mended
        if self.config_files is not None and not self.config_files.save(effect, may_be_cut=may_be_cut):
            self.world.tally["torn configurations"] += 1
            self.crash(has_no_power=True)
            self.world.after(RESTART_SECONDS, lambda: self.world.start(self.server_id))
            return
        self.last_seen = parse_text(effect.text)
        if not effect.is_next:
            self.membership = self.last_seen

    def _nothing(self, effect: do.Effect) -> None:
        """For service, or the operator."""

    # Clients.

    def propose(self, count: int) -> None:
        """Clients of this server write: its leader proposes, a learner forwards."""
        opened = self.opened
        if opened is None:
            return
        if not opened.is_leader:
            request = Forwarded(1, 1, SUBMIT, b"").encode()
            self._inbox.append(events.Answer(opened.link, request * count))
        elif self.peer is not None and isinstance(self.peer.role, Leading):
            self._inbox.append(events.Propose(self._make(self.peer.role, count)))
        self._go_on()

    def _make(self, role: Leading, count: int) -> list[events.Entry]:
        """New txns behind those that wait in the inbox to be proposed."""
        waiting = [event.entries[-1][0] for event in self._inbox if isinstance(event, events.Propose)]
        last = waiting[-1] if waiting else role.proposals.given_zxid
        zxids = range(last + 1, min(last + 1 + count, (role.epoch + 1) << 32))
        entries = [(zxid, self.world.txns.make(zxid, self.tree, self._deleting)) for zxid in zxids]
        self.world.checker.proposed(self, entries, last)
        return entries

    def sync(self) -> None:
        """A client of this server asks to see everything that was committed before now."""
        opened = self.opened
        if opened is None:
            return
        mark = self.world.checker.mark()
        self.syncs.append(mark)
        if opened.is_leader:
            self._inbox.append(events.Sync(0, mark))
        else:
            self._inbox.append(events.Answer(opened.link, Forwarded(1, 1, OpCode.SYNC, b"").encode()))
        self._go_on()

    @classmethod
    def _table(cls) -> dict[type, Callable[[Host, Any], None]]:
        """As `zab/peer.py`."""
        return {
            do.Dial: cls._dial,
            do.Send: cls._send,
            do.SendTree: cls._send_tree,
            do.Close: cls._close,
            do.Append: cls._to_disk,
            do.SaveEpoch: cls._to_disk,
            do.Truncate: cls._to_disk,
            do.Install: cls._to_disk,
            do.Heal: cls._to_disk,
            do.Doubt: cls._to_disk,
            do.ReadLog: cls._read_log,
            do.Deliver: cls._deliver,
            do.Opened: cls._opens,
            do.Closed: cls._closes,
            do.Requests: cls._requests,
            do.Pinged: cls._pinged,
            do.Synced: cls._synced,
            do.Revalidate: cls._nothing,
            do.Touched: cls._nothing,
            do.LearnerLeft: cls._nothing,
            do.Revalidated: cls._nothing,
            do.SaveConfig: cls._save_config,
            do.ConfigChanged: cls._nothing,
            do.Note: cls._nothing,
        }
