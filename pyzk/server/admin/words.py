"""The four-letter words on the client port: which there are, who may ask, and when.

What a word answers is in `reports`, `sessions_report` and `monitor`; monitoring tools read that to the letter. A word
is recognised by the first four bytes of a connection, whatever follows. Source: docs/protocol/operations.md section 1.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from pyzk.server.admin import monitor, reports, session_reports
from pyzk.server.config.fields_operations import ALL_WORDS_MARK

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyzk.server.base import BaseServer as Server

WORD_SIZE = 4
MASK = Struct(">q")
TELNET_INTERRUPT = b"\xff\xf4\xff\xfd"
"""What telnet sends for Ctrl-C."""
NOT_SERVING = "This ZooKeeper instance is not currently serving requests\n"


class Asked(NamedTuple):
    """A word that was asked: by which connection (its number), with what behind it."""

    server: Server
    connection: int
    argument: bytes


class Word(NamedTuple):
    """How a word is answered, and what it says while the server is not serving; None: the same as ever."""

    answer: Callable[[Asked], str]
    not_serving: str | None = NOT_SERVING


def _ruok(asked: Asked) -> str:  # noqa: ARG001
    return "imok"


def _isro(asked: Asked) -> str:
    return "ro" if asked.server.peer.service.read_only else "rw"


def _gtmk(asked: Asked) -> str:
    return str(asked.server.statistics.trace_mask)


def _stmk(asked: Asked) -> str:
    """The mask is kept and told again; there is no tracing that it could switch."""
    (asked.server.statistics.trace_mask,) = MASK.unpack(asked.argument)
    return _gtmk(asked)


def _srst(asked: Asked) -> str:
    asked.server.statistics.reset()
    return "Server stats reset.\n"


def _crst(asked: Asked) -> str:
    for state in asked.server.peer.service.connections.values():
        state.forget_traffic()
    return "Connection stats reset.\n"


def _telnet_interrupt(asked: Asked) -> str:  # noqa: ARG001
    return ""


def _of_server(answer: Callable[[Server], str]) -> Callable[[Asked], str]:
    return lambda asked: answer(asked.server)


def _of_asker(answer: Callable[[Server, int], str]) -> Callable[[Asked], str]:
    return lambda asked: answer(asked.server, asked.connection)


WORDS: dict[bytes, Word] = {
    b"ruok": Word(_ruok, None),
    b"isro": Word(_isro, "null"),
    b"gtmk": Word(_gtmk, None),
    b"stmk": Word(_stmk, None),
    b"srst": Word(_srst),
    b"crst": Word(_crst),
    b"envi": Word(_of_server(reports.environment), None),
    b"conf": Word(_of_server(reports.configuration)),
    b"dirs": Word(_of_server(reports.directories)),
    b"srvr": Word(_of_server(reports.server)),
    b"hash": Word(_of_server(reports.digests), NOT_SERVING.rstrip()),
    b"mntr": Word(_of_server(monitor.monitor)),
    b"stat": Word(_of_asker(session_reports.server_and_clients)),
    b"cons": Word(_of_asker(session_reports.connections)),
    b"dump": Word(_of_server(session_reports.dump)),
    b"wchs": Word(_of_server(session_reports.watch_totals)),
    b"wchc": Word(_of_server(session_reports.watches_by_session)),
    b"wchp": Word(_of_server(session_reports.watches_by_path)),
    TELNET_INTERRUPT: Word(_telnet_interrupt, None),
}


class FourLetterWords:
    """Answers words for one server, as far as its whitelist allows them; see `pyzk.server.clients.Words`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def wanted_bytes(self, word: bytes) -> int:
        """How many bytes of a connection that begins with `word` must be there before it can be answered."""
        return WORD_SIZE + MASK.size if word == b"stmk" and self._is_allowed(word) else WORD_SIZE

    def answer(self, received: bytes, connection: int) -> bytes | None:
        """The answer to what a connection began with; None if that is no word, so that it must be a frame."""
        name = received[:WORD_SIZE]
        word = WORDS.get(name)
        if word is None:
            return None
        service = self._server.peer.service
        service.counters.received += 1
        service.connections[connection].stats.received += 1
        if not self._is_allowed(name):
            text = "telnet close" if name == TELNET_INTERRUPT else name.decode()
            return f"{text} is not executed because it is not in the whitelist.\n".encode()
        if word.not_serving is not None and not self._server.is_serving:
            return word.not_serving.encode()
        argument = received[WORD_SIZE : WORD_SIZE + MASK.size]
        # Paths are bytes that somebody made up; what is no UTF-8 is told as it is.
        return word.answer(Asked(self._server, connection, argument)).encode("utf-8", "surrogateescape")

    def _is_allowed(self, word: bytes) -> bool:
        allowed = self._server.config.four_letter_whitelist
        return ALL_WORDS_MARK in allowed or word.decode("latin-1") in allowed
