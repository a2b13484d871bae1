"""Steps of a differential program: what to send, over which connection, written so that a reader can follow.

A program names its znodes below a placeholder root of fixed width, and zxids by a placeholder too; both are replaced
in the encoded bytes when the program runs, so that one server serves many programs, each below a root of its own.
"""

import re
from dataclasses import dataclass

from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import OpCode
from pyzk.codec.requests import REQUESTS
from pyzk.errors import DecodeError

ROOT = b"/R0000000"
"""Stands for the root of the program's own znodes."""

LAST_ZXID = 0x7F5A5849447F7F7F
"""Stands for the last zxid that the session has seen."""

FUTURE_ZXID = 0x7F5A5849447F7F7E
"""Stands for a zxid that the server has not reached."""


def root_of(number: int) -> bytes:
    """The root of program `number`, as wide as the placeholder."""
    return b"/p%07d" % number


_DATA = re.compile(r"(?<=data=)b('|\")(?:\\.|[^\\])*?\1")


@dataclass(frozen=True)
class Request:
    """One request; the xid is given when it is sent, unless it is one of the special ones."""

    opcode: int
    body: bytes
    xid: int | None = None

    def __str__(self) -> str:
        xid = "" if self.xid is None else f" xid {self.xid}"
        return f"{name_of(self.opcode)}{xid} {self._body()}"

    def _body(self) -> str:
        kind = REQUESTS.get(self.opcode)
        if kind is None:
            return f"hex {self.body.hex()}"
        try:
            reader = Reader(self.body)
            record = kind.decode(reader)
        except DecodeError:
            return f"malformed {self.body.hex()}"
        text = _DATA.sub(lambda match: match[0] if len(match[0]) < 40 else "...", str(record))
        return text + (f" and {reader.remaining} more bytes" if reader.remaining else "")


def name_of(opcode: int) -> str:
    """The opcode's name, or its number if it has none."""
    return _NAMES.get(opcode, f"opcode {opcode}")


_NAMES = {opcode.value: opcode.name.lower() for opcode in OpCode}


@dataclass(frozen=True)
class Step:
    """Something that happens on one connection (a small number)."""

    connection: int


@dataclass(frozen=True)
class Connect(Step):
    """Open a new session; whatever session the connection had before is left alone.

    An eager client sends a ping with the handshake, before the server has answered.
    """

    timeout_ms: int
    read_only: bool | None = False
    last_zxid: int = 0
    eager: bool = False

    def __str__(self) -> str:
        return f"{self.connection}: connect timeout {self.timeout_ms} read_only {self.read_only}{_seen(self)}" + (
            " with a ping" if self.eager else ""
        )


@dataclass(frozen=True)
class Resume(Step):
    """Connect again with the session that this connection had last; the old socket may still be open."""

    timeout_ms: int
    drop_first: bool = True
    wrong_password: bool = False
    last_zxid: int = LAST_ZXID

    def __str__(self) -> str:
        old = "" if self.drop_first else " with the old socket open"
        wrong = " with a wrong password" if self.wrong_password else ""
        return f"{self.connection}: resume timeout {self.timeout_ms}{old}{wrong}{_seen(self)}"


def _seen(step: Connect | Resume) -> str:
    return {LAST_ZXID: "", 0: "", FUTURE_ZXID: " from the future"}.get(step.last_zxid, f" seen {step.last_zxid}")


@dataclass(frozen=True)
class Drop(Step):
    """Close the socket and keep the session."""

    def __str__(self) -> str:
        return f"{self.connection}: drop the socket"


@dataclass(frozen=True)
class Expire(Step):
    """Say nothing until the session has expired; with the socket open or not."""

    drop_first: bool = True

    def __str__(self) -> str:
        return f"{self.connection}: let the session expire{' without a socket' if self.drop_first else ''}"


@dataclass(frozen=True)
class Send(Step):
    """Send requests in one piece and read as many replies."""

    requests: tuple[Request, ...]

    def __str__(self) -> str:
        return "\n   ".join([f"{self.connection}: {self.requests[0]}", *[f"   {r}" for r in self.requests[1:]]])


@dataclass(frozen=True)
class Raw(Step):
    """Send bytes that are no proper frame: the server is expected to hang up."""

    data: bytes

    def __str__(self) -> str:
        return f"{self.connection}: raw {self.data.hex()}"


AnyStep = Connect | Resume | Drop | Expire | Send | Raw


@dataclass(frozen=True)
class Program:
    """Steps, and where they come from."""

    seed: int
    number: int
    steps: tuple[AnyStep, ...]

    def __str__(self) -> str:
        return "\n".join(f"{index:3} {step}" for index, step in enumerate(self.steps))
