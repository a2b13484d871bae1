"""A trace in a file: a stream of msgpack arrays, the first of which names the fields of the others."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgpack

from pyzk.errors import PyzkError
from pyzk.sim.trace import TraceLine

HEADER = ["pyzk trace 1", "at", "server", "step", "role", "epoch", "last_zxid", "committed_zxid", "what"]


class TraceFile:
    """Written line by line."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("wb")  # noqa: SIM115 - closed by __exit__
        self._packer = msgpack.Packer()
        self._file.write(self._packer.pack(HEADER))

    def write(self, line: TraceLine) -> None:
        """One more line."""
        self._file.write(self._packer.pack(line.packed()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def read_trace(path: str) -> Iterator[TraceLine]:
    """The lines of a file. Raises PyzkError for one that is none."""
    try:
        with Path(path).open("rb") as file:
            stream = msgpack.Unpacker(file)
            if next(stream, None) != HEADER:
                raise PyzkError(f"{path} is no trace: write one with `pyzk sim --seed N --trace-file {path}`")
            for fields in stream:
                yield TraceLine(*fields)
    except OSError as error:
        raise PyzkError(f"{path}: {error.strerror}") from error
    except (msgpack.UnpackException, ValueError, TypeError) as error:
        raise PyzkError(f"{path} is damaged: {error}") from error
