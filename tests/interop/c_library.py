"""Debian's libzookeeper_mt.so.2 (the C client of ZooKeeper 3.8.0) through ctypes: no compiler needed.

Every call returns the text that the transcript shows: the result's name and the value. Function signatures and struct
layouts: /usr/include/zookeeper/zookeeper.h of Debian's libzookeeper-mt-dev 3.8.0.
"""

import ctypes as c
import queue
from typing import Any

from tests.interop.apache import UnavailableError

LIBRARY = "libzookeeper_mt.so.2"
EVENT_TIMEOUT_S = 20.0
VALUE_BYTES_MAX = 1 << 21
LOG_NOTHING = 0
EVENTS = {1: "created", 2: "deleted", 3: "changed", 4: "child", -1: "session", -2: "not watching"}
STATES = {-112: "expired", -113: "auth failed", 1: "connecting", 2: "associating", 3: "connected", 999: "not connected"}

Watcher = c.CFUNCTYPE(None, c.c_void_p, c.c_int, c.c_int, c.c_char_p, c.c_void_p)
StringCompletion = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)
VoidCompletion = c.CFUNCTYPE(None, c.c_int, c.c_void_p)


class ClientId(c.Structure):
    # Not c_char: ctypes would end a password at its first zero byte.
    _fields_ = (("session", c.c_int64), ("password", c.c_ubyte * 16))


class Id(c.Structure):
    _fields_ = (("scheme", c.c_char_p), ("id", c.c_char_p))


class Acl(c.Structure):
    _fields_ = (("perms", c.c_int32), ("id", Id))


class AclVector(c.Structure):
    _fields_ = (("count", c.c_int32), ("data", c.POINTER(Acl)))


class StringVector(c.Structure):
    _fields_ = (("count", c.c_int32), ("data", c.POINTER(c.c_char_p)))


class Stat(c.Structure):
    _fields_ = (
        ("czxid", c.c_int64),
        ("mzxid", c.c_int64),
        ("ctime", c.c_int64),
        ("mtime", c.c_int64),
        ("version", c.c_int32),
        ("cversion", c.c_int32),
        ("aversion", c.c_int32),
        ("ephemeral_owner", c.c_int64),
        ("data_length", c.c_int32),
        ("num_children", c.c_int32),
        ("pzxid", c.c_int64),
    )

    def shown(self) -> str:
        owner = "somebody" if self.ephemeral_owner > 0 else str(self.ephemeral_owner)
        return (
            f"czxid={self.czxid} mzxid={self.mzxid} pzxid={self.pzxid} version={self.version} cversion={self.cversion}"
            f" aversion={self.aversion} owner={owner} length={self.data_length} children={self.num_children}"
        )


class Operation(c.Structure):
    """zoo_op_t, filled by zoo_*_op_init: a type and a union of at most eight words."""

    _fields_ = (("words", c.c_int64 * 9),)


class OperationResult(c.Structure):
    _fields_ = (("err", c.c_int), ("value", c.c_char_p), ("valuelen", c.c_int), ("stat", c.POINTER(Stat)))


def load() -> c.CDLL:
    try:
        library = c.CDLL(LIBRARY)
    except OSError as missing:
        raise UnavailableError(f"Debian's libzookeeper-mt2 is not installed: {missing}") from missing
    library.zookeeper_init.restype = c.c_void_p
    library.zerror.restype = c.c_char_p
    library.zoo_client_id.restype = c.POINTER(ClientId)
    library.zoo_set_debug_level(LOG_NOTHING)
    return library


def acl_vector(*entries: tuple[int, bytes, bytes]) -> AclVector:
    array = (Acl * len(entries))(*(Acl(perms, Id(scheme, name)) for perms, scheme, name in entries))
    return AclVector(len(entries), array)


OPEN_ACL = acl_vector((31, b"world", b"anyone"))


class Session:
    """One handle. `events` has what its watches told, as text."""

    def __init__(self, library: c.CDLL, port: int, timeout_ms: int = 10000, resume: ClientId | None = None) -> None:
        self.library = library
        self.states: queue.Queue[str] = queue.Queue()
        self.events: queue.Queue[str] = queue.Queue()
        # ctypes' callbacks must outlive the handle.
        self._on_state = Watcher(self._state)
        self._on_event = Watcher(self._event)
        host = f"127.0.0.1:{port}".encode()
        identity = c.byref(resume) if resume else None
        handle = library.zookeeper_init(host, self._on_state, timeout_ms, identity, None, 0)
        self.handle = c.c_void_p(handle)

    def _state(self, _handle: int, kind: int, state: int, path: bytes, _context: int) -> None:
        if kind == -1:
            self.states.put(STATES.get(state, str(state)))
        else:
            self.events.put(f"default watcher: {EVENTS[kind]} {path.decode()}")

    def _event(self, _handle: int, kind: int, state: int, path: bytes, _context: int) -> None:
        # A watcher is told of the session's ups and downs too; how many of them it sees depends on timing.
        if kind != -1:
            self.events.put(f"{EVENTS.get(kind, kind)} {path.decode()} {STATES.get(state, state)}")

    def wait_state(self, wanted: str) -> str:
        while (state := self.states.get(timeout=EVENT_TIMEOUT_S)) != wanted:
            pass
        return state

    def next_event(self) -> str:
        return self.events.get(timeout=EVENT_TIMEOUT_S)

    @property
    def identity(self) -> ClientId:
        identity = self.library.zoo_client_id(self.handle).contents
        return ClientId(identity.session, identity.password)

    def close(self) -> str:
        return self._name(self.library.zookeeper_close(self.handle))

    def _name(self, code: int) -> str:
        return self.library.zerror(code).decode() if code else "ok"

    def _call(self, function: str, *arguments: Any) -> str:
        return self._name(getattr(self.library, function)(self.handle, *arguments))

    def create(
        self, path: bytes, data: bytes | None = b"", flags: int = 0, acl: AclVector = OPEN_ACL, ttl: int = -1
    ) -> str:
        out, stat = c.create_string_buffer(1024), Stat()
        length = -1 if data is None else len(data)
        tail = (c.byref(acl), flags)
        if ttl >= 0:
            name = self._call("zoo_create2_ttl", path, data, length, *tail, c.c_int64(ttl), out, 1024, c.byref(stat))
        else:
            name = self._call("zoo_create2", path, data, length, *tail, out, 1024, c.byref(stat))
        return f"{name} {out.value.decode()} {stat.shown()}" if name == "ok" else name

    def delete(self, path: bytes, version: int = -1) -> str:
        return self._call("zoo_delete", path, version)

    def exists(self, path: bytes, *, watch: bool = False) -> str:
        stat = Stat()
        name = self._call("zoo_wexists", path, self._watcher(watch), None, c.byref(stat))
        return f"{name} {stat.shown()}" if name == "ok" else name

    def get(self, path: bytes, *, watch: bool = False) -> str:
        buffer, length, stat = c.create_string_buffer(VALUE_BYTES_MAX), c.c_int(VALUE_BYTES_MAX), Stat()
        name = self._call("zoo_wget", path, self._watcher(watch), None, buffer, c.byref(length), c.byref(stat))
        if name != "ok":
            return name
        data = None if length.value < 0 else buffer.raw[: length.value]
        shown = repr(data) if data is None or len(data) < 100 else f"{len(data)} bytes of {set(data)}"
        return f"{name} {shown} {stat.shown()}"

    def set(self, path: bytes, data: bytes, version: int = -1) -> str:
        stat = Stat()
        name = self._call("zoo_set2", path, data, len(data), version, c.byref(stat))
        return f"{name} {stat.shown()}" if name == "ok" else name

    def children(self, path: bytes, *, watch: bool = False) -> str:
        names, stat = StringVector(), Stat()
        name = self._call("zoo_wget_children2", path, self._watcher(watch), None, c.byref(names), c.byref(stat))
        if name != "ok":
            return name
        listed = sorted(names.data[index].decode() for index in range(names.count))
        return f"{name} {listed} {stat.shown()}"

    def get_acl(self, path: bytes) -> str:
        acl, stat = AclVector(), Stat()
        name = self._call("zoo_get_acl", path, c.byref(acl), c.byref(stat))
        if name != "ok":
            return name
        entries = [acl.data[index] for index in range(acl.count)]
        listed = [f"{entry.id.scheme.decode()}:{entry.id.id.decode()}:{entry.perms}" for entry in entries]
        return f"{name} {listed} {stat.shown()}"

    def set_acl(self, path: bytes, acl: AclVector, version: int = -1) -> str:
        return self._call("zoo_set_acl", path, version, c.byref(acl))

    def remove_watches(self, path: bytes, kind: int) -> str:
        return self._call("zoo_remove_watches", path, kind, self._on_event, None, 0)

    def sync(self, path: bytes) -> str:
        done: queue.Queue[str] = queue.Queue()
        completion = StringCompletion(lambda code, value, _: done.put(f"{self._name(code)} {(value or b'').decode()}"))
        sent = self._call("zoo_async", path, completion, None)
        return f"{sent}, then {done.get(timeout=EVENT_TIMEOUT_S)}"

    def add_auth(self, scheme: bytes, secret: bytes) -> str:
        done: queue.Queue[str] = queue.Queue()
        completion = VoidCompletion(lambda code, _: done.put(self._name(code)))
        sent = self._call("zoo_add_auth", scheme, secret, len(secret), completion, None)
        return f"{sent}, then {done.get(timeout=EVENT_TIMEOUT_S)}"

    def config(self) -> str:
        buffer, length, stat = c.create_string_buffer(4096), c.c_int(4096), Stat()
        name = self._call("zoo_getconfig", 0, buffer, c.byref(length), c.byref(stat))
        return f"{name} {buffer.raw[: max(length.value, 0)]!r} version={stat.version}"

    def multi(self, *operations: tuple[Any, ...]) -> list[str]:
        """Operations: ("create", path, data, flags), ("delete", path, version), ("set", path, data, version), ..."""
        count = len(operations)
        array, results = (Operation * count)(), (OperationResult * count)()
        stats = [Stat() for _ in operations]
        kept = [self._fill(array[index], operation, stats[index]) for index, operation in enumerate(operations)]
        lines = [self._call("zoo_multi", count, array, results)]
        for index, operation in enumerate(operations):
            extra = kept[index].value.decode() if kept[index] is not None else ""
            lines.append(f"  {operation[0]} {self._name(results[index].err)} {extra}".rstrip())
        return lines

    def _fill(self, into: Operation, operation: tuple[Any, ...], stat: Stat) -> Any:
        kind, path, *rest = operation
        library = self.library
        if kind == "create":
            data, flags = rest
            out = c.create_string_buffer(1024)
            library.zoo_create_op_init(c.byref(into), path, data, len(data), c.byref(OPEN_ACL), flags, out, 1024)
            return out
        if kind == "set":
            data, version = rest
            library.zoo_set_op_init(c.byref(into), path, data, len(data), version, c.byref(stat))
        elif kind == "delete":
            library.zoo_delete_op_init(c.byref(into), path, rest[0])
        else:
            library.zoo_check_op_init(c.byref(into), path, rest[0])
        return None

    def _watcher(self, watch: object) -> Any:
        return self._on_event if watch else None
