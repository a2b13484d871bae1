"""The leader's txns on their way: proposed to the followers and its own log, committed when a quorum has them.

A txn that changes the configuration needs a quorum of the old configuration and of the new one; the new one is in force
when it is committed, and what is behind it is proposed then. Source: docs/protocol/zab.md sections 6.1 and 12.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING

from pyzk.codec.quorum import (
    COUNTER_MASK,
    PacketType,
    pack_designated,
    pack_inform_and_activate,
    packet,
    packets_of_txns,
    packets_of_zxids,
)
from pyzk.errors import BadArgumentsError, BadVersionError, NewConfigNoQuorumError, ReconfigInProgressError
from pyzk.zab.broadcast import Broadcast
from pyzk.zab.configuring import activate_config, is_reconfig, see_reconfig
from pyzk.zab.history import epoch_of
from pyzk.zab.reconfig import propose_membership

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyzk.codec.requests import ReconfigRequest
    from pyzk.zab.events import Entry
    from pyzk.zab.leading import Leading
    from pyzk.zab.membership import Membership


class Proposals:
    """Txns of one term.

    Attributes:
        last_zxid: the last one proposed.
        is_closed: nothing more is proposed; what is under way may still be committed.
    """

    def __init__(self, leading: Leading) -> None:
        self.leading = leading
        self.state = leading.state
        self.broadcast = Broadcast(*leading.state.quorums())
        self.last_zxid = 0
        self.is_closed = False
        self._held: list[Entry] = []

    @property
    def given_zxid(self) -> int:
        """The last one that service has given us, proposed or held back."""
        return self._held[-1][0] if self._held else self.last_zxid

    @property
    def _is_changing(self) -> bool:
        """Whether a configuration is proposed and not in force yet."""
        return self.state.last_seen.version > self.state.membership.version

    def propose(self, entries: Sequence[Entry], now: float) -> None:
        """Service has prepared these txns, in order."""
        if self.is_closed:
            return
        if self._is_changing:
            # Differs from Apache: it proposes them at once. A voter of the new configuration alone could then have more
            # in its log than all who may lead: without a vote of its own it cannot lead, and it follows nobody who has
            # less, though the new configuration may have no quorum without it.
            self._held += entries
            return
        if entries[-1][0] & COUNTER_MASK == COUNTER_MASK or epoch_of(entries[-1][0]) != self.leading.epoch:
            # The first zxid behind them would be of the next epoch, which is not ours (ZOOKEEPER-1277).
            self.leading.end("the zxids of this epoch are used up")
            return
        for number, (_, payload) in enumerate(entries):
            if is_reconfig(payload):
                self._propose(entries[:number], now)
                see_reconfig(self.state, payload)
                self.leading.share_quorums()
                self._propose(entries[number : number + 1], now)
                if entries[number + 1 :]:
                    self.propose(entries[number + 1 :], now)
                return
        self._propose(entries, now)

    def _propose(self, entries: Sequence[Entry], now: float) -> None:
        """To all followers, and to our own log."""
        if not entries:
            return
        if len(entries) > 1 and self.state.points.fires("proposals in two"):
            half = len(entries) // 2
            self._propose(entries[:half], now)
            self._propose(entries[half:], now)
            return
        self.last_zxid = entries[-1][0]
        self.broadcast.propose(entries)
        out = packets_of_txns(PacketType.PROPOSAL, entries)
        for learner in self.leading.learners.values():
            if learner.forwards and not learner.is_observer:
                self.state.send(learner.link, out)
                if learner.is_synced and learner.overdue is None:
                    learner.overdue = (self.last_zxid, now)
        self.state.append(entries)

    def acknowledge(self, server_id: int, zxid: int, now: float) -> None:
        """A server has everything up to `zxid` durably."""
        if zxid > self.state.history.committed_zxid:
            self._commit(self.broadcast.acknowledge(server_id, zxid), now)

    def retry(self, now: float) -> None:
        """Commit what may be committed without a further acknowledgement."""
        self._commit(self.broadcast.advance(), now)

    def _commit(self, entries: list[Entry], now: float) -> None:
        """A quorum has these.

        A sync is answered before the COMMIT of any txn that was proposed behind it: Apache's learners expect answers in
        the order of their requests, and one that stands still for ever would be the end of all that is behind it.
        """
        syncs = self.leading.syncs
        while entries and not self.leading.ended:
            count = bisect_right(entries, syncs.first_after_zxid, key=itemgetter(0))
            if count:
                self._put_in_force(entries[:count])
                entries = entries[count:]
            else:
                self.leading.answer_sync(syncs.pass_first())
        self.leading.answer_syncs()
        if self._held and not (self._is_changing or self.leading.ended):
            held, self._held = self._held, []
            self.propose(held, now)

    def _put_in_force(self, entries: list[Entry]) -> None:
        """A configuration among these is in force from there on."""
        for number, (_, payload) in enumerate(entries):
            if self.state.last_seen is not self.state.membership and is_reconfig(payload):
                self._tell(entries[:number])
                self._activate(entries[number])
                if not self.leading.ended:
                    self._put_in_force(entries[number + 1 :])
                return
        self._tell(entries)

    def _tell(self, entries: list[Entry]) -> None:
        """All who follow, and our own tree."""
        if not entries:
            return
        commits = packets_of_zxids(PacketType.COMMIT, [zxid for zxid, _ in entries])
        informs = b""
        for learner in self.leading.learners.values():
            if learner.forwards and learner.is_observer:
                informs = informs or packets_of_txns(PacketType.INFORM, entries)
                self.state.send(learner.link, informs)
            elif learner.forwards:
                self.state.send(learner.link, commits)
        self._deliver(entries)

    def _deliver(self, entries: list[Entry]) -> None:
        self.state.history.commit(entries[-1][0])
        self.state.deliver(entries)

    # Reconfiguration.

    def _activate(self, entry: Entry) -> None:
        """A new configuration is committed; whoever it names leads from here on."""
        state, (zxid, payload) = self.state, entry
        designated = self._designate(zxid)
        commit = packet(PacketType.COMMITANDACTIVATE, zxid, pack_designated(designated))
        inform = packet(PacketType.INFORMANDACTIVATE, zxid, pack_inform_and_activate(designated, payload))
        for learner in self.leading.learners.values():
            if learner.forwards:
                state.send(learner.link, inform if learner.is_observer else commit)
        self._deliver([entry])
        if activate_config(state, state.last_seen, designated, state.server_id):
            self.leading.end(f"the new configuration has server {designated} lead")
        self.leading.share_quorums()

    def _designate(self, zxid: int) -> int:
        """Ourselves if we still vote at the same address, else the new voter whose log is the longest."""
        state, own = self.state, self.state.server_id
        before, after = state.membership, state.last_seen
        if own in after.voter_ids and after.quorum_addresses(own) == before.quorum_addresses(own):
            return own
        having = [
            (acknowledged, server_id)
            for server_id, acknowledged in self.broadcast.acknowledged.items()
            if server_id in after.voter_ids and server_id != own and acknowledged >= zxid
        ]
        return max(having, default=(0, own))[1]

    def reconfigure(self, request: ReconfigRequest) -> Membership:
        """The membership that a request asks for, with the old version. Raises RequestError.

        The checks stand in the order of zab.md section 12.3.
        """
        state, settings = self.state, self.leading.settings
        if self._is_changing:
            raise ReconfigInProgressError
        if request.config_id not in {-1, state.last_seen.version}:
            raise BadVersionError
        proposed = propose_membership(
            state.last_seen,
            _text(request.joining_servers),
            _text(request.leaving_servers),
            _text(request.new_members),
            standalone_enabled=settings.standalone_enabled,
            multi_address_enabled=settings.multi_address_enabled,
        )
        present = [learner.server_id for learner in self.leading.learners.values() if learner.is_synced]
        if not proposed.quorum().contains_quorum([state.server_id, *present]):
            raise NewConfigNoQuorumError
        return proposed


def _text(field: bytes | None) -> str | None:
    """Raises BadArgumentsError."""
    try:
        return None if field is None else field.decode()
    except UnicodeDecodeError as error:
        raise BadArgumentsError("a list of servers that is not UTF-8") from error
