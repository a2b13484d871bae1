"""Where time goes between a client's request and its reply, measured a batch at a time.

The fields have the names under which they are told; each turn of the loop costs a few additions, whatever the number of
requests in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyzk.codec.txns import time_ms_of
from pyzk.service.counters import Distribution
from pyzk.tree.request import Request

if TYPE_CHECKING:
    from pyzk.zab.events import Entry


def milliseconds(began_at: float, ended_at: float) -> int:
    """Whole ms between two moments, never less than none."""
    return max(0, int((ended_at - began_at) * 1000))


@dataclass(slots=True)
class Stages:
    """Of one server, all in ms but sizes.

    Attributes:
        jvm_pause_time_ms: how much later than asked for the loop came back to a timer, twice a second.
        event_loop_lag_ms: the same, often enough to miss no pause.
        event_loop_busy_ms: what the loop has worked of that; the rest the machine was busy with something else.
        gc_pause_time_ms: collections of garbage.
        learner_proposal_received_count: txns that a leader has sent.
    """

    prep_process_time: Distribution = field(default_factory=Distribution)
    prep_processor_queue_size: Distribution = field(default_factory=Distribution)
    prep_processor_queue_time_ms: Distribution = field(default_factory=Distribution)
    proposal_process_time: Distribution = field(default_factory=Distribution)
    proposal_latency: Distribution = field(default_factory=Distribution)
    commit_process_time: Distribution = field(default_factory=Distribution)
    commits_queued: Distribution = field(default_factory=Distribution)
    write_batch_time_in_commit_processor: Distribution = field(default_factory=Distribution)
    write_final_proc_time_ms: Distribution = field(default_factory=Distribution)
    pending_session_queue_size: Distribution = field(default_factory=Distribution)
    requests_in_session_queue: Distribution = field(default_factory=Distribution)
    jvm_pause_time_ms: Distribution = field(default_factory=Distribution)
    event_loop_lag_ms: Distribution = field(default_factory=Distribution)
    event_loop_busy_ms: Distribution = field(default_factory=Distribution)
    gc_pause_time_ms: Distribution = field(default_factory=Distribution)
    learner_proposal_received_count: int = 0

    def __post_init__(self) -> None:
        """What Apache measures at two places is one here, under both names."""
        self.proposal_process_time = self.prep_process_time
        self.write_batch_time_in_commit_processor = self.commit_process_time

    def prepared(self, requests: Sequence[Request], began_at: float, ended_at: float) -> None:
        """Requests of one turn, oldest first, have become proposals."""
        count = len(requests)
        if not count:
            return
        took_ms = milliseconds(began_at, ended_at)
        self.prep_processor_queue_size.add(count)
        self.prep_process_time.add(took_ms, count)
        received_at = requests[0].received_at
        if received_at:
            self.prep_processor_queue_time_ms.add(milliseconds(received_at, began_at), count)

    def heard_proposals(self, entries: "Sequence[Entry]", wall_ms: int) -> None:
        """A leader has sent txns."""
        self.learner_proposal_received_count += len(entries)
        self.proposal_latency.add(max(0, wall_ms - time_ms_of(entries[-1][1])), len(entries))

    def delivered(self, count: int, began_at: float, ended_at: float) -> None:
        """Txns were committed, and are applied and answered."""
        if not count:
            return
        took_ms = milliseconds(began_at, ended_at)
        self.commit_process_time.add(took_ms)
        self.commits_queued.add(count)
        self.write_final_proc_time_ms.add(took_ms, count)

    def reset(self) -> None:
        """Count anew (word `srst`)."""
        for name in STAGE_NAMES:
            getattr(self, name).reset()


STAGE_NAMES = tuple(name for name in Stages.__dataclass_fields__ if name != "learner_proposal_received_count")
"""The distributions among the fields."""


class Elections:
    """How long this server was without a role, and why.

    Attributes:
        is_looking: whether it did when it was last seen.
        looking_count: how often it began to look for a leader.
        trees_sent: learners that got the whole tree.
        disloyal_voters: terms of ours that ended because no quorum followed any more.
    """

    def __init__(self, now: float) -> None:
        self.election_time = Distribution()
        self.unavailable_time = Distribution()
        self.leader_unavailable_time = Distribution()
        self.follower_sync_time = Distribution()
        self.observer_sync_time = Distribution()
        self.looking_count = 0
        self.trees_sent = 0
        self.disloyal_voters = 0
        self.is_looking = False
        self._changed_at = now
        self._roleless_since: float | None = now

    def see(self, is_looking: bool, now: float) -> None:  # noqa: FBT001 - a state, not an option
        """Whether the server looks for a leader at the moment."""
        if is_looking == self.is_looking:
            return
        if is_looking:
            self.looking_count += 1
        else:
            self.election_time.add(milliseconds(self._changed_at, now))
        self.is_looking, self._changed_at = is_looking, now

    def opened(self, now: float, mode: str) -> None:
        """It has a role."""
        self.see(False, now)  # noqa: FBT003
        if self._roleless_since is not None:
            self.unavailable_time.add(milliseconds(self._roleless_since, now))
            if mode == "leader":
                self.leader_unavailable_time.add(milliseconds(self._roleless_since, now))
        self._roleless_since = None
        if mode in {"follower", "observer"}:
            (self.follower_sync_time if mode == "follower" else self.observer_sync_time).add(
                milliseconds(self._changed_at, now)
            )

    def closed(self, now: float, *, was_leader: bool, reason: str) -> None:
        """It has none any more."""
        self._roleless_since = now
        self.disloyal_voters += was_leader and reason.startswith("no quorum follows")
