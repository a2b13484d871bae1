"""What the shell prints: the Stat block, the hex dump, messages of errors; and paths as Java's client checks them."""

from pyzk import errors
from pyzk.codec.opcodes import Perms
from pyzk.codec.records import ACL, Stat
from pyzk.errors import PyzkError
from pyzk.tools.javatext import date, hexadecimal, text_of
from pyzk.tools.shell.options import CommandError

TITLES: dict[int, str] = {
    -101: "Node does not exist: ",
    -108: "Ephemerals cannot have children: ",
    -110: "Node already exists: ",
    -111: "Node not empty: ",
    -119: "Not a read-only call: ",
    -114: "Acl is not valid : ",
    -102: "Insufficient permission : ",
    -8: "Arguments are not valid : ",
    -103: "version No is not valid : ",
    -125: "Quota has exceeded : ",
}
"""Codes for which zkCli.sh has a sentence of its own; the path follows."""

SENTENCES: dict[int, str] = {
    -14: "Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)",
    -13: "No quorum of new config is connected and up-to-date with the leader of last commmitted config - "
    "try invoking reconfiguration after new servers are connected and synced",
}

CODE_NAMES: dict[int, str] = {
    -1: "SystemError",
    -2: "RuntimeInconsistency",
    -3: "DataInconsistency",
    -4: "ConnectionLoss",
    -5: "MarshallingError",
    -6: "Unimplemented",
    -8: "BadArguments",
    -12: "UnknownSession",
    -13: "NewConfigNoQuorum",
    -14: "ReconfigInProgress",
    -100: "APIError",
    -101: "NoNode",
    -102: "NoAuth",
    -103: "BadVersion",
    -108: "NoChildrenForEphemerals",
    -110: "NodeExists",
    -111: "Directory not empty",
    -112: "Session expired",
    -114: "InvalidACL",
    -115: "AuthFailed",
    -118: "Session moved",
    -119: "Not a read-only call",
    -120: "Ephemeral node on local session",
    -121: "No such watcher",
    -123: "Reconfig is disabled",
    -124: "Session closed because client failed to authenticate",
    -125: "Quota has exceeded",
    -127: "Op throttled due to high load",
}


class RequestFailedError(CommandError):
    """A request that failed, with the path it was about."""

    def __init__(self, error: PyzkError, path: str | None) -> None:
        self.error = error
        self.path = path
        self.code = _code_of(error)
        super().__init__(self._sentence())

    @property
    def keeper_message(self) -> str:
        """KeeperException.getMessage."""
        name = CODE_NAMES.get(self.code, f"Unknown error {self.code}")
        return f"KeeperErrorCode = {name} for {self.path}" if self.path else f"KeeperErrorCode = {name}"

    def _sentence(self) -> str:
        if self.code in TITLES:
            return f"{TITLES[self.code]}{'null' if self.path is None else self.path}"
        return SENTENCES.get(self.code) or self.keeper_message


def _code_of(error: PyzkError) -> int:
    if isinstance(error, errors.RequestError):
        return error.code
    return -112 if isinstance(error, errors.SessionClosedError) else -4


def stat_lines(stat: Stat) -> str:
    """The block of eleven lines."""
    return "\n".join(
        [
            f"cZxid = 0x{hexadecimal(stat.czxid)}",
            f"ctime = {date(stat.ctime)}",
            f"mZxid = 0x{hexadecimal(stat.mzxid)}",
            f"mtime = {date(stat.mtime)}",
            f"pZxid = 0x{hexadecimal(stat.pzxid)}",
            f"cversion = {stat.cversion}",
            f"dataVersion = {stat.version}",
            f"aclVersion = {stat.aversion}",
            f"ephemeralOwner = 0x{hexadecimal(stat.ephemeral_owner)}",
            f"dataLength = {stat.data_length}",
            f"numChildren = {stat.num_children}",
        ]
    )


def stat_value(stat: Stat) -> dict[str, object]:
    """The Stat for --json: zxids and the session as text, because JSON numbers end at 53 bits."""
    return {
        "czxid": f"0x{hexadecimal(stat.czxid)}",
        "mzxid": f"0x{hexadecimal(stat.mzxid)}",
        "pzxid": f"0x{hexadecimal(stat.pzxid)}",
        "ctime_ms": stat.ctime,
        "mtime_ms": stat.mtime,
        "version": stat.version,
        "cversion": stat.cversion,
        "aversion": stat.aversion,
        "ephemeral_owner": f"0x{hexadecimal(stat.ephemeral_owner)}",
        "data_length": stat.data_length,
        "num_children": stat.num_children,
    }


def hex_dump(data: bytes) -> str:
    """Netty's pretty dump; nothing for no bytes."""
    if not data:
        return ""
    rule = "+--------+-------------------------------------------------+----------------+"
    lines = [f"         {rule[9:60]}", "         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |", rule]
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        shown = "".join(chr(byte) if 0x1F < byte < 0x7F else "." for byte in row)
        lines.append(f"|{start:08x}| {row.hex(' '):47} |{shown:16}|")
    return "\n".join([*lines, rule])


PERMISSION_LETTERS = (
    ("c", Perms.CREATE.value),
    ("d", Perms.DELETE.value),
    ("r", Perms.READ.value),
    ("w", Perms.WRITE.value),
    ("a", Perms.ADMIN.value),
)


def permission_letters(perms: int) -> str:
    """Permissions as getAcl prints them."""
    return "".join(letter for letter, bit in PERMISSION_LETTERS if perms & bit)


def acl_lines(acl: ACL) -> str:
    """An entry as Java prints it: an Id ends with a line end."""
    return f"'{text_of(acl.scheme)},'{text_of(acl.id)}\n: {permission_letters(acl.perms)}"


def require_path(path: str, *, sequential: bool = False) -> str:
    """Let a path pass that Java's client would send. Raises CommandError with its words."""
    checked = f"{path}1" if sequential else path
    if not checked:
        raise CommandError("Path length must be > 0")
    if checked[0] != "/":
        raise CommandError("Path must start with / character")
    if len(checked) > 1 and checked[-1] == "/":
        raise CommandError("Path must not end with / character")
    reason = _flaw(checked)
    if reason is not None:
        raise CommandError(f'Invalid path string "{checked}" caused by {reason}')
    return path


def _flaw(path: str) -> str | None:
    for at in range(1, len(path)):
        character, before = path[at], path[at - 1]
        ends_here = path[at + 1 : at + 2] in {"", "/"}
        if character == "\0":
            return f"null character not allowed @{at}"
        if character == before == "/":
            return f"empty node name specified @{at}"
        if character == "." and ends_here and (before == "/" or path[at - 2 : at] == "/."):
            return f"relative paths not allowed @{at}"
        if _is_forbidden(character):
            return f"invalid character @{at}"
    return None


def _is_forbidden(character: str) -> bool:
    """Beyond the BMP there are surrogates in Java, which are not allowed."""
    return (
        "\x01" <= character <= "\x1f"
        or "\x7f" <= character <= "\x9f"
        or "\ud800" <= character <= "\uf8ff"
        or character >= "\ufff0"
    )
