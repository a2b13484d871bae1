"""The commands: options, usage and function of each, in one table."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pyzk.tools.shell import drawing, quotas, reading, watching, writing
from pyzk.tools.shell.options import CommandError, Given, Option, Syntax
from pyzk.tools.shell.session import Session

Work = Callable[[Session, Given], Awaitable[object]]

STAT, WATCH = Option("s", summary="stat"), Option("w", summary="watch")
VERSION = Option("v", takes=True, summary="version")

NO_OPTIONS = Syntax()
GET_OPTIONS = Syntax(
    (
        Option("s", summary="Print znode stats additionally"),
        Option("w", summary="Watch for changes on the znode"),
        Option("b", summary="Output data in base64 format"),
        Option("x", summary="Output data in hexdump format"),
    )
)
SET_OPTIONS = Syntax(
    (
        Option("s", summary="Print znode stats additionally"),
        Option("v", takes=True, summary="Set with an expected version"),
        Option("b", summary="Supply data in base64 format"),
    )
)
CREATE_OPTIONS = Syntax((Option("e"), Option("s"), Option("c"), Option("t", takes=True)))
SET_QUOTA_OPTIONS = Syntax(
    (
        Option("n", takes=True, summary="num soft quota"),
        Option("b", takes=True, summary="bytes soft quota"),
        Option("N", takes=True, summary="num hard quota"),
        Option("B", takes=True, summary="bytes hard quota"),
    ),
    exclusive=True,
    required=True,
)
DELETE_QUOTA_OPTIONS = Syntax((Option("n"), Option("b"), Option("N"), Option("B")), exclusive=True)
RECONFIG_OPTIONS = Syntax((STAT, VERSION, *(Option(name, takes=True) for name in writing.RECONFIG_MODES)))
RECONFIG_USAGE = (
    "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | "
    "[-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]"
)
REMOVE_OPTIONS = Syntax(tuple(Option(name) for name in (*watching.KINDS, "l")))


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Args:
        work: what it does.
        usage: what follows its name in the usage text.
        syntax: its options.
        words_min: how many words it needs, itself included.
        deprecated: the form with a third word is complained about with this text; with `is_watch` it means -w.
        with_table: the usage text of this command has the option table.
        is_raw: options are not looked at, as Java's `close` and `whoami` do it.
        is_ours: zkCli.sh does not have it.
        summary: for `help`.
    """

    work: Work
    usage: str = ""
    syntax: Syntax = NO_OPTIONS
    words_min: int = 1
    deprecated: str = ""
    is_watch: bool = False
    with_table: bool = False
    is_raw: bool = False
    is_ours: bool = False
    summary: str = ""

    def usage_text(self, name: str) -> str:
        """What a call with too few words is told."""
        line = f"{name} {self.usage}"
        return f"{line}\n{self.syntax.table()}\n" if self.with_table else line


async def close(session: Session, given: Given) -> object:
    """End the session."""
    del given
    await session.close()
    return {"closed": True}


def _deprecated(old: str, new: str) -> str:
    return f"'{old}' has been deprecated. Please use '{new}' instead."


COMMANDS: dict[str, Command] = {
    "addWatch": Command(
        watching.add_watch, watching.USAGE, Syntax((Option("m", takes=True),)), summary="watch for good"
    ),
    "addauth": Command(writing.add_auth, "scheme auth", words_min=2, summary="add an identity"),
    "close": Command(close, is_raw=True, summary="end the session"),
    "config": Command(
        reading.config, "[-c] [-w] [-s]", Syntax((STAT, WATCH, Option("c"))), summary="members of the ensemble"
    ),
    "create": Command(
        writing.create,
        "[-s] [-e] [-c] [-t ttl] path [data] [acl]",
        CREATE_OPTIONS,
        2,
        summary="a new znode: sequential, ephemeral, container, with a TTL in ms",
    ),
    "delete": Command(
        writing.delete,
        "[-v version] path",
        Syntax((VERSION,)),
        2,
        _deprecated("delete path [version]", "delete [-v version] path"),
        summary="remove a znode",
    ),
    "deleteall": Command(
        writing.delete_all,
        "path [-b batch size]",
        Syntax((Option("b", takes=True),)),
        2,
        summary="remove a znode and all below it",
    ),
    "delquota": Command(quotas.delete_quota, "[-n|-b|-N|-B] path", DELETE_QUOTA_OPTIONS, 2, summary="remove a quota"),
    "get": Command(
        reading.get,
        "[-s] [-w] [-b] [-x] path",
        GET_OPTIONS,
        2,
        _deprecated("get path [watch]", "get [-s] [-w] path"),
        is_watch=True,
        with_table=True,
        summary="data: as text, Base64 or a hex dump",
    ),
    "getAcl": Command(reading.get_acl, "[-s] path", Syntax((STAT,)), 2, summary="who may do what"),
    "getAllChildrenNumber": Command(
        reading.get_all_children_number, "path", words_min=2, summary="how many znodes are below"
    ),
    "getEphemerals": Command(reading.get_ephemerals, "path", summary="ephemeral znodes of this session"),
    "listquota": Command(quotas.list_quota, "path", words_min=2, summary="limits and usage"),
    "ls": Command(
        reading.ls,
        "[-s] [-w] [-R] path",
        Syntax((STAT, WATCH, Option("R"), Option("?"))),
        2,
        _deprecated("ls path [watch]", "ls [-w] path"),
        is_watch=True,
        summary="children; -R all below",
    ),
    "reconfig": Command(writing.reconfig, RECONFIG_USAGE, RECONFIG_OPTIONS, summary="change the members"),
    "removewatches": Command(
        watching.remove_watches, "path [-c|-d|-a] [-l]", REMOVE_OPTIONS, 2, summary="forget watches"
    ),
    "set": Command(
        writing.set_data,
        "path data [-s] [-v version] [-b]",
        SET_OPTIONS,
        3,
        with_table=True,
        summary="replace the data",
    ),
    "setAcl": Command(
        writing.set_acl,
        "[-s] [-v version] [-R] path acl",
        Syntax((STAT, VERSION, Option("R"))),
        3,
        summary="replace the ACL; -R of all below too",
    ),
    "setquota": Command(
        quotas.set_quota, "-n|-b|-N|-B val path", SET_QUOTA_OPTIONS, 2, summary="limit a subtree: soft and hard"
    ),
    "stat": Command(
        reading.stat,
        "[-w] path",
        Syntax((WATCH,)),
        2,
        _deprecated("stat path [watch]", "stat [-w] path"),
        is_watch=True,
        summary="the numbers of a znode",
    ),
    "sync": Command(reading.sync, "path", words_min=2, summary="see every write before now"),
    "tree": Command(
        drawing.tree,
        "[-s] [-d depth] [path]",
        Syntax((STAT, Option("d", takes=True))),
        is_ours=True,
        summary="everything below, drawn; -s with sizes",
    ),
    "version": Command(reading.version, summary="of this shell"),
    "whoami": Command(reading.whoami, is_raw=True, summary="identities of this connection"),
}
"""What goes to a server. What the shell does by itself is in `interpreter`."""


def require_words(name: str, command: Command, given: Given) -> None:
    """Let a command pass that has the words it needs. Raises CommandError with its usage."""
    is_reconfig_of_nothing = name == "reconfig" and not given.options.keys() & set(writing.RECONFIG_MODES)
    if len(given.words) < command.words_min or is_reconfig_of_nothing:
        raise CommandError(command.usage_text(name))
