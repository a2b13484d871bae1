"""Somebody who looks at what servers tell of themselves, and now and then lets them count anew."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from pyzk.sim.sequence import require

if TYPE_CHECKING:
    from pyzk.service.counters import Counters
    from pyzk.service.service import Service
    from pyzk.sim.world import World

PAUSE_SECONDS = 3.0
RESET_CHANCE = 0.2
INVARIANT = "what a server tells of itself fits together"


class Operator:
    """Looks at one server of a world after the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_over = False
        self._rng = Random(f"{world.seed} operator")
        self._next()

    def _next(self) -> None:
        self.world.after(self._rng.expovariate(1 / PAUSE_SECONDS), self._look)

    def _look(self) -> None:
        if self.is_over:
            return
        host = self._rng.choice(list(self.world.member_hosts.values()))
        if host.member is not None and host.is_up and not host.is_frozen:
            service = host.member.service
            _compare_watches(service)
            _compare_counters(service.counters)
            _compare_sessions(service)
            if self._rng.random() < RESET_CHANCE:
                service.counters.reset()
                for state in service.connections.values():
                    state.forget_traffic()
        self._next()


def _compare_watches(service: Service) -> None:
    """As the words wchs, wchc and wchp."""
    watches = service.watches
    by_connection = {connection: set(paths) for connection, paths in watches.by_connection()}
    by_path = {path: set(connections) for path, connections in watches.by_path()}
    total = sum(map(len, by_connection.values()))
    is_whole = total == watches.data_total == sum(map(len, by_path.values()))
    is_counted = (len(by_connection), len(by_path)) == (watches.data_connections, watches.data_paths)
    turned = all(connection in by_path[path] for connection, paths in by_connection.items() for path in paths)
    require(is_whole and is_counted and turned, INVARIANT, f"watches {by_connection} and {by_path}")
    require(set(by_connection) <= set(service.connections), INVARIANT, "watches of connections that are gone")
    require(watches.total >= watches.data_total, INVARIANT, f"{watches.total} watches")


def _compare_counters(counters: Counters) -> None:
    """As the word mntr."""
    reads, writes, both = counters.reads, counters.writes, counters.latency
    require(both.count == reads.count + writes.count, INVARIANT, f"{both}, {reads}, {writes}")
    for numbers in (reads, writes, counters.propagation, counters.watches_changed):
        shares = [numbers.percentile(share) for share in (0.5, 0.95, 0.99, 1.0)]
        require(shares == sorted(shares) and shares[-1] <= numbers.most, INVARIANT, f"{shares} of {numbers}")


def _compare_sessions(service: Service) -> None:
    """As the words dump and cons."""
    tracker = service.tracker
    listed = [session_id for _, sessions in tracker.buckets() for session_id in sessions]
    require(len(listed) == len(set(listed)) <= len(tracker), INVARIANT, f"{listed} of {len(tracker)} sessions")
    require(all(session_id in tracker for session_id in listed), INVARIANT, "sessions to expire that are not known")
    local = service.local_sessions
    if local is not None:
        require(all(map(local.is_local, local.timeouts_ms())), INVARIANT, "local sessions")
    for state in service.connections.values():
        require(state.waiting <= len(state.queue), INVARIANT, f"{state.waiting} of {len(state.queue)} wait")
