"""Places in the code at which the simulator may let happen what is allowed, and rare: fault points.

A place asks `points.fires(name)`. In production that is a method that says no, at places that come once a batch or
seldomer. In the simulator each name has a probability that is drawn for each run, and is often 0. Whatever a point does
must be right at any time: it may cost time, never a promise. docs/simulation.md lists them.
"""

POINTS = {
    "log rolls early": "a batch begins a new log file",
    "log is not there": "the log files do not help to bring up a learner, as if they were purged",
    "whole tree sent": "a learner is sent the whole tree, whatever it lacks",
    "window is too short": "the log files are asked what a learner lacks, not the window in memory",
    "ballot closes at once": "an election is over with the first quorum, without the silence behind it",
    "ping left out": "a leader does not ping in this half of a tick",
    "proposals in two": "what is proposed together is logged and acknowledged in two batches",
    "delivery in two": "what is committed together is delivered in two steps",
    "touches kept back": "a learner tells only with the next PING which sessions have shown life",
    "one request a turn": "a leader takes one request of its own clients, the others in the next turn",
    "turn ends early": "a connection is served one request, the others in the next turn",
}
"""Name of each point, and what happens when it fires."""


class FaultPoints:
    """In production: none ever fires."""

    __slots__ = ()

    def fires(self, name: str) -> bool:  # noqa: ARG002
        """Whether it happens this time."""
        return False


NONE = FaultPoints()
