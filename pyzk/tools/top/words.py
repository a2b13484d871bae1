"""Asks a server its four-letter words, and reads what srvr, mntr, cons and wchp answer."""

import asyncio
import re
from dataclasses import dataclass, field
from ssl import SSLContext

from pyzk.client.hosts import Address

WORDS = ("srvr", "mntr", "cons", "wchp")
TIMEOUT_S = 3.0
ANSWER_BYTES_MAX = 64 << 20
NOT_LISTED = "is not executed because it is not in the whitelist"
NOT_SERVING = "is not currently serving requests"
CONNECTION = re.compile(r"^ ?/(?P<address>\S+?)\[\w+\]\((?P<fields>[^)]*)\)")
SRVR_NAMES = {
    "Zxid": "zxid",
    "Mode": "server_state",
    "Connections": "num_alive_connections",
    "Node count": "znode_count",
    "Outstanding": "outstanding_requests",
    "Received": "packets_received",
    "Sent": "packets_sent",
    "Latency min/avg/max": "latency",
}
"""Lines of srvr, by mntr's names: Apache's servers answer it whatever their whitelist is."""
NAMESPACE = re.compile(r"zk_(cnt|sum)_(.+)_(read|write)_per_namespace")


@dataclass(slots=True)
class Connection:
    """A line of cons: a client and its counters."""

    address: str
    fields: dict[str, str]

    def number(self, name: str) -> int:
        """A counter; 0 where the line does not have it."""
        return whole_number(self.fields.get(name, ""))


@dataclass(slots=True)
class Answers:
    """What one server said at one time.

    Attributes:
        at: monotonic seconds.
        problem: why there is nothing; empty if there is.
        refused: words that are not in its whitelist.
        metrics: mntr without `zk_`, and srvr's zxid and mode.
    """

    server: str
    at: float
    problem: str = ""
    refused: list[str] = field(default_factory=list)
    metrics: dict[str, str] = field(default_factory=dict)
    connections: list[Connection] = field(default_factory=list)
    watchers: dict[str, int] = field(default_factory=dict)
    """Sessions that watch, by path."""

    def number(self, name: str) -> float:
        """A metric; 0 where the server has none of that name."""
        return real_number(self.metrics.get(name, ""))

    def traffic(self) -> dict[tuple[str, str], float]:
        """Requests so far by (top-level znode, read or write), from servers that count them."""
        found: dict[tuple[str, str], float] = {}
        for name, value in self.metrics.items():
            match = NAMESPACE.fullmatch(f"zk_{name}")
            if match and match[1] == "cnt":
                found[match[2], match[3]] = real_number(value)
        return found


def whole_number(text: str) -> int:
    """A number of a report; 0 for what is none."""
    return int(real_number(text))


def real_number(text: str) -> float:
    """A number of a report; 0 for what is none, or not finite."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if abs(number) < 2**63 else 0.0


async def ask(address: Address, word: str, ssl: SSLContext | None = None) -> str:
    """The answer to a word. Raises OSError, TimeoutError."""
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection(*address, ssl=ssl)
        try:
            writer.write(word.encode())
            answer = await reader.read(ANSWER_BYTES_MAX)
            while more := await reader.read(ANSWER_BYTES_MAX):
                answer += more
                if len(answer) > ANSWER_BYTES_MAX:
                    break
        finally:
            writer.close()
    return answer.decode("utf-8", "replace")


async def ask_all(server: str, address: Address, at: float) -> Answers:
    """All words of one server; what goes wrong is in the answers."""
    try:
        texts = await asyncio.gather(*(ask(address, word) for word in WORDS))
    except TimeoutError:
        return Answers(server, at, f"no answer in {TIMEOUT_S:g} s")
    except OSError as error:
        return Answers(server, at, error.strerror or str(error))
    return read_answers(server, at, dict(zip(WORDS, texts, strict=True)))


def read_answers(server: str, at: float, texts: dict[str, str]) -> Answers:
    """Take the answers apart; lines that are not understood are left out."""
    answers = Answers(server, at)
    for word, text in texts.items():
        if NOT_LISTED in text:
            answers.refused.append(word)
        elif NOT_SERVING in text:
            answers.problem = "not serving: no quorum, or it is starting"
        else:
            READERS[word](answers, text)
    if not answers.problem and not answers.metrics:
        answers.problem = "answers neither srvr nor mntr: is it a ZooKeeper server?"
    return answers


def _read_srvr(answers: Answers, text: str) -> None:
    for line in text.splitlines():
        name, colon, value = line.partition(": ")
        if colon and name in SRVR_NAMES:
            answers.metrics.setdefault(SRVR_NAMES[name], value.strip())


def _read_mntr(answers: Answers, text: str) -> None:
    for line in text.splitlines():
        name, tab, value = line.partition("\t")
        if tab and name.startswith("zk_"):
            answers.metrics[name.removeprefix("zk_")] = value.strip()


def _read_cons(answers: Answers, text: str) -> None:
    for line in text.splitlines():
        match = CONNECTION.match(line)
        if match:
            pairs = (part.partition("=") for part in match["fields"].split(","))
            answers.connections.append(Connection(match["address"], {name: value for name, _, value in pairs}))


def _read_wchp(answers: Answers, text: str) -> None:
    path = ""
    for line in text.splitlines():
        if line.startswith("/"):
            path = line
            answers.watchers.setdefault(path, 0)
        elif path and line.startswith("\t0x"):
            answers.watchers[path] += 1


READERS = {"srvr": _read_srvr, "mntr": _read_mntr, "cons": _read_cons, "wchp": _read_wchp}
