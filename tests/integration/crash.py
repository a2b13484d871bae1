"""Kill a server under write load and look at what it remembers.

Three promises: a write that was acknowledged is there after the restart; of a transaction all or nothing is there;
nothing is there that was never sent. `Load` writes through kazoo from several clients at once and keeps the books.
"""

import random
import threading
from dataclasses import dataclass, field
from typing import Any

from kazoo.client import KazooClient

from tests.integration.processes import ServerProcess

WRITERS = 3
OUTSTANDING_MAX = 50
LOAD_SECONDS = (0.05, 0.6)
CALL_TIMEOUT_S = 20.0


@dataclass(slots=True)
class Books:
    """What one writer sent and what was acknowledged, by name of node; its counter likewise."""

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    counter_sent: int = 0
    counter_acknowledged: int = 0


class Writer:
    """Creates single nodes, pairs in one transaction and counter values, pipelined, until it is stopped."""

    def __init__(self, server: ServerProcess, folder: str, index: int) -> None:
        self.folder = folder
        self.index = index
        self.books = Books()
        self.client = KazooClient(hosts=server.hosts, timeout=30.0)
        self._places = threading.Semaphore(OUTSTANDING_MAX)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, name=f"writer-{index}")

    def start(self) -> None:
        self.client.start(timeout=CALL_TIMEOUT_S)
        self.client.ensure_path(self.folder)
        self.client.create(self.counter, b"0")
        self._thread.start()

    @property
    def counter(self) -> str:
        return f"{self.folder}/counter-{self.index}"

    def stop(self) -> None:
        self._stopping.set()
        self.client.stop()
        self._places.release()
        self._thread.join()
        self.client.close()

    def _write(self) -> None:
        number = 0
        while not self._stopping.is_set():
            kind = (self._single, self._pair, self._count)[number % 3]
            self._places.acquire()
            kind(number)
            number += 1

    def _single(self, number: int) -> None:
        name = f"single-{self.index}-{number}"
        self.books.sent.add(name)
        self._then(self.client.create_async(f"{self.folder}/{name}", b"x" * 100), lambda: self._acknowledge(name))

    def _pair(self, number: int) -> None:
        names = [f"{side}-{self.index}-{number}" for side in ("left", "right")]
        self.books.sent.update(names)
        transaction = self.client.transaction()
        for name in names:
            transaction.create(f"{self.folder}/{name}", b"y" * 50)
        self._then(transaction.commit_async(), lambda: self._acknowledge(*names))

    def _count(self, number: int) -> None:
        self.books.counter_sent = number
        self._then(self.client.set_async(self.counter, b"%d" % number), lambda: self._counted(number))

    def _acknowledge(self, *names: str) -> None:
        self.books.acknowledged.update(names)

    def _counted(self, number: int) -> None:
        self.books.counter_acknowledged = number

    def _then(self, result: Any, acknowledge: Any) -> None:
        def done(finished: Any) -> None:
            if finished.successful():
                acknowledge()
            self._places.release()

        result.rawlink(done)


def crash_round(server: ServerProcess, folder: str, rng: random.Random) -> tuple[list[str], int]:
    """Load, kill -9, start again: the promises that were broken, and the number of acknowledged writes."""
    writers = [Writer(server, folder, index) for index in range(WRITERS)]
    for writer in writers:
        writer.start()
    threading.Event().wait(rng.uniform(*LOAD_SECONDS))
    server.kill()
    for writer in writers:
        writer.stop()
    server.start()
    acknowledged = sum(len(writer.books.acknowledged) for writer in writers)
    return broken_promises(server, folder, writers), acknowledged


def broken_promises(server: ServerProcess, folder: str, writers: list[Writer]) -> list[str]:
    client = KazooClient(hosts=server.hosts)
    client.start(timeout=CALL_TIMEOUT_S)
    there = {name for name in client.get_children(folder) if not name.startswith("counter-")}
    counters = [int(client.get(writer.counter)[0]) for writer in writers]
    client.stop()
    client.close()
    sent = set().union(*(writer.books.sent for writer in writers))
    acknowledged = set().union(*(writer.books.acknowledged for writer in writers))
    broken = [f"lost: {name}" for name in sorted(acknowledged - there)]
    broken += [f"never sent: {name}" for name in sorted(there - sent)]
    broken += [f"half a transaction: {name}" for name in sorted(there) if not _whole(name, there)]
    for writer, counter in zip(writers, counters, strict=True):
        if not writer.books.counter_acknowledged <= counter <= writer.books.counter_sent:
            broken.append(f"counter of {writer.index}: {counter}, acknowledged {writer.books.counter_acknowledged}")
    return broken


def _whole(name: str, there: set[str]) -> bool:
    side, _, rest = name.partition("-")
    other = {"left": "right", "right": "left"}.get(side)
    return other is None or f"{other}-{rest}" in there
