"""The fault points of a world: each fires with the probability that the plan has for it, and is counted."""

from collections import Counter
from random import Random

from pyzk.faultpoints import POINTS, FaultPoints

CHANCES = 0.0, 0.0, 0.02, 0.2, 0.6
"""Of these the probability of each point is drawn for a run: most are off, so that those that are on meet often."""


def draw_chances(rng: Random) -> dict[str, float]:
    """How often each point of a run fires, of those that do."""
    drawn = {name: rng.choice(CHANCES) for name in POINTS}
    return {name: chance for name, chance in drawn.items() if chance}


def tally_name(name: str) -> str:
    """Under which a point is counted."""
    return f"point: {name}"


class DrawnPoints(FaultPoints):
    """Points that fire by chance.

    Args:
        rng: their own, so that a plan without them is the same run otherwise.
        chances: probability by name; what is missing never fires.
        tally: how often each has fired is counted here.

    Attributes:
        chances: emptied when nothing is to go wrong any more.
    """

    __slots__ = ("_rng", "_tally", "chances")

    def __init__(self, rng: Random, chances: dict[str, float], tally: Counter[str]) -> None:
        self._rng = rng
        self._tally = tally
        self.chances = dict(chances)

    def fires(self, name: str) -> bool:
        """As `FaultPoints`."""
        assert name in POINTS
        fires = name in self.chances and self._rng.random() < self.chances[name]
        if fires:
            self._tally[tally_name(name)] += 1
        return fires
