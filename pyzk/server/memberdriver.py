"""Drives a member of an ensemble: gives it what sockets, disk, clock and clients bring, and performs what it answers.

All that one turn of the loop asks for is done at its end, in this order: packets to other servers, one write a link;
then the disk, whose wait may stop the loop; then the clients. A follower's acknowledgement leaves as soon as the log is
durable, without waiting for the end of a turn.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from math import ceil, inf
from typing import Any, ClassVar, Protocol

import structlog

from pyzk.errors import StorageError
from pyzk.server.clock import monotonic_seconds, wall_ms
from pyzk.server.driver import Driver
from pyzk.server.links import Links
from pyzk.server.memberdisk import MemberDisk
from pyzk.server.metrics.stages import Elections
from pyzk.service.member import Member
from pyzk.tree.tree import Tree
from pyzk.zab.effects import (
    Append,
    Close,
    Closed,
    ConfigChanged,
    Dial,
    Doubt,
    Effect,
    Heal,
    Install,
    Note,
    Opened,
    ReadLog,
    SaveConfig,
    SaveEpoch,
    Send,
    SendTree,
    Truncate,
)
from pyzk.zab.events import Event, Replace, Unwritten, Wake

log = structlog.get_logger()
agreement_log = structlog.get_logger("zab")

HANDOVER_SECONDS_MAX = 1.0
"""How long a client may wait for a server that has a leader named by a reconfig, and no role yet."""


class OnOpened(Protocol):
    """Called when a server has a role."""

    def __call__(self, *, has_new_tree: bool) -> None: ...


class ProposalSizes:
    """Bytes of the txns that this server has proposed; -1 before the first."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.last = self.least = self.most = -1

    def add(self, sizes: list[int]) -> None:
        """Some more, in order."""
        self.last = sizes[-1]
        self.least = min(sizes) if self.least < 0 else min(self.least, *sizes)
        self.most = max(self.most, *sizes)


class MemberDriver(Driver):
    """One member on an event loop. `links`, `disk` and `log` are set before `start`.

    Attributes:
        on_config: called when another configuration is in force.
        on_save_config: called with a configuration that is to be written.
        on_opened: called when the server has a role, with whether it got another tree for it.
        established: set while it leads or follows.
        proposal_sizes: of this term.
        elections: how long they took, and what came of them.
        led_since: when the server began to lead, monotonic seconds; None while it does not.
    """

    def __init__(self, member: Member, *, leader_serves: bool = True) -> None:
        super().__init__(member.service)
        self._leader_serves = leader_serves
        self._has_new_tree = False
        self._waiters: list[asyncio.Future[None]] = []
        self.member = member
        self.links: Links
        self.disk: MemberDisk
        self.on_config: Callable[[ConfigChanged], None]
        self.on_save_config: Callable[[SaveConfig], None]
        self.on_opened: OnOpened
        self.established = asyncio.Event()
        self.proposal_sizes = ProposalSizes()
        self.led_since: float | None = None
        self.elections = Elections(monotonic_seconds())
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._will_flush = False
        self._guard = _Guard(self)
        self._handover_timer: asyncio.TimerHandle | None = None

    @property
    def is_serving(self) -> bool:
        """Whether it has a role in which clients are served."""
        return self.service.is_serving and (self._leader_serves or self.member.desk is None)

    @property
    def mode(self) -> str:
        """What the server is, as words show it."""
        if self.member.desk is not None:
            return "leader"
        if self.member.forwarding is not None:
            return "observer" if self.member.peer.is_observer else "follower"
        return "read-only" if self.service.is_serving else "looking"

    @property
    def decides(self) -> bool:
        """Only the leader does."""
        return self.member.desk is not None

    @property
    def is_established(self) -> bool:
        """Whether it leads or follows, so that its tree is what the ensemble has agreed on."""
        return self.member.desk is not None or self.member.forwarding is not None

    async def has_logged(self, zxid: int) -> bool:
        """Wait until our own log has everything up to there, durably; False when the role ends first."""
        if not self.member.state.keeps_log:
            return self.is_established
        while self.is_established and self.member.state.history.durable_zxid < zxid:
            await self._change()
        return self.is_established

    async def replace_tree(self, tree: Tree) -> bool:
        """While we lead, have all take this tree; whether we lead again with it: then a quorum has it durably."""
        state = self.member.state
        epoch = state.current_epoch
        self.receive(Replace(tree))
        while not self.is_established or state.current_epoch <= epoch:
            await self._change()
        return self.decides and self.service.tree is tree

    async def _change(self) -> None:
        """Wait until something is durable, or a role begins or ends."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _tell_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # What happens.

    def start(self) -> None:
        """Begin to look for a leader."""
        self._step(self.member.start, monotonic_seconds())
        self.wake()

    def receive(self, event: Event) -> None:
        """Something has happened on a link."""
        self._hand_over(event)
        self.wake()

    def _hand_over(self, event: Event) -> None:
        """The member takes an event; if it has brought commits, the time belongs to them."""
        counters, began_at = self.service.counters, monotonic_seconds()
        before = counters.delivered
        self._step(partial(self.member.receive, event), began_at)
        if counters.delivered > before:
            self.stages.delivered(counters.delivered - before, began_at, monotonic_seconds())

    def _step(self, step: Callable[[float, int], list[Effect]], now: float) -> None:
        """Have the member go a step, and perform what it answers."""
        with self._guard:
            for effect in step(now, wall_ms()):
                self._PERFORMERS[type(effect)](self, effect)

    def receive_from_disk(self, event: Event) -> None:
        """Something is durable, or was read: others wait for that."""
        if isinstance(event, Unwritten):
            self.service.writes_refused = True
            self.unwritten_bytes = self.log.batch_bytes_max
        self._will_flush = True
        self._hand_over(event)
        if self._waiters:
            self._tell_waiters()
        self._settle()

    def logged(self, tokens: list[int]) -> None:
        """The log has written batches."""
        self.disk.logged(tokens)

    def log_failed(self, error: StorageError, tokens: list[int]) -> None:
        """The log could not write a batch."""
        self.disk.log_failed(error, tokens)

    def tick(self) -> None:
        """A tick has passed."""
        self._step(self.member.tick, monotonic_seconds())
        self.wake()

    def wake_to_send(self) -> None:
        """Something waits on a link: settle at the end of this turn, unless that is under way."""
        if not self._will_flush:
            self.wake()

    def _settle(self) -> None:
        self._woken, self._will_flush = False, True
        outbox = self.service.outbox
        waiting = len(outbox.submitted)
        if waiting or outbox.packets:
            self._take_requests()
        is_looking = self.member.peer.is_looking
        if is_looking != self.elections.is_looking:
            self.elections.see(is_looking, monotonic_seconds())
        self.links.flush()
        self._will_flush = False
        self.disk.start()
        self.flush()
        self._set_timer()
        # A turn takes so many; nobody else might come back for the rest.
        if 0 < len(outbox.submitted) < waiting:
            self.wake()
        self.log.start()

    def _take_requests(self) -> None:
        """Propose what clients have asked for, or forward it."""
        submitted = list(self.service.outbox.submitted) if self.member.desk is not None else []
        began_at = monotonic_seconds()
        self._step(self.member.settle, began_at)
        self.stages.prepared(submitted, began_at, monotonic_seconds())

    # Time.

    def _set_timer(self) -> None:
        """A wake-up that comes too early does no harm: with each packet the deadline moves, but not the timer."""
        deadline = self.member.deadline()
        if deadline is None or deadline >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        # In whole milliseconds, as uvloop counts them.
        wait_ms = max(0, ceil((deadline - monotonic_seconds()) * 1000))
        self._timer = self._loop.call_later(wait_ms / 1000, self._due)

    def _due(self) -> None:
        """Two more turns of the loop: what can be read by now is read before anybody is called silent."""
        self._timer = None
        self._loop.call_soon(self._loop.call_soon, self._wake_member)

    def _wake_member(self) -> None:
        self._timer_at = inf
        self.receive(Wake())

    # Effects.

    def _send(self, effect: Send) -> None:
        self.links.send(effect)

    def _send_tree(self, effect: SendTree) -> None:
        self.elections.trees_sent += 1
        self.links.send_tree(effect)

    def _dial(self, effect: Dial) -> None:
        self.links.dial(effect)

    def _close_link(self, effect: Close) -> None:
        self.links.close(effect)

    def _to_disk(self, effect: SaveEpoch | Truncate | ReadLog | Heal | Doubt) -> None:
        self.disk.submit(effect)

    def _install(self, effect: Install) -> None:
        self._has_new_tree = True
        self.disk.submit(effect)

    def _append(self, effect: Append) -> None:
        sizes = [len(payload) for _, payload in effect.entries]
        if self.member.desk is not None:
            self.proposal_sizes.add(sizes)
        else:
            self.stages.heard_proposals(effect.entries, wall_ms())
        self.disk.submit(effect)
        self.on_logging(len(sizes), sum(sizes))

    def _save_config(self, effect: SaveConfig) -> None:
        self.on_save_config(effect)

    def _config_changed(self, effect: ConfigChanged) -> None:
        self.on_config(effect)

    def _note(self, effect: Note) -> None:
        (agreement_log.warning if effect.is_warning else agreement_log.info)(effect.event, **effect.fields)

    def _opened(self, effect: Opened) -> None:
        self.proposal_sizes.reset()
        now = monotonic_seconds()
        self.led_since = now if effect.is_leader else None
        self.elections.opened(now, self.mode)
        log.info("serves", role=self.mode, zxid=hex(effect.zxid))
        self.established.set()
        self.on_opened(has_new_tree=self._has_new_tree)
        self._has_new_tree = False
        self._tell_waiters()
        self._end_handover()

    def _closed(self, effect: Closed) -> None:
        log.warning("serves_no_more", reason=effect.reason)
        self.elections.closed(monotonic_seconds(), was_leader=self.led_since is not None, reason=effect.reason)
        self.led_since = None
        self.established.clear()
        self._tell_waiters()
        if effect.is_handover:
            self._begin_handover()
        else:
            self._end_handover()

    def _begin_handover(self) -> None:
        """Have those who connect wait, but not for long.

        All servers change over at the same moment. A client that each of them turned away would give up what it
        has to send (go-zookeeper) or pause for up to a second (Java).
        """
        # Differs from Apache: it turns them away.
        self.handing_over = True
        if self._handover_timer is not None:
            self._handover_timer.cancel()
        self._handover_timer = self._loop.call_later(HANDOVER_SECONDS_MAX, self._end_handover)

    _PERFORMERS: ClassVar[dict[type, Callable[["MemberDriver", Any], None]]] = {
        Append: _append,
        Close: _close_link,
        Closed: _closed,
        ConfigChanged: _config_changed,
        Dial: _dial,
        Doubt: _to_disk,
        Heal: _to_disk,
        Install: _install,
        Note: _note,
        Opened: _opened,
        ReadLog: _to_disk,
        SaveConfig: _save_config,
        SaveEpoch: _to_disk,
        Send: _send,
        SendTree: _send_tree,
        Truncate: _to_disk,
    }

    def reset_statistics(self) -> None:
        """Count anew."""
        super().reset_statistics()
        self.proposal_sizes.reset()

    # The end.

    async def stop(self) -> None:
        """Leave the ensemble: others notice at once that the links are gone."""
        if self._timer is not None:
            self._timer.cancel()
        await self.links.stop()

    async def close(self) -> None:
        """Let what was handed to the log become durable, then let go of it."""
        await self.disk.close()


class _Guard:
    """Whatever goes wrong within a member leaves it half way between two states: that is the end of the process."""

    __slots__ = ("_driver",)

    def __init__(self, driver: MemberDriver) -> None:
        self._driver = driver

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            self._driver.on_fatal(error)
