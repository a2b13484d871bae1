"""The process that writes the txn log for `pyzk.server.logprocess`; it imports no event loop, so it starts fast.

Over a socket come requests (length, roll, then each payload with its length); answers are the kind of error, 0 for
none, and its text.
"""

import signal
import sys
from socket import socket
from struct import Struct

from pyzk.errors import DiskFullError, FsyncError, StorageError
from pyzk.server.files import FileDisk
from pyzk.storage.logreader import ZXID
from pyzk.storage.txnlog import Batch, TxnLog

REQUEST = Struct(">I?")
LENGTH = Struct(">I")
ANSWER = Struct(">BI")

ERRORS: list[type[StorageError]] = [StorageError, DiskFullError, FsyncError]
"""By the kind in an answer, less one; kind 0 is success."""


def read_exactly(connection: socket, size: int) -> bytearray | None:
    """`size` bytes, None at the end of the stream."""
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        count = connection.recv_into(view[got:])
        if count == 0:
            return None
        got += count
    return data


def parse_batch(body: bytes) -> Batch:
    """The txns of a request."""
    batch, position = [], 0
    while position < len(body):
        start = position + LENGTH.size
        position = start + LENGTH.unpack_from(body, position)[0]
        payload = body[start:position]
        batch.append((ZXID.unpack_from(payload)[0], payload))
    return batch


def serve(connection: socket, log: TxnLog) -> None:
    """The child's loop: until the parent closes the connection, or is no more."""
    while (head := read_exactly(connection, REQUEST.size)) is not None:
        size, roll = REQUEST.unpack(head)
        body = read_exactly(connection, size)
        if body is None:
            return
        error = log.attempt(parse_batch(bytes(body)), roll=roll)
        kind = 0 if error is None else ERRORS.index(type(error)) + 1
        text = b"" if error is None else str(error).encode()
        connection.sendall(ANSWER.pack(kind, len(text)) + text)


def main() -> None:
    """The child: `python -m pyzk.server.logchild DESCRIPTOR DIRECTORY PREALLOCATE_BYTES BATCH_BYTES_MAX SYNC`."""
    # Ctrl-C reaches the whole process group; the parent decides when it is over.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    descriptor, directory, preallocate_bytes, batch_bytes_max, sync = sys.argv[1:]
    log = TxnLog(
        FileDisk(),
        directory,
        preallocate_bytes=int(preallocate_bytes),
        batch_bytes_max=int(batch_bytes_max),
        sync=sync == "1",
    )
    with socket(fileno=int(descriptor)) as connection:
        serve(connection, log)
    log.close()


if __name__ == "__main__":
    main()
