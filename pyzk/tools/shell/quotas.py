"""Commands about quotas: two znodes below /zookeeper/quota, which the shell makes and the server counts in."""

from pyzk.errors import NodeExistsError
from pyzk.tools.shell.options import CommandError, Given
from pyzk.tools.shell.reading import walk
from pyzk.tools.shell.session import Session
from pyzk.tools.shell.texts import RequestFailedError, require_path
from pyzk.tools.shell.writing import WHOLE_NUMBER, is_missing
from pyzk.tree.quota import Quota

QUOTA_ROOT = "/zookeeper/quota"
LIMITS, STATS = "zookeeper_limits", "zookeeper_stats"
KEYS = {"n": b"count", "b": b"bytes", "N": b"countHardLimit", "B": b"byteHardLimit"}
COUNT_OPTIONS = ("n", "N")
NUMBER_BITS = {"n": 31, "b": 63, "N": 31, "B": 63}


async def set_quota(session: Session, given: Given) -> object:
    """Limit a subtree: -n znodes, -b bytes, -N and -B the same as hard limits."""
    path = given.word(1)
    if path.startswith(QUOTA_ROOT):
        session.screen.note(f"cannot set a quota under the path: {QUOTA_ROOT}")
        return {"path": path, "set": False}
    option = next(iter(given.options))
    complaint = _complaint(option, given.value(option))
    if complaint is not None:
        session.screen.note(complaint)
        return {"path": path, "set": False, "reason": complaint}
    require_path(path)
    if await session.ask(path, session.client.exists, path) is None:
        raise CommandError(f"{path} does not exist.")
    await _refuse_below(session, path)
    await _refuse_above(session, path)
    limits, usage = await _store(session, path, KEYS[option], int(given.value(option)))
    for text in _warnings(limits, usage):
        session.screen.say(text)
    return {"path": path, "set": True, "warnings": _warnings(limits, usage)}


def _complaint(option: str, text: str) -> str | None:
    if not WHOLE_NUMBER.fullmatch(text) or abs(int(text)) >> NUMBER_BITS[option]:
        return "NumberFormatException happens when parsing the option value"
    if option in COUNT_OPTIONS and int(text) <= 0:
        return "the num quota must be greater than zero"
    if option not in COUNT_OPTIONS and int(text) < 0:
        return "the bytes quota must be greater than or equal to zero"
    return None


async def _refuse_below(session: Session, path: str) -> None:
    """Quotas do not nest."""
    top = QUOTA_ROOT + path
    require_path(top)
    try:
        async for found in walk(session, top):
            if found != f"{top}/{LIMITS}" and found.endswith(f"/{LIMITS}"):
                child = found.removeprefix(QUOTA_ROOT).removesuffix(f"/{LIMITS}")
                raise CommandError(f"{path} has a child {child} which has a quota")
    except RequestFailedError as failure:
        if not is_missing(failure):
            raise


async def _refuse_above(session: Session, path: str) -> None:
    names = path.split("/")[1:-1]
    for count in range(1, len(names) + 1):
        parent = "/" + "/".join(names[:count])
        place = QUOTA_ROOT + parent
        try:
            children = await session.ask(place, session.client.get_children, place)
        except RequestFailedError as failure:
            if is_missing(failure):
                return
            raise
        if LIMITS in children:
            raise CommandError(f"{path} has a parent {parent} which has a quota")


async def _store(session: Session, path: str, key: bytes, number: int) -> tuple[Quota, Quota]:
    """Write the limit, making the znodes that are missing; limits and usage as they are then."""
    place = QUOTA_ROOT
    for name in path.split("/")[1:]:
        place = f"{place}/{name}"
        await _create_missing(session, place)
    limits_path, stats_path = f"{place}/{LIMITS}", f"{place}/{STATS}"
    if await session.ask(limits_path, session.client.exists, limits_path) is None:
        limits = Quota(dict.fromkeys(KEYS.values(), -1) | {key: number})
        await session.ask(limits_path, session.client.create, limits_path, limits.encode())
        await session.ask(stats_path, session.client.create, stats_path, b"count=0,bytes=0")
    else:
        limits = await _read(session, limits_path)
        limits.values[key] = number
        await session.ask(limits_path, session.client.set, limits_path, limits.encode())
    return limits, await _read(session, stats_path)


async def _create_missing(session: Session, path: str) -> None:
    try:
        await session.ask(path, session.client.create, path, None)
    except RequestFailedError as failure:
        if not isinstance(failure.error, NodeExistsError):
            raise


async def _read(session: Session, path: str) -> Quota:
    data, _ = await session.ask(path, session.client.get, path)
    quota = Quota.parse(data)
    if quota is None:
        raise CommandError(f"{path} holds no quota: {data!r}; delquota removes it")
    return quota


def _warnings(limits: Quota, usage: Quota) -> list[str]:
    found = []
    if any(-1 < limit < usage.count for limit in (limits.count, limits.count_hard)):
        found.append(f"[Warning]: the count quota you create is less than the existing count:{usage.count}")
    if any(-1 < limit < usage.size for limit in (limits.size, limits.size_hard)):
        found.append(f"[Warning]: the bytes quota you create is less than the existing bytes:{usage.size}")
    return found


async def list_quota(session: Session, given: Given) -> object:
    """Limits and usage of a subtree."""
    path = given.word(1)
    session.screen.note(f"absolute path is {QUOTA_ROOT}{path}/{LIMITS}")
    found = {}
    try:
        for title, name in (("quota", LIMITS), ("stat", STATS)):
            quota = await _read(session, require_path(f"{QUOTA_ROOT}{path}/{name}"))
            session.screen.say(f"Output {title} for {path} {quota.encode().decode()}")
            found[title] = {key.decode(): number for key, number in quota.values.items()}
    except RequestFailedError as failure:
        if not is_missing(failure):
            raise
        session.screen.note(f"quota for {path} does not exist.")
    return {"path": path, **found}


async def delete_quota(session: Session, given: Given) -> object:
    """Remove a quota, or with an option one of its limits."""
    path = given.word(1)
    place = QUOTA_ROOT + path
    limits_path = require_path(f"{place}/{LIMITS}")
    try:
        if await session.ask(limits_path, session.client.exists, limits_path) is None:
            session.screen.say(f"Quota does not exist for {path}")
            return {"path": path, "removed": False}
        if given.options:
            limits = await _read(session, limits_path)
            limits.values |= {KEYS[option]: -1 for option in given.options}
            await session.ask(limits_path, session.client.set, limits_path, limits.encode())
        else:
            await _remove(session, place)
    except RequestFailedError as failure:
        if not is_missing(failure):
            raise
        session.screen.note(f"quota for {path} does not exist.")
    return {"path": path, "removed": True}


async def _remove(session: Session, place: str) -> None:
    """The two znodes, then the parents that hold nothing else."""
    for name in await session.ask(place, session.client.get_children, place):
        child = f"{place}/{name}"
        await session.ask(child, session.client.delete, child)
    while place != QUOTA_ROOT:
        if await session.ask(place, session.client.get_children, place):
            return
        await session.ask(place, session.client.delete, place)
        place = place.rpartition("/")[0]
