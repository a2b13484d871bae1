"""Commands that change znodes, and the membership."""

import base64
import binascii
import re

from pyzk.client import operations
from pyzk.client.operations import first_failure, make_acl
from pyzk.codec.opcodes import CreateMode, Perms
from pyzk.codec.records import ACL
from pyzk.errors import ConfigError, EphemeralOnLocalSessionError, InvalidAclError, NoNodeError
from pyzk.tools.javatext import text_of
from pyzk.tools.shell.options import CommandError, Given
from pyzk.tools.shell.reading import walk
from pyzk.tools.shell.session import Session, read_file
from pyzk.tools.shell.texts import RequestFailedError, require_path, stat_lines, stat_value
from pyzk.tree.node import TTL_MS_MAX

WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
PERMISSIONS = {"r": Perms.READ, "w": Perms.WRITE, "c": Perms.CREATE, "d": Perms.DELETE, "a": Perms.ADMIN}
BATCH_DEFAULT = 1000

MODES: dict[tuple[bool, bool, bool], CreateMode] = {
    (False, False, False): CreateMode.PERSISTENT,
    (False, False, True): CreateMode.PERSISTENT_WITH_TTL,
    (False, True, False): CreateMode.PERSISTENT_SEQUENTIAL,
    (False, True, True): CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL,
    (True, False, False): CreateMode.EPHEMERAL,
    (True, True, False): CreateMode.EPHEMERAL_SEQUENTIAL,
}
"""By ephemeral, sequential, with TTL."""


async def create(session: Session, given: Given) -> object:
    """A new znode; -e ephemeral, -s sequential, -c container, -t TTL in ms."""
    mode, ttl_ms = _create_mode(given)
    path = given.word(1)
    data = given.word(2).encode("utf-8", "replace") if len(given.words) > 2 else None
    acl = parse_acl(session, given.word(3)) if len(given.words) > 3 else None
    require_path(path, sequential="s" in given)
    try:
        _require_acl(acl)
        created = await session.ask(path, session.client.create, path, data, mode=mode, ttl_ms=ttl_ms, acl=acl)
    except RequestFailedError as failure:
        if isinstance(failure.error, EphemeralOnLocalSessionError):
            session.screen.note("Unable to create ephemeral node on a local session")
        if isinstance(failure.error, InvalidAclError):
            session.screen.note(failure.keeper_message)
        raise
    session.screen.note(f"Created {created}")
    return {"path": created}


def _create_mode(given: Given) -> tuple[CreateMode, int | None]:
    if "c" in given and ("e" in given or "s" in given):
        raise CommandError("-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.")
    ttl_ms = None
    if "t" in given:
        if not WHOLE_NUMBER.fullmatch(given.value("t")):
            raise CommandError("-t argument must be a long value")
        ttl_ms = int(given.value("t"))
        for option, kind in (("e", "Ephemeral"), ("c", "Container")):
            if option in given:
                raise CommandError(f"TTLs cannot be used with {kind} znodes")
        if not 0 < ttl_ms <= TTL_MS_MAX:
            raise CommandError(f"ttl must be positive and cannot be larger than: {TTL_MS_MAX}")
    if "c" in given:
        return CreateMode.CONTAINER, None
    return MODES["e" in given, "s" in given, ttl_ms is not None], ttl_ms


async def set_data(session: Session, given: Given) -> object:
    """Replace the data; -v only this version, -b data is Base64, -s Stat."""
    path, text = require_path(given.word(1)), given.word(2)
    data = _decoded(text) if "b" in given else text.encode("utf-8", "replace")
    found = await session.ask(path, session.client.set, path, data, _version(given))
    if "s" in given:
        session.screen.say(stat_lines(found))
    return {"path": path, "stat": stat_value(found)}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise CommandError(f"-b: {text} is not Base64: {error}") from error


def _version(given: Given) -> int:
    if "v" not in given:
        return -1
    text = given.value("v")
    if not WHOLE_NUMBER.fullmatch(text) or not -(2**31) <= int(text) < 2**31:
        raise CommandError(f"-v {text}: write a whole number, -1 for any version")
    return int(text)


async def delete(session: Session, given: Given) -> object:
    """Delete a znode without children; -v only this version."""
    path = require_path(given.word(1))
    await session.ask(path, session.client.delete, path, _version(given))
    return {"path": path}


async def delete_all(session: Session, given: Given) -> object:
    """Delete a znode and all below it; -b how many in one multi, 0 for one by one."""
    text = given.value("b") if "b" in given else str(BATCH_DEFAULT)
    if not WHOLE_NUMBER.fullmatch(text):
        raise CommandError("-b argument must be an int value")
    paths = await _all_below(session, require_path(given.word(1)))
    paths.reverse()
    size = int(text)
    if size > 0:
        is_complete = await _delete_in_batches(session, paths, size)
    else:
        is_complete = True
        for path in paths:
            await session.ask(path, session.client.delete, path)
    if not is_complete:
        session.screen.note("Failed to delete some node(s) in the subtree!")
    return {"path": given.word(1), "complete": is_complete}


async def _all_below(session: Session, path: str) -> list[str]:
    """Level by level; a parent is always before its children."""
    paths = [path]
    for parent in paths:
        children = await session.ask(parent, session.client.get_children, parent)
        paths += [f"{parent.rstrip('/')}/{name}" for name in children]
    return paths


async def _delete_in_batches(session: Session, paths: list[str], size: int) -> bool:
    for start in range(0, len(paths), size):
        batch = [operations.delete(path) for path in paths[start : start + size]]
        results = await session.ask(paths[start], session.client.multi, batch)
        if first_failure(results) is not None:
            return False
    return True


async def set_acl(session: Session, given: Given) -> object:
    """Replace the ACL; -v only this aversion, -R of all below too, -s Stat."""
    path, acl, version = given.word(1), parse_acl(session, given.word(2)), _version(given)
    require_path(path)
    if "R" in given:
        return await _set_acl_below(session, path, acl, version)
    _require_acl(acl)
    found = await session.ask(path, session.client.set_acl, path, acl, version)
    if "s" in given:
        session.screen.say(stat_lines(found))
    return {"path": path, "stat": stat_value(found)}


async def _set_acl_below(session: Session, path: str, acl: list[ACL], version: int) -> object:
    failed = {}
    async for below in walk(session, path):
        try:
            _require_acl(acl)
            await session.ask(below, session.client.set_acl, below, acl, version)
        except RequestFailedError as failure:
            session.screen.say_part(failure.keeper_message)
            failed[below] = failure.keeper_message
    return {"path": path, "failed": failed}


def _require_acl(acl: list[ACL] | None) -> None:
    """Java's client sends no empty list, and its error then has no path."""
    if acl is not None and not acl:
        raise RequestFailedError(InvalidAclError("the ACL is empty"), None)


def parse_acl(session: Session, text: str) -> list[ACL]:
    """`scheme:id:perms`, several with commas between them; what has another form is named and left out."""
    entries = []
    for part in text.split(","):
        scheme, _, rest = part.partition(":")
        identity, colon, letters = rest.rpartition(":")
        if not colon:
            session.screen.note(f"{part} does not have the form scheme:id:perm")
            continue
        perms = Perms(0)
        for letter in letters:
            if letter not in PERMISSIONS:
                session.screen.note(f"Unknown perm type: {letter}")
            perms |= PERMISSIONS.get(letter, Perms(0))
        entries.append(make_acl(perms, scheme, identity))
    return entries


async def add_auth(session: Session, given: Given) -> object:
    """Add an identity to the session."""
    scheme, secret = given.word(1), given.word(2).encode("utf-8", "replace")
    await session.ask(None, session.client.add_auth, scheme, secret)
    return {"scheme": scheme}


RECONFIG_MODES = ("file", "members", "add", "remove")


async def reconfig(session: Session, given: Given) -> object:
    """Change the membership."""
    joining, leaving, members, version = _reconfig_arguments(given)
    data, found = await session.ask(
        "",  # Java's words for a failure end with an empty path
        session.client.reconfig,
        joining=joining,
        leaving=leaving,
        new_members=members,
        config_id=version,
    )
    session.screen.say(f"Committed new configuration:\n{text_of(data)}")
    if "s" in given:
        session.screen.say(stat_lines(found))
    return {"config": text_of(data), "stat": stat_value(found)}


def _reconfig_arguments(given: Given) -> tuple[str | None, str | None, str | None, int]:
    version = -1
    if "v" in given:
        if not re.fullmatch(r"[+-]?[0-9a-fA-F]{1,16}", given.value("v")):
            raise CommandError("-v must be followed by a long (configuration version)")
        version = int(given.value("v"), 16)
    if ("file" in given or "members" in given) and ("add" in given or "remove" in given):
        raise CommandError(
            "Can't use -file or -members together with -add or -remove (mixing incremental"
            " and non-incremental modes is not allowed)"
        )
    if "file" in given and "members" in given:
        raise CommandError("Can't use -file and -members together (conflicting non-incremental modes)")
    joining, leaving, members = (
        given.value(name).lower() if name in given else None for name in ("add", "remove", "members")
    )
    return joining, leaving, _members_of(given.value("file")) if "file" in given else members, version


def _members_of(path: str) -> str:
    from pyzk.zab.membership import parse_membership  # noqa: PLC0415 - one command wants it
    from pyzk.zab.properties import parse_properties  # noqa: PLC0415 - same

    text = read_file(path)
    try:
        membership = parse_membership(parse_properties(text, path), multi_address_enabled=True)
    except ConfigError as error:
        raise CommandError(f"Error processing {path}{error}") from error
    return membership.text()


def is_missing(failure: RequestFailedError) -> bool:
    """Whether a request failed because its znode does not exist."""
    return isinstance(failure.error, NoNodeError)
