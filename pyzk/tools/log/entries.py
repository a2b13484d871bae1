"""One txn of a log: its name, its paths, and what is shown of it."""

import base64
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import ACL, OPEN_ACL
from pyzk.codec.txns import (
    CloseSessionTxn,
    CreateSessionTxn,
    CreateTTLTxn,
    ErrorTxn,
    MultiTxn,
    Txn,
    decode_sub_txn,
    decode_txn,
)
from pyzk.errors import DecodeError
from pyzk.tools.javatext import hexadecimal, text_of
from pyzk.tools.output import iso_time
from pyzk.tools.shell.texts import permission_letters

OPEN_TO_ALL = ["world:anyone:cdrwa"]
"""Not worth a word on a line for people."""

TEXT_SHOWN_MAX = 60
"""Characters of data on a line for people."""


@cache
def java_name(opcode: int) -> str:
    """Request.op2String: `createSession`, `setACL`."""
    try:
        words = OpCode(opcode).name.lower().split("_")
    except ValueError:
        return f"unknown {opcode}"
    name = words[0] + "".join(word.title() for word in words[1:])
    return {"setAcl": "setACL", "getAcl": "getACL", "createTtl": "createTTL", "whoAmI": "whoAmI"}.get(name, name)


TYPE_NAMES = {
    java_name(kind).lower(): int(kind)
    for kind in (
        OpCode.CREATE,
        OpCode.CREATE2,
        OpCode.CREATE_CONTAINER,
        OpCode.CREATE_TTL,
        OpCode.DELETE,
        OpCode.DELETE_CONTAINER,
        OpCode.SET_DATA,
        OpCode.RECONFIG,
        OpCode.SET_ACL,
        OpCode.CHECK,
        OpCode.MULTI,
        OpCode.CREATE_SESSION,
        OpCode.CLOSE_SESSION,
        OpCode.ERROR,
    )
}
"""Types of txns by the name that is written on the command line, in any case."""


@dataclass(slots=True)
class Entry:
    """A txn and where it stands."""

    file: str
    offset: int
    txn: Txn

    FIELDS: ClassVar[tuple[str, ...]] = ("parent_cversion", "version", "timeout_ms", "ttl_ms", "ephemeral", "err")

    @classmethod
    def decode(cls, file: str, offset: int, payload: bytes) -> "Entry":
        """Raises DecodeError."""
        return cls(file, offset, decode_txn(payload))

    @property
    def members(self) -> list[tuple[int, Record | None]]:
        """The ops of a multi with their types, or the txn itself; None for one that cannot be decoded."""
        if not isinstance(self.txn.record, MultiTxn):
            return [(self.txn.header.type, self.txn.record)]
        return [(sub.type, _sub_record(sub)) for sub in self.txn.record.txns]

    @property
    def paths(self) -> list[bytes]:
        """Every znode that the txn changes."""
        found: list[bytes] = []
        for _, record in self.members:
            if isinstance(record, CloseSessionTxn):
                found += record.paths or []
            elif record is not None and hasattr(record, "path"):
                found.append(record.path)
        return found

    def value(self) -> dict[str, object]:
        """The txn for JSON: zxids and sessions as text, because JSON numbers end at 53 bits."""
        header, digest = self.txn.header, self.txn.digest
        value: dict[str, object] = {
            "zxid": f"0x{hexadecimal(header.zxid)}",
            "time_ms": header.time_ms,
            "time": iso_time(header.time_ms),
            "session": f"0x{hexadecimal(header.client_id)}",
            "cxid": header.cxid,
            "type": java_name(header.type),
        }
        if isinstance(self.txn.record, MultiTxn):
            value["members"] = [{"type": java_name(kind), **record_value(record)} for kind, record in self.members]
        else:
            value |= record_value(self.txn.record)
        if digest is not None:
            value["digest"] = f"0x{hexadecimal(digest.tree_digest)}"
        return value | {"file": self.file, "offset": self.offset}

    def line(self) -> str:
        """The txn for people."""
        header = self.txn.header
        who = f"session 0x{hexadecimal(header.client_id)} cxid {header.cxid}"
        if isinstance(self.txn.record, MultiTxn):
            what = "; ".join(f"{java_name(kind)} {record_line(record)}".rstrip() for kind, record in self.members)
        else:
            what = record_line(self.txn.record)
        when = iso_time(header.time_ms)
        return f"0x{hexadecimal(header.zxid)}  {when}  {who}  {java_name(header.type)} {what}".rstrip()


def _sub_record(sub: object) -> Record | None:
    try:
        return decode_sub_txn(sub)  # type: ignore[arg-type]
    except DecodeError:
        return None


def record_value(record: Record | None) -> dict[str, object]:
    """A record for JSON."""
    if record is None:
        return {"undecodable": True}
    value: dict[str, object] = {}
    if isinstance(record, CloseSessionTxn):
        value["paths"] = None if record.paths is None else [text_of(path) for path in record.paths]
    if hasattr(record, "path"):
        value["path"] = text_of(record.path)
    if hasattr(record, "data"):
        value |= data_value(record.data)
    if hasattr(record, "acl"):
        value["acl"] = acl_value(record.acl)
    return value | {name: getattr(record, name) for name in Entry.FIELDS if hasattr(record, name)}


def data_value(data: bytes | None) -> dict[str, object]:
    """Data for JSON: text if it is UTF-8, Base64 if not."""
    try:
        return {"data": None if data is None else data.decode()}
    except UnicodeDecodeError:
        return {"data_base64": base64.b64encode(data or b"").decode()}


def acl_value(acl: list[ACL] | None) -> list[str]:
    """An ACL as the shell takes it: scheme:id:perms."""
    if acl is OPEN_ACL:  # what nearly every create has, and decoding gives out as one object
        return OPEN_TO_ALL
    entries = acl or []
    return [f"{text_of(entry.scheme)}:{text_of(entry.id)}:{permission_letters(entry.perms)}" for entry in entries]


def record_line(record: Record | None) -> str:
    """A record for people."""
    if record is None:
        return "(cannot be decoded)"
    if isinstance(record, CreateSessionTxn):
        return f"timeout {record.timeout_ms} ms"
    if isinstance(record, ErrorTxn):
        return str(record.err)
    if isinstance(record, CloseSessionTxn):
        return " ".join(text_of(path) for path in record.paths or [])
    parts = [text_of(getattr(record, "path", None))]
    if getattr(record, "ephemeral", False):
        parts.append("ephemeral")
    if isinstance(record, CreateTTLTxn):
        parts.append(f"ttl {record.ttl_ms} ms")
    if hasattr(record, "version"):
        parts.append(f"version {record.version}")
    if hasattr(record, "acl") and acl_value(record.acl) != OPEN_TO_ALL:
        parts.append(",".join(acl_value(record.acl)))
    if hasattr(record, "data"):
        parts.append(data_line(record.data))
    return " ".join(part for part in parts if part)


def data_line(data: bytes | None) -> str:
    """How many bytes, and the first of them where they are text."""
    if not data:
        return "null" if data is None else "0 bytes"
    text = text_of(data[: 4 * TEXT_SHOWN_MAX])
    if not text.isprintable():
        return f"{len(data)} bytes"
    shown = text if len(text) <= TEXT_SHOWN_MAX else f"{text[:TEXT_SHOWN_MAX]}..."
    return f"{len(data)} bytes: {shown}"
