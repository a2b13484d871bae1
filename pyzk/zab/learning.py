"""The learner's role: finds its leader, is brought up to it, and follows.

The conversation reads from top to bottom in `_follow`; what must follow durability waits for its token there. The tree
does not move before UPTODATE: only then is the leader established, and what it has sent committed. What is heard of
txns is in the table of `hearing`. Source: docs/protocol/zab.md sections 3.1, 5, 6.2, 6.3, 9 and 14.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyzk.codec.quorum import LearnerInfo, PacketReader, PacketType, pack_epoch, packet, packets_of_zxids
from pyzk.errors import DecodeError, PeerError
from pyzk.tree.stream import TreeStream
from pyzk.zab.configuring import activate_config, forget_config, see_config, see_reconfig
from pyzk.zab.conversation import NEXT, Conversation
from pyzk.zab.effects import Dial, Heal, Opened, Truncate
from pyzk.zab.events import Port
from pyzk.zab.hearing import Batch, hear
from pyzk.zab.history import begins_epoch, epoch_of
from pyzk.zab.mastering import Mastering
from pyzk.zab.state import ACCEPTED, CURRENT

if TYPE_CHECKING:
    from collections.abc import Generator

    from pyzk.codec.quorum import Packet
    from pyzk.tree.tree import Tree
    from pyzk.zab.conversation import Script, Wait
    from pyzk.zab.events import Entry
    from pyzk.zab.membership import Membership
    from pyzk.zab.state import State

    Part = Generator[Wait, Packet, None]

DIALS_MAX = 5
"""How often a leader that refuses is tried."""
INBOX_MAX = 1_000_000
"""Packets that may wait until what the leader sent before is durable: a whole tree can take some time to write."""


@dataclass(slots=True)
class Call:
    """Whom to follow, and where to reach it.

    Args:
        leader_id: as elected.
        epoch: the leader's epoch as those who follow it already have told it.
        addresses: (host, port), of the leader or of those who serve observers in its place.
        pause_seconds: how long to wait before the first dial.
        needs_tree: whether that leader has asked us to cut what our files cannot cut.
    """

    leader_id: int
    epoch: int
    port: Port
    addresses: Sequence[tuple[str, int]]
    is_observer: bool
    pause_seconds: float = 0.0
    needs_tree: bool = False


class Learning:
    """One attempt to follow a leader.

    Attributes:
        link: to the leader.
        epoch: the leader's, once it is known.
        commit_to: the last txn that the leader has called committed.
        keeps_log: whether what it hears goes to the log: in all of this attempt, whatever configurations it hears of.
        is_synced: whether NEWLEADER is acknowledged: from then on the link may not be silent for syncLimit.
        established: whether UPTODATE has come.
        ended: why it is over, empty while it is not.
    """

    def __init__(self, state: State, call: Call, now: float) -> None:
        self.state = state
        self.leader_id = call.leader_id
        self.is_observer = call.is_observer
        self.mastering: Mastering | None = None
        self.epoch = 0
        self.commit_to = state.history.committed_zxid
        self.is_synced = self.established = self.connected = False
        self.ended = ""
        self.link = 0
        self._call = call
        self.keeps_log = state.keeps_log or not call.is_observer
        self._packets = PacketReader(state.settings.packet_bytes_max, joins_runs=True)
        self._stream: TreeStream | None = None
        self._tree: Tree | None = None
        self._held: list[Entry] = []
        self._configs: list[Membership] = []
        self._unacknowledged: deque[tuple[int, Sequence[Entry]]] = deque()
        self._heard_at = now
        self._give_up_at = now + call.pause_seconds + state.settings.connect_seconds
        self._redial_at: float | None = None
        self._dials = 0
        if call.pause_seconds:
            self._redial_at = now + call.pause_seconds
        else:
            self._dial()
        self._conversation = Conversation(self._follow(), INBOX_MAX)

    # The link.

    def _dial(self) -> None:
        state = self.state
        self._redial_at = None
        self._dials += 1
        self.link = state.new_link()
        if self._call.addresses:
            timeout_ms = int(state.settings.connect_seconds * 1000)
            state.effects.append(Dial(self.link, self._call.port, self._call.addresses, timeout_ms))
        else:
            self.end(f"server {self.leader_id} is not in the configuration")

    def connect(self, now: float) -> None:
        """The leader has taken our call."""
        self.connected = True
        self._heard_at = now
        self.go_on()

    def ask_for_tree(self, now: float) -> Learning:
        """What it does not have is in the only snapshot that we have: another attempt, in which it sends the tree.

        Differs from Apache: there such a snapshot stays, with txns that nobody else has (ZOOKEEPER-1549).
        """
        self.end("our files hold nothing as old as what it wants us to keep: it must send the whole tree")
        self.state.note("needs_whole_tree", leader=self.leader_id, epoch=self.epoch)
        self.stop()
        return Learning(self.state, replace(self._call, pause_seconds=0.0, needs_tree=True), now)

    def left(self, reason: str, now: float) -> None:
        """The link is gone, or the leader did not take our call."""
        if self.connected or self._dials >= DIALS_MAX or now >= self._give_up_at:
            self.end(reason)
        else:
            self._redial_at = now + self.state.settings.redial_delay_ms / 1000

    def receive(self, data: bytes, now: float) -> None:
        """The leader has sent something."""
        self._heard_at = now
        try:
            self._take_bytes(data)
        except (PeerError, DecodeError) as error:
            self.end(str(error))

    def _take_bytes(self, data: bytes) -> None:
        if self._packets.is_raw:
            self._feed_stream(data)
            self._conversation.go_on()
        elif self._conversation.is_over:
            hear(self, self._packets.feed(data))
        else:
            self._conversation.take(self._packets.feed(data))
            self._hear_rest()

    def go_on(self) -> None:
        """Something has changed that the conversation may wait for."""
        try:
            self._conversation.go_on()
            self._hear_rest()
        except (PeerError, DecodeError) as error:
            self.end(str(error))

    def _hear_rest(self) -> None:
        """What came behind the end of the conversation."""
        inbox = self._conversation.inbox
        if self._conversation.is_over and inbox:
            packets = list(inbox)
            inbox.clear()
            hear(self, packets)

    # The conversation.

    def _follow(self) -> Script:
        state = self.state
        yield lambda: self.connected
        self._introduce()
        leader_info: Packet = yield NEXT
        yield from self._promise(leader_info)
        plan: Packet = yield NEXT
        yield from self._take_plan(plan)
        newleader = yield from self._hear_until(PacketType.NEWLEADER)
        yield from self._install()
        self._note_config(see_config(state, newleader.data))
        yield from self._acknowledge_newleader()
        yield from self._hear_until(PacketType.UPTODATE)
        yield from self._heal()
        self._establish()

    def _introduce(self) -> None:
        state = self.state
        info = LearnerInfo(state.server_id, config_version=state.membership.version)
        kind = PacketType.OBSERVERINFO if self.is_observer else PacketType.FOLLOWERINFO
        # In doubt too, as far as it is known: only a leader that hears of a newer promise can give way to it.
        state.send(self.link, packet(kind, state.accepted_epoch << 32, info.encode()))

    def _promise(self, leader_info: Packet) -> Part:
        """Discovery: promise the epoch, durably, and say what we have."""
        if leader_info.type != PacketType.LEADERINFO:
            raise PeerError(f"packet {leader_info.type} where LEADERINFO was due")
        state = self.state
        self.epoch = epoch_of(leader_info.zxid)
        if self.epoch < state.accepted_epoch and not self.is_observer:
            # The promise of an observer binds nobody.
            raise PeerError(f"its epoch {self.epoch} is older than {state.accepted_epoch}, which we have promised")
        if state.doubt and self.epoch != self._call.epoch:
            raise PeerError("it is not established yet, and we have lost data: we must not count")
        is_new = self.epoch > state.accepted_epoch
        if is_new:
            token = state.save_epoch(ACCEPTED, self.epoch)
            yield lambda: state.done_token >= token
        last_zxid, current_epoch = state.history.last_zxid, state.current_epoch if is_new else -1
        if state.doubt:
            last_zxid, current_epoch = -1, -1
        elif self._call.needs_tree and not is_new:
            # What we really have was told with our promise. Behind the beginning of a later epoch no leader sends less.
            last_zxid = self.epoch + 1 << 32
        state.send(self.link, packet(PacketType.ACKEPOCH, last_zxid, pack_epoch(current_epoch)))

    def _take_plan(self, plan: Packet) -> Part:
        """DIFF, TRUNC or SNAP."""
        state = self.state
        if plan.type not in (PacketType.DIFF, PacketType.TRUNC, PacketType.SNAP):
            raise PeerError(f"packet {plan.type} where DIFF, TRUNC or SNAP was due")
        how = PacketType(plan.type)
        state.note("synchronises", leader=self.leader_id, epoch=self.epoch, how=how.name, zxid=hex(plan.zxid))
        if how == PacketType.SNAP:
            yield from self._take_tree(plan.zxid)
        elif state.doubt or self._call.needs_tree:
            raise PeerError(f"it sent {how.name}, and we need the whole tree")
        elif how == PacketType.TRUNC:
            yield from self._truncate(plan.zxid)
        else:
            self.commit_to = state.history.last_zxid

    def _truncate(self, zxid: int) -> Part:
        """Cut what the leader does not have: the tail alone, or, if the tree has it, all of it is loaded anew."""
        state, history = self.state, self.state.history
        token = state.next_token()
        state.effects.append(Truncate(min(zxid, history.durable_zxid), token))
        if zxid >= history.committed_zxid:
            history.cut(zxid)
            yield lambda: state.done_token >= token
        else:
            yield lambda: state.done_token >= token
            if history.last_zxid > zxid:
                # Nothing was loaded anew: we led an epoch of which nothing was committed.
                history.cut(zxid)
        if history.last_zxid != zxid and not begins_epoch(zxid):
            state.doubt_own_data(f"we are to keep 0x{zxid:x}, but our log ends with 0x{history.last_zxid:x} then")
        if state.doubt:
            raise PeerError(state.doubt)
        self.commit_to = history.last_zxid

    def _take_tree(self, zxid: int) -> Part:
        """The whole tree; what follows up to NEWLEADER is kept with it."""
        stream = self._stream = TreeStream()
        self._feed_stream(self._packets.take_rest())
        yield lambda: not self._packets.is_raw
        self._stream = None
        stream.tree.last_zxid = self.commit_to = zxid
        self._tree = stream.tree

    def _install(self) -> Part:
        """Put the leader's tree in place of ours, and what came behind it in place of our log, in one durable step.

        Some of these txns we may have acknowledged to another leader, which has still to hear of it: if they were gone
        for a moment, what it commits then would not be durable on a quorum.
        Differs from Apache: it leaves its old log beside the tree.
        """
        tree, state, tail = self._tree, self.state, self._held
        if tree is None:
            return
        token = state.install(tree, tail if self.keeps_log else ())
        if tail and not self.is_observer:
            self._unacknowledged.append((token, tail))
        yield lambda: state.done_token >= token
        self._tree, self._held = None, []
        if not self.keeps_log:
            state.history.hold(tail)

    def _feed_stream(self, data: bytes) -> None:
        """Bytes of the tree; what comes behind it are packets again. Raises DecodeError."""
        if self._stream is None:
            raise PeerError("a tree, before it was asked what we have")
        if self._stream.feed(data):
            self._conversation.inbox.extend(self._packets.resume(self._stream.rest))

    def _hear_until(self, last: PacketType) -> Generator[Wait, Packet, Packet]:
        """Txns, up to a packet of that type, which is returned; those of one wake-up are logged together."""
        batch = Batch(self)
        while True:
            received: Packet = yield NEXT
            if received.type == last:
                batch.finish()
                return received
            batch.hear(received)
            if not self._conversation.inbox:
                batch.finish()

    def _acknowledge_newleader(self) -> Part:
        """The log is durable, then the epoch, then the leader is told (ZOOKEEPER-3911, 4643, 4646, 4785)."""
        state = self.state
        yield lambda: state.is_settled
        if not state.history.is_durable and state.keeps_log:
            raise PeerError("we are to vote in a configuration that was proposed: all of it must be in our log first")
        if state.history.is_durable:
            # A log without what this epoch began with must not be taken for one of this epoch.
            token = state.save_epoch(CURRENT, self.epoch)
            yield lambda: state.done_token >= token
        state.send(self.link, packet(PacketType.ACK, self.epoch << 32))
        self.is_synced = True
        self.acknowledge()

    def _heal(self) -> Part:
        """An established leader has given back what we had lost."""
        state = self.state
        if state.doubt:
            token = state.next_token()
            state.effects.append(Heal(token))
            yield lambda: state.done_token >= token
            state.note("data_given_back", lost=state.doubt)
            state.doubt = ""
            self.acknowledge()

    def _establish(self) -> None:
        state = self.state
        if self._activate(self.leader_id):
            self.end("the leader's configuration has another role for us")
            return
        forget_config(state, self.epoch)
        self.established = True
        if state.settings.observer_master_port and not self.is_observer:
            self.mastering = Mastering(self, self._heard_at)
        self.deliver()
        state.send(self.link, packet(PacketType.ACK, self.epoch << 32))
        zxid = state.history.committed_zxid
        state.effects.append(Opened(is_leader=False, is_observer=self.is_observer, link=self.link, zxid=zxid))

    # Txns.

    @property
    def last_zxid(self) -> int:
        """The end of the log once everything that has come is in it."""
        if self._held:
            return self._held[-1][0]
        return self.state.history.last_zxid if self._tree is None else self._tree.last_zxid

    def log(self, entries: Sequence[Entry]) -> None:
        """Log txns; their acks follow when they are durable."""
        if self._tree is not None:
            self._held.extend(entries)
            return
        if not self.keeps_log:
            self.state.history.hold(entries)
            return
        token = self.state.append(entries)
        if not self.is_observer:
            self._unacknowledged.append((token, entries))

    def acknowledge(self) -> None:
        """Tell the leader what is durable, one by one as Apache's leader counts them.

        What it has called committed before we were in sync needs no ack.
        """
        state, waiting = self.state, self._unacknowledged
        if not self.is_synced or state.doubt:
            return
        durable: list[int] = []
        while waiting and waiting[0][0] <= state.done_token:
            _, entries = waiting.popleft()
            durable += [zxid for zxid, _ in entries if self.established or zxid > self.commit_to]
        if durable:
            state.send(self.link, packets_of_zxids(PacketType.ACK, durable))

    def deliver(self, designated: int | None = None) -> None:
        """Move the tree as far as the leader has committed, and tell our observers.

        With `designated`, the last of these txns brings a configuration in which that server leads.
        """
        committed = self.state.history.commit(self.commit_to)
        if not committed:
            return
        self.state.deliver(committed)
        if self.mastering is not None:
            self.mastering.inform(committed if designated is None else committed[:-1])
            if designated is not None:
                self.mastering.inform_and_activate(committed[-1], designated)

    def done(self) -> None:
        """Something is durable."""
        self.acknowledge()
        self.go_on()

    def see_proposal(self, payload: bytes | None) -> None:
        """A proposed configuration is known before it is committed."""
        self._note_config(see_reconfig(self.state, payload))

    def _note_config(self, config: Membership | None) -> None:
        if config is not None:
            self._configs.append(config)

    def activate(self, designated: int) -> None:
        """A configuration is committed: follow on in it, or take the role that it has for us."""
        if self.established:
            self.deliver(designated)
        if self._activate(designated):
            self.end("the configuration has changed")

    def _activate(self, designated: int) -> bool:
        """Put the newest configuration in force that this leader has told of; True if our role or leader changes.

        What is only proposed in this epoch waits for its COMMIT. What we have seen elsewhere may be in no log any more.
        """
        committed_to = max(self.commit_to, self.epoch << 32)
        in_force = [config for config in self._configs if config.version <= committed_to]
        self._configs = [config for config in self._configs if config.version > committed_to]
        newest = max(in_force, key=lambda config: config.version, default=self.state.membership)
        return activate_config(self.state, newest, designated, self.leader_id)

    # Time.

    def deadline(self) -> float:
        """When something must be done."""
        if not self.connected:
            return self._give_up_at if self._redial_at is None else min(self._redial_at, self._give_up_at)
        silent_at = self._heard_at + self._silence_seconds_max
        return silent_at if self.mastering is None else min(silent_at, self.mastering.deadline())

    @property
    def _silence_seconds_max(self) -> float:
        settings = self.state.settings
        return settings.sync_seconds if self.is_synced else settings.init_seconds

    def wake(self, now: float) -> None:
        """Time has passed."""
        if self.mastering is not None:
            self.mastering.wake(now)
        if self.connected:
            if now - self._heard_at >= self._silence_seconds_max:
                self.end(f"nothing heard from the leader for {now - self._heard_at:.1f} s")
        elif now >= self._give_up_at:
            self.end("the leader could not be reached in time")
        elif self._redial_at is not None and now >= self._redial_at:
            self._dial()

    def end(self, reason: str) -> None:
        """It is over."""
        self.ended = self.ended or reason

    def stop(self) -> None:
        """Close the link, and those of our observers."""
        self.state.close(self.link, self.ended)
        if self.mastering is not None:
            self.mastering.drop_all(self.ended)
