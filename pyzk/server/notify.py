"""Tells whoever has started this server when it is ready: systemd's protocol, `sd_notify(3)`.

One datagram of lines `NAME=value` a message, to the unix socket that NOTIFY_SOCKET names. `pyzk-server start` listens
to it as well as systemd.
"""

import socket
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Self

VARIABLE = "NOTIFY_SOCKET"
READY, RELOADING, STOPPING = "READY=1", "RELOADING=1", "STOPPING=1"
MESSAGE_BYTES_MAX = 4096


class Manager:
    """Whoever has started this server, if it wants to be told.

    Args:
        environ: the variable is taken out of it, so that programs we start do not speak in our name.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        path = environ.pop(VARIABLE, "")
        # A socket without a file: systemd writes its zero byte as @.
        self._path = f"\0{path[1:]}" if path.startswith("@") else path

    def tell(self, *lines: str) -> None:
        """Send one message. That nobody listens any more is no trouble of ours."""
        if not self._path:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto("\n".join(lines).encode(), self._path)


class Listener:
    """The other side: a socket for one server, for the length of a `with`."""

    def __enter__(self) -> Self:
        import tempfile  # noqa: PLC0415 - a server does not need it

        self._folder = tempfile.TemporaryDirectory(prefix="pyzk-")
        self.path = str(Path(self._folder.name, "notify"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._folder.cleanup()

    def hear(self, seconds: float) -> list[str]:
        """The lines of the next message; none if nothing is said within so many seconds."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(MESSAGE_BYTES_MAX).decode().split("\n")
        except TimeoutError:
            return []
