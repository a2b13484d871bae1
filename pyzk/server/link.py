"""One socket to another server.

What is sent in one turn of the loop goes out in one write: the hello of an election link must arrive in one piece. A
tree goes out in slices, as fast as the other side takes it, and what is sent meanwhile waits behind it.
Source: docs/protocol/zab.md section 4.3, docs/protocol/election.md section 2.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from pyzk.server.clients import label_of
from pyzk.zab.events import Port

if TYPE_CHECKING:
    from pyzk.server.links import Links
    from pyzk.tree.walk import Walk
    from pyzk.zab.admission import Admission

LINGER_SECONDS = 5.0
"""How long a closed link may take to send the last of what was written."""
HIGH_WATER_BYTES = 256 * 1024
"""A tree pauses when so much of it waits in the process."""
TREE_CHUNKS_PER_TURN = 2
"""Chunks of a tree written in one turn of the loop, so that clients and pings come in between."""


class Link(asyncio.Protocol):
    """One socket to another server, or one that is being dialed.

    Where servers authenticate themselves, the agreement is told of nothing that comes before that is done, and what it
    sends meanwhile waits: but for the hello of the election port, which goes ahead of all.
    """

    __slots__ = (
        "_behind",
        "_behind_bytes",
        "_is_greeted",
        "_is_parting",
        "_links",
        "_out",
        "_out_bytes",
        "_paused",
        "_tree",
        "_will_pull",
        "admission",
        "dialed_host",
        "dialing",
        "label",
        "number",
        "objection",
        "port",
        "transport",
    )

    def __init__(self, links: Links, number: int, port: Port, admission: Admission | None = None) -> None:
        self._links = links
        self.admission = admission
        self._is_greeted = self._is_parting = False
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._tree: Walk | None = None
        self._behind: list[bytes] = []
        self._behind_bytes = 0
        self._paused = self._will_pull = False
        self.number = number
        self.port = port
        self.label = "?"
        self.transport: asyncio.Transport | None = None
        self.dialing: asyncio.Task[None] | None = None
        self.dialed_host = self.objection = ""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        opened = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        self.objection = self._links.dialer.objection_to(opened, self.dialed_host)
        if self.objection:
            opened.abort()
            return
        self.transport = opened
        self.transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        peername = transport.get_extra_info("peername")
        if peername:
            self.label = label_of(str(peername[0]), peername[1])
        if self.admission is not None:
            self._links.limit_admission(self)
        if self._is_dialed_elsewhere:
            self._begin_admission(b"")
        else:
            self._links.opened(self)

    def data_received(self, data: bytes) -> None:
        if self.admission is not None:
            data = self._admit(self.admission, data)
        if data:
            self._links.received(self, data)

    # Who is there?

    @property
    def _is_dialed_elsewhere(self) -> bool:
        """Whether it is for us to say who we are, first of all."""
        return self.admission is not None and self.number > 0 and self.port != Port.ELECTION

    def _begin_admission(self, greeting: bytes) -> None:
        assert self.admission is not None
        assert self.transport is not None
        self._is_greeted = True
        # In one piece: Apache reads a hello with a single read.
        self.transport.write(greeting + self.admission.start())
        self._judge(self.admission)

    def _admit(self, admission: Admission, data: bytes) -> bytes:
        """More of the exchange; what is for the agreement."""
        assert self.transport is not None
        answer = admission.receive(data)
        if answer:
            self.transport.write(answer)
        return self._judge(admission)

    def _judge(self, admission: Admission) -> bytes:
        if not admission.is_over:
            return b""
        is_news = self._is_dialed_elsewhere
        self.admission = None
        if admission.failure:
            self._links.refuse(self, admission.failure)
        elif self._is_parting:
            self.close()
        elif is_news:
            self._links.opened(self)
        else:
            self.flush()
        return b"" if admission.failure else admission.rest

    def end_admission(self) -> None:
        """The other side is gone in the midst of it, or takes too long."""
        admission = self.admission
        if admission is not None:
            admission.ended()
            rest = self._judge(admission)
            if rest:
                self._links.received(self, rest)

    # asyncio.Protocol, more of it

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is None:
            return  # who has dialed is told by its task
        self.end_admission()
        self._end_tree()
        if isinstance(exc, TimeoutError):
            peername = self.transport.get_extra_info("peername")
            self._links.dialer.silent(peername[0] if peername else "")
        self._links.lost(self, str(exc) if exc is not None else "closed by the other side")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._tree is not None and not self._will_pull:
            self._pull()

    # What Links asks for.

    @property
    def waiting_bytes(self) -> int:
        """What was sent and has not left the process, without what a tree still has to give."""
        assert self.transport is not None
        return self.transport.get_write_buffer_size() + self._out_bytes + self._behind_bytes

    def send(self, data: bytes) -> None:
        """Send with the next `flush`, or behind the tree that is on its way."""
        if self.admission is not None and self.number > 0 and not self._is_greeted:
            self._begin_admission(data)
        elif self._tree is None:
            self._out.append(data)
            self._out_bytes += len(data)
        else:
            self._behind.append(data)
            self._behind_bytes += len(data)

    def flush(self) -> None:
        """Write what has gathered, in one piece."""
        if self._out and self.transport is not None and self.admission is None and not self.transport.is_closing():
            out, self._out, self._out_bytes = self._out, [], 0
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))

    def send_tree(self, tree: Walk) -> None:
        """Send a tree; what is sent from now on goes behind it."""
        assert self._tree is None, "one tree at a time"
        self.flush()
        self._tree = tree
        self._pull_later()

    def _pull_later(self) -> None:
        self._will_pull = True
        asyncio.get_running_loop().call_soon(self._pull)

    def _pull(self) -> None:
        """Write some of the tree, unless the other side has to catch up first."""
        self._will_pull = False
        if self._tree is None or self.transport is None:
            return
        for _ in range(TREE_CHUNKS_PER_TURN):
            if self._paused:
                return
            chunk = next(self._tree, None)
            if chunk is None:
                self._finish_tree()
                return
            self.transport.write(chunk)
        self._pull_later()

    def _finish_tree(self) -> None:
        self._tree = None
        self._out, self._out_bytes = self._behind, self._behind_bytes
        self._behind, self._behind_bytes = [], 0
        self.flush()

    def _end_tree(self) -> None:
        """Keep nothing aside for it any more."""
        if self._tree is not None:
            self._tree.close()
            self._tree = None

    def close(self) -> None:
        """Let what was written go out; but not for ever. A tree that is on its way stays unfinished."""
        if self.admission is not None and self._is_greeted and self.port == Port.ELECTION:
            # The other side dials back only to one that has proven who it is.
            self._is_parting = True
            return
        if self.dialing is not None:
            self.dialing.cancel()
        if self.transport is None:
            return
        self.admission = None
        if self._tree is None:
            self.flush()
        self._end_tree()
        self.transport.close()
        if self.transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self.transport.abort)

    def abort(self) -> None:
        """Close now."""
        self._end_tree()
        if self.transport is not None:
            self.transport.abort()
