"""What was when: the states of a znode, of the names below it, and of whatever else the reference model remembers."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Generic, TypeVar

FOR_EVER, CONTAINER = 0, -1
"""Lifetimes in ms of znodes that have none."""
State = TypeVar("State")


@dataclass(slots=True)
class Znode:
    """What the model knows of a znode.

    Attributes:
        data: as written.
        version: of the data.
        owner: the session that it ends with, 0 if there is none.
        created: place of the txn that made it.
        lifetime_ms: of a TTL znode; CONTAINER for a container, FOR_EVER for any other.
        changed_ms: when its leader wrote it last, by its wall clock.
    """

    data: bytes
    version: int
    owner: int
    created: int
    lifetime_ms: int = FOR_EVER
    changed_ms: int = 0


class Timeline(Generic[State]):
    """The states that something had, each from a place on."""

    __slots__ = ("places", "states")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.states: list[State | None] = []

    def put(self, place: int, state: State | None) -> None:
        """From this place on it is so."""
        if self.places and self.places[-1] == place:
            self.states[-1] = state
        else:
            self.places.append(place)
            self.states.append(state)

    def at(self, place: int) -> State | None:
        """How it was at a place."""
        index = bisect_right(self.places, place)
        return self.states[index - 1] if index else None

    def next_change(self, place: int) -> int:
        """The first place behind this one where it changed; 0 if there is none."""
        index = bisect_right(self.places, place)
        return self.places[index] if index < len(self.places) else 0
