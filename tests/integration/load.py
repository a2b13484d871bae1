"""A write load on an ensemble through kazoo, that keeps the books on what was promised.

Each worker is a session that lives as long as the load, and its thread: znodes of its own, sequence znodes, a counter
written by version, ephemerals, and now and then a visitor, a second session that ends. What was acknowledged has to be
there afterwards, what was never sent must not be, and what was cut off in between (ConnectionLoss) may be either.

    with Load(ensemble.hosts(), seed) as load:
        ensemble.kill(3)
    broken = load.verify(tree) + load.farewell()
"""

import itertools
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from kazoo.client import KazooClient
from kazoo.exceptions import (
    ConnectionClosedError,
    ConnectionLoss,
    KazooException,
    SessionExpiredError,
    SessionMovedError,
)
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.states import KazooState

from tests.integration.ensemble import KEEP_TRYING
from tests.integration.processes import NotServingError, eventually

WORKERS = 6
TOP = "/load"
CALL_TIMEOUT_S = 60.0
SESSION_TIMEOUT_S = 30.0
VISITOR_TIMEOUT_S = 4.0
VISIT_EVERY = 150
EPHEMERALS_MAX = 5
# Not known to have been done, nor not to: the connection or the whole session was lost on the way.
CUT_OFF = (ConnectionLoss, ConnectionClosedError, SessionExpiredError, SessionMovedError, KazooTimeoutError)


@dataclass(slots=True)
class Books:
    """What one worker knows. Paths below TOP; `gone` are ephemerals deleted or left behind by a session that ended."""

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    sequences: list[str] = field(default_factory=list)
    sequences_sent: set[str] = field(default_factory=set)
    ephemerals: dict[str, int] = field(default_factory=dict)
    counter: int = 0
    counter_sent: int = 0
    successes: list[float] = field(default_factory=list)
    cut_off: int = 0
    broken: list[str] = field(default_factory=list)


class Worker:
    """One session and one thread of the load; `pause_s` between two writes."""

    def __init__(self, hosts: str, index: int, seed: int, pause_s: float, *, may_expire: bool) -> None:
        self.hosts = hosts
        self.index = index
        self.pause_s = pause_s
        self.may_expire = may_expire
        self.books = Books()
        self.rng = random.Random(f"{seed} {index}")
        self.client = KazooClient(hosts, timeout=SESSION_TIMEOUT_S, connection_retry=KEEP_TRYING)
        self.client.add_listener(self._changed)
        self.session = 0
        self._version = 0
        self._in_doubt = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"worker-{index}", daemon=True)

    @property
    def folder(self) -> str:
        return f"{TOP}/worker-{self.index}"

    def start(self) -> None:
        self.client.start(timeout=CALL_TIMEOUT_S)
        self.session = self.client.client_id[0]
        self.client.ensure_path(self.folder)
        self.client.ensure_path(f"{TOP}/sequence")
        self.client.create(f"{self.folder}/counter", b"0")
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and leave the session open."""
        self._stopping.set()
        self._thread.join(CALL_TIMEOUT_S * 2)
        if self._thread.is_alive():
            self.books.broken.append(f"worker {self.index} waits for an answer for ever")
        if self.client.client_id is None or self.client.client_id[0] != self.session:
            self._expired()

    def close(self) -> None:
        self.client.stop()
        self.client.close()

    def _changed(self, state: str) -> None:
        if state == KazooState.LOST and not self._stopping.is_set():
            self._expired()

    def _expired(self) -> None:
        note = f"session 0x{self.session:x} of worker {self.index} was lost"
        if not self.may_expire and note not in self.books.broken:
            self.books.broken.append(note)

    def _work(self) -> None:
        kinds = (self._unique, self._sequence, self._count, self._ephemeral, self._look)
        number = 0
        while not self._stopping.is_set():
            number += 1
            try:
                kinds[number % len(kinds)](number)
                if number % VISIT_EVERY == self.index:
                    self._visit(number)
            except CUT_OFF:
                self.books.cut_off += 1
            except KazooException as error:
                self.books.broken.append(f"worker {self.index}, write {number}: unexpected {error!r}")
            self._stopping.wait(self.pause_s)

    def _then(self, asked: Any) -> Any:
        """The answer to an asynchronous call, and a mark in the books for the moment of a success."""
        answer = asked.get(timeout=CALL_TIMEOUT_S)
        self.books.successes.append(time.monotonic())
        return answer

    def _unique(self, number: int) -> None:
        path = f"{self.folder}/unique-{number}"
        self.books.sent.add(path)
        self._then(self.client.create_async(path, b"x" * self.rng.randrange(200)))
        self.books.acknowledged.add(path)

    def _sequence(self, number: int) -> None:
        prefix = f"{TOP}/sequence/{self.index}-{number}-"
        self.books.sequences_sent.add(prefix)
        self.books.sequences.append(self._then(self.client.create_async(prefix, b"", sequence=True)))

    def _count(self, _: int) -> None:
        """The counter's value is the number of writes that were done, and so is its version.

        A write that was cut off may have been done; nobody else writes here.
        """
        path = f"{self.folder}/counter"
        if self._in_doubt:
            self._look_at_counter(path)
        self.books.counter_sent = self._version + 1
        try:
            stat = self._then(self.client.set_async(path, b"%d" % self.books.counter_sent, self._version))
        except CUT_OFF:
            self._in_doubt = True
            raise
        self._version = self.books.counter = stat.version

    def _look_at_counter(self, path: str) -> None:
        self.client.sync_async(path).get(timeout=CALL_TIMEOUT_S)
        data, stat = self.client.get_async(path).get(timeout=CALL_TIMEOUT_S)
        if stat.version not in {self._version, self._version + 1} or int(data) != stat.version:
            known = f"{self.books.counter} acknowledged, {self.books.counter_sent} sent"
            self.books.broken.append(f"counter {self.index}: value {data!r} version {stat.version}, {known}")
        self._version = self.books.counter = stat.version
        self._in_doubt = False

    def _ephemeral(self, number: int) -> None:
        mine = self.books.ephemerals
        if len(mine) >= EPHEMERALS_MAX:
            path = self.rng.choice(list(mine))
            del mine[path]
            self._then(self.client.delete_async(path))
            self.books.gone.add(path)
            return
        path = f"{self.folder}/ephemeral-{number}"
        self.books.sent.add(path)
        self._then(self.client.create_async(path, b"", ephemeral=True))
        mine[path] = self.session

    def _look(self, number: int) -> None:
        """A session sees its own writes, whichever server it talks to."""
        path = f"{self.folder}/unique-{number // 5 * 5 + 1 - 5}"
        if path not in self.books.acknowledged:
            return
        if self.client.exists_async(path).get(timeout=CALL_TIMEOUT_S) is None:
            self.books.broken.append(f"worker {self.index} no longer sees its own {path}")

    def _visit(self, number: int) -> None:
        """A session that makes an ephemeral and ends; its ephemeral must end with it, at the latest by its timeout."""
        path = f"{self.folder}/visitor-{number}"
        self.books.sent.add(path)
        visitor = KazooClient(self.hosts, timeout=VISITOR_TIMEOUT_S, connection_retry=KEEP_TRYING)
        try:
            visitor.start(timeout=CALL_TIMEOUT_S)
            visitor.create(path, b"", ephemeral=True)
        finally:
            visitor.stop()
            visitor.close()
            self.books.gone.add(path)


class Load:
    """Workers on an ensemble for the length of a `with`. Their sessions stay open until `farewell`.

    Args:
        hosts: a connect string.
        seed: decides what the workers choose.
        workers: sessions that write.
        pause_s: of each worker between two writes; 0 is as fast as answers come.
        may_expire: whether a worker may lose its session.
    """

    def __init__(
        self, hosts: str, seed: int = 0, workers: int = WORKERS, pause_s: float = 0.002, *, may_expire: bool = False
    ) -> None:
        self.workers = [Worker(hosts, index, seed, pause_s, may_expire=may_expire) for index in range(workers)]
        self.hosts = hosts
        self._began = self._ended = 0.0

    def __enter__(self) -> Self:
        for worker in self.workers:
            worker.start()
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = time.monotonic()
        for worker in self.workers:
            worker.stop()

    def wait_for(self, writes: int, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """Until so many further writes have succeeded. Raises NotServingError when they do not."""
        target = self.acknowledged + writes
        eventually(lambda: self.acknowledged >= target, f"{writes} further writes", timeout_s)

    @property
    def acknowledged(self) -> int:
        return sum(len(worker.books.successes) for worker in self.workers)

    @property
    def cut_off(self) -> int:
        return sum(worker.books.cut_off for worker in self.workers)

    def longest_gap_s(self, since: float | None = None) -> float:
        """The longest time without any successful write, from `since` (time.monotonic) or the beginning to the end."""
        began = self._began if since is None else since
        ended = self._ended or time.monotonic()
        times = sorted(moment for worker in self.workers for moment in worker.books.successes if began < moment < ended)
        edges = [began, *times, ended]
        return max(later - earlier for earlier, later in itertools.pairwise(edges))

    def summary(self) -> str:
        gap = f"longest gap {self.longest_gap_s():.2f} s"
        return f"{self.acknowledged} writes acknowledged, {self.cut_off} cut off, {gap}"

    def verify(self, tree: Mapping[str, tuple[bytes, Any]]) -> list[str]:
        """The promises that the tree breaks, empty if it keeps them all. The load has ended, its sessions are open."""
        broken = [note for worker in self.workers for note in worker.books.broken]
        for worker in self.workers:
            broken += _nodes_broken(worker, tree)
            broken += _counter_broken(worker, tree)
            broken += _ephemerals_broken(worker, tree)
        return broken + self._sequences_broken(tree)

    def _sequences_broken(self, tree: Mapping[str, Any]) -> list[str]:
        there = {path for path in tree if path.startswith(f"{TOP}/sequence/")}
        acknowledged = {path for worker in self.workers for path in worker.books.sequences}
        sent = {prefix for worker in self.workers for prefix in worker.books.sequences_sent}
        broken = [f"lost: {path}" for path in sorted(acknowledged - there)]
        broken += [f"never sent: {path}" for path in sorted(there) if path[:-10] not in sent]
        if len({path[:-10] for path in there}) != len(there):
            broken.append("a sequence znode was created twice")
        if len({path[-10:] for path in there}) != len(there):
            broken.append("two sequence znodes have the same number")
        for worker in self.workers:
            numbers = [path[-10:] for path in worker.books.sequences]
            if numbers != sorted(numbers):
                broken.append(f"the sequence numbers of worker {worker.index} go back")
        return broken

    def farewell(self) -> list[str]:
        """Close the sessions: what is wrong when ephemerals of theirs, or of earlier visitors, are still there then."""
        for worker in self.workers:
            worker.close()
        observer = KazooClient(self.hosts, timeout=SESSION_TIMEOUT_S, connection_retry=KEEP_TRYING)
        observer.start(timeout=CALL_TIMEOUT_S)
        left: list[str] = []

        def none_left() -> bool:
            left[:] = [path for worker in self.workers for path in _ephemerals_of(observer, worker.folder)]
            return not left

        try:
            # A session whose close was cut off ends by its own timeout.
            eventually(none_left, "ephemerals end with their sessions", SESSION_TIMEOUT_S + 10)
        except NotServingError:
            return [f"ephemeral without its session: {path}" for path in left]
        finally:
            observer.stop()
            observer.close()
        return []


def _ephemerals_of(client: KazooClient, folder: str) -> list[str]:
    names = client.retry(client.get_children, folder)
    return [f"{folder}/{name}" for name in names if name.startswith(("ephemeral-", "visitor-"))]


def _nodes_broken(worker: Worker, tree: Mapping[str, Any]) -> list[str]:
    books = worker.books
    there = {path for path in tree if path.startswith(f"{worker.folder}/")} - {f"{worker.folder}/counter"}
    broken = [f"lost: {path}" for path in sorted(books.acknowledged - there)]
    return broken + [f"never sent: {path}" for path in sorted(there - books.sent)]


def _counter_broken(worker: Worker, tree: Mapping[str, tuple[bytes, Any]]) -> list[str]:
    books = worker.books
    path = f"{worker.folder}/counter"
    if path not in tree:
        return [f"lost: {path}"]
    data, stat = tree[path]
    if int(data) == stat.version and books.counter <= stat.version <= max(books.counter, books.counter_sent):
        return []
    known = f"acknowledged {books.counter}, sent {books.counter_sent}"
    return [f"counter {worker.index}: value {data!r}, version {stat.version}, {known}"]


def _ephemerals_broken(worker: Worker, tree: Mapping[str, tuple[bytes, Any]]) -> list[str]:
    if worker.may_expire:
        return []
    books = worker.books
    broken = [f"deleted, yet there: {path}" for path in books.gone if path in tree and "ephemeral-" in path]
    for path, session in books.ephemerals.items():
        if path not in tree:
            broken.append(f"ephemeral {path} is gone before its session")
        elif tree[path][1].ephemeralOwner != session:
            broken.append(f"ephemeral {path} belongs to 0x{tree[path][1].ephemeralOwner:x}, not 0x{session:x}")
    return broken
