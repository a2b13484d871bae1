"""The four-letter words: one function per word, found through a table.

Outputs are read by monitoring tools to the letter. Source: docs/protocol/operations.md section 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyzk import VERSION_WORD
from pyzk.server.admin.environment import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.server.standalone import Server

    Word = Callable[[Server], str]


def _ruok(server: Server) -> str:  # noqa: ARG001
    return "imok"


def _isro(server: Server) -> str:  # noqa: ARG001
    return "rw"


def _envi(server: Server) -> str:  # noqa: ARG001
    return "Environment:\n" + "".join(f"{key}={value}\n" for key, value in environment().items())


def _srvr(server: Server) -> str:
    return f"Zookeeper version: {VERSION_WORD}\n" + statistics(server)


def statistics(server: Server) -> str:
    """The lines that srvr and stat share, from the latency on."""
    service = server.peer.service
    counters = service.counters
    latency = counters.latency
    average = latency.total / latency.count if latency.count else 0.0
    return (
        f"Latency min/avg/max: {latency.least}/{round(average, 4)}/{latency.most}\n"
        f"Received: {counters.received}\n"
        f"Sent: {counters.sent}\n"
        f"Connections: {len(service.connections)}\n"
        f"Outstanding: {service.outstanding}\n"
        f"Zxid: 0x{service.tree.last_zxid:x}\n"
        "Mode: standalone\n"
        f"Node count: {service.tree.node_count}\n"
    )


WORDS: dict[bytes, Word] = {b"ruok": _ruok, b"isro": _isro, b"srvr": _srvr, b"envi": _envi}


class FourLetterWords:
    """Answers words for one server, as far as its whitelist allows them."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def answer(self, word: bytes, connection: int) -> bytes | None:  # noqa: ARG002
        """The answer; None if `word` is none, so that it must be the length of a frame."""
        handler = WORDS.get(word)
        if handler is None:
            return None
        self._server.peer.service.counters.received += 1
        name = word.decode()
        if (
            name not in self._server.config.four_letter_whitelist
            and "*" not in self._server.config.four_letter_whitelist
        ):
            return f"{name} is not executed because it is not in the whitelist.\n".encode()
        return handler(self._server).encode()
