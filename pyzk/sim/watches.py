"""The watches of one session, and what must be told of them: no change too few, none twice, none behind its reply.

Source: docs/protocol/data-model.md sections 5 and 8.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyzk.client.watches import WatchKind
from pyzk.codec.opcodes import EventType, Perms
from pyzk.sim.acls import permits
from pyzk.sim.model import RESERVED
from pyzk.sim.sequence import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.client.effects import Notification
    from pyzk.sim.model import Change
    from pyzk.sim.sequence import TxnSequence

FOR_ONCE = WatchKind.DATA, WatchKind.EXIST, WatchKind.CHILD


@dataclass(slots=True, eq=False)
class Watch:
    """A watch that a client has set.

    Attributes:
        kind: what it waits for.
        place: of the state that the client was shown when it set it.
        told: of a persistent one: how many of all changes it is done with.
        is_loose: a connection was lost since then. A one-shot watch is not told of changes that are undone meanwhile, a
            persistent one of none before it is set again.
    """

    kind: WatchKind
    path: bytes
    place: int = 0
    told: int = 0
    is_loose: bool = False

    @property
    def is_persistent(self) -> bool:
        """Whether it stays when it has fired."""
        return self.kind not in FOR_ONCE

    def sees(self, kind: EventType, path: bytes) -> bool:
        """Whether a persistent one is told of such a change."""
        if self.kind is WatchKind.RECURSIVE:
            below = self.path.rstrip(b"/") + b"/"
            return kind is not EventType.NODE_CHILDREN_CHANGED and (path == self.path or path.startswith(below))
        return path == self.path


class Watches:
    """What one session waits for.

    Args:
        sequence: of all txns.
        name: of the session, for what is said about it.
        may_read: whether the session may, by all that its client has said, read a path at a place.

    Attributes:
        set: not fired yet, or never used up.
    """

    def __init__(self, sequence: TxnSequence, name: str, may_read: Callable[[bytes, int], bool]) -> None:
        self.set: dict[Watch, None] = {}
        self._sequence = sequence
        self._model = sequence.model
        self._name = name
        self._may_read = may_read

    def _require(self, holds: bool, invariant: str, details: str) -> None:  # noqa: FBT001 - a statement, not a flag
        require(holds, invariant, f"{self._name}: {details}")

    def add(self, watch: Watch, place: int) -> None:
        """A watch is set by what showed the state at a place."""
        watch.place = place
        watch.told = self._changes_up_to(place)
        self.set[watch] = None

    def has(self, kind: WatchKind, path: bytes) -> bool:
        """Whether there is such a watch."""
        return any(watch.kind is kind and watch.path == path for watch in self.set)

    def _changes_up_to(self, place: int) -> int:
        return bisect_right(self._model.changes, place, key=lambda change: change[0])

    # Replies.

    def shown(self, place: int) -> None:
        """A reply shows the state at a place: whatever waits for a change before has been told."""
        for watch in self.set:
            if watch.is_persistent:
                self._shown_persistent(watch, place)
                continue
            due = self._due(watch)
            what = f"{watch.kind.value} of {watch.path!r} at {due}, set at {watch.place}, shown {place}"
            is_due = 0 < due <= place
            if is_due and not self._is_open(watch.path, due):
                watch.is_loose = True  # it is used up, and nobody may be told
            is_late = is_due and not watch.is_loose
            self._require(not is_late, "a watch fires before the reply that shows the change", what)

    def _shown_persistent(self, watch: Watch, place: int) -> None:
        end = self._changes_up_to(place)
        if not watch.is_loose:
            missed = self._next(watch, end)
            what = f"{watch} was not told of {missed}, shown {place}"
            self._require(missed is None, "a persistent watch is told of each change before the reply", what)
        watch.told, watch.is_loose = max(watch.told, end), False

    def _next(self, watch: Watch, end: int) -> Change | None:
        """The next change that a persistent watch has to be told of, which are all that everybody may see."""
        for change in self._model.changes[watch.told : end]:
            if watch.sees(change[1], change[2]) and self._is_open(change[2], change[0]):
                return change
        return None

    def _is_open(self, path: bytes, place: int) -> bool:
        """Whether everybody is told of a change; of the names below a path too, its own ACL decides."""
        return permits(self._model.acl(path, place), Perms.READ, ())

    # Events.

    def _due(self, watch: Watch) -> int:
        """The place of the change that a one-shot watch waits for, 0 if that is not committed."""
        if watch.kind is WatchKind.CHILD:
            return self._model.next_child_change(watch.path, watch.place)
        return self._model.next_node_change(watch.path, watch.place)

    def fired(self, watch: Watch, event: Notification) -> None:
        """A watch has fired, or was removed."""
        if event.type > EventType.NODE_CHILDREN_CHANGED:
            self.set.pop(watch, None)
            return
        what = f"{event} for {watch}"
        self._require(watch in self.set, "a watch fires once", what)
        if event.path.startswith(RESERVED):
            return
        place = self._sequence.place_of(event.zxid) if event.zxid > 0 else 0
        may_know = not place or self._may_read(event.path, place)
        self._require(may_know, "ACLs keep strangers out", what)
        if not watch.is_persistent:
            self._fired_once(watch, event, place, what)
        elif place:  # what setWatches catches up with is for one-shot watches
            self._fired_again(watch, (place, event.type, event.path), what)

    def _fired_once(self, watch: Watch, event: Notification, place: int, what: str) -> None:
        due = self._due(watch)
        del self.set[watch]
        self._require(watch.path == event.path and due > 0, "a watch fires for a change", f"{what}, due at {due}")
        if place:
            is_right = place == due or (watch.is_loose and place > due)
            self._require(is_right, "a watch fires for the first change", f"{what}, due at {due}, not at {place}")

    def _fired_again(self, watch: Watch, change: Change, what: str) -> None:
        changes = self._model.changes
        found = watch.told
        while found < len(changes) and changes[found] != change:
            found += 1
        self._require(found < len(changes) and watch.sees(change[1], change[2]), "a watch fires for a change", what)
        missed = None if watch.is_loose else self._next(watch, found)
        self._require(missed is None, "a persistent watch is told of each change, in order", f"{what}, not {missed}")
        watch.told = found + 1

    def disconnected(self) -> None:
        """The connection is lost: of a znode that comes and goes meanwhile nothing is heard."""
        for watch in self.set:
            watch.is_loose = watch.is_loose or watch.is_persistent or watch.kind is WatchKind.EXIST
