"""Looks that are taken by the clock: how late the loop is, what waits for learners and in sessions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from pyzk.server.clock import monotonic_seconds, thread_cpu_seconds
from pyzk.server.metrics.stages import Stages, milliseconds
from pyzk.server.roles import is_member, leading
from pyzk.service.counters import Distribution

if TYPE_CHECKING:
    from pyzk.server.config import Config
    from pyzk.server.driver import Driver
    from pyzk.server.memberdriver import MemberDriver

log = structlog.get_logger()

LEARNERS_MAX = 1000
"""Observers may come under any id; so many ids are told apart."""
PROBE_SECONDS = 0.5
"""As often as Apache's pause monitor looks (jvm.pause.sleep.time.ms)."""

TURN_SECONDS = 0.025
"""A pause that is longer than this by some ms is never missed."""


async def watch_turns(stages: Stages, config: Config) -> None:
    """Forty times a second: how late the loop is, and how much of that it has worked."""
    while True:
        due, cpu_before = monotonic_seconds() + TURN_SECONDS, thread_cpu_seconds()
        await asyncio.sleep(TURN_SECONDS)
        late_ms, worked_ms = note_turn(stages, monotonic_seconds() - due, thread_cpu_seconds() - cpu_before)
        if config.pause_monitor and late_ms > config.pause_info_threshold_ms:
            tell = log.warning if late_ms > config.pause_warn_threshold_ms else log.info
            tell("event_loop_paused", late_ms=late_ms, worked_ms=worked_ms)


def note_turn(stages: Stages, late_seconds: float, worked_seconds: float) -> tuple[int, int]:
    """A timer came late: by what the loop has worked at most; the rest others have had of the machine. Both in ms."""
    late_ms = milliseconds(0.0, late_seconds)
    worked_ms = milliseconds(0.0, min(late_seconds, worked_seconds))
    stages.event_loop_lag_ms.add(late_ms)
    stages.event_loop_busy_ms.add(worked_ms)
    return late_ms, worked_ms


async def watch_loop(driver: Driver, queued_at_learners: dict[int, Distribution]) -> None:
    """Twice a second: by how much this comes late is by how much everything else does."""
    while True:
        due = monotonic_seconds() + PROBE_SECONDS
        await asyncio.sleep(PROBE_SECONDS)
        driver.stages.jvm_pause_time_ms.add(milliseconds(due, monotonic_seconds()))
        look_at_queues(driver)
        if is_member(driver):
            look_at_learners(driver, queued_at_learners)


def look_at_queues(driver: Driver) -> None:
    """How many sessions wait for writes, and how much waits in each."""
    service = driver.service
    if not service.outstanding:
        return
    lengths = [len(state.queue) for state in service.connections.values() if state.queue]
    driver.stages.pending_session_queue_size.add(len(lengths))
    for length in lengths:
        driver.stages.requests_in_session_queue.add(length)


def look_at_learners(driver: MemberDriver, queued: dict[int, Distribution]) -> None:
    """How many txns each follower has been sent and has not acknowledged."""
    role = leading(driver)
    if role is None:
        return
    broadcast = role.proposals.broadcast
    outstanding = [zxid for zxid, _ in broadcast.outstanding]
    for learner in role.learners.values():
        acknowledged = broadcast.acknowledged.get(learner.server_id, 0)
        count = 0 if learner.is_observer else sum(zxid > acknowledged for zxid in outstanding)
        if learner.server_id in queued or len(queued) < LEARNERS_MAX:
            queued.setdefault(learner.server_id, Distribution()).add(count)
