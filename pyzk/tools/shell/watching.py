"""Commands about watches that stay, and the removal of watches."""

from pyzk.codec.opcodes import AddWatchMode, WatcherType
from pyzk.errors import ConnectionLostError, NoWatcherError
from pyzk.tools.shell.options import CommandError, Given
from pyzk.tools.shell.session import Session
from pyzk.tools.shell.texts import RequestFailedError, require_path

KINDS = {
    "c": WatcherType.CHILDREN,
    "d": WatcherType.DATA,
    "p": WatcherType.PERSISTENT,
    "r": WatcherType.PERSISTENT_RECURSIVE,
    "a": WatcherType.ANY,
}
"""The first of these options counts."""


async def add_watch(session: Session, given: Given) -> object:
    """A watch that stays, -m PERSISTENT or PERSISTENT_RECURSIVE."""
    name = given.value("m").upper() if "m" in given else AddWatchMode.PERSISTENT_RECURSIVE.name
    if len(given.words) != 2 or name not in AddWatchMode.__members__:
        raise CommandError(f"addWatch {USAGE}")
    path = require_path(given.word(1))
    recursive = name == AddWatchMode.PERSISTENT_RECURSIVE.name
    await session.ask(path, session.client.add_watch, path, session.watcher, recursive=recursive)
    return {"path": path, "mode": name}


USAGE = (
    f"[-m mode] path # optional mode is one of [{', '.join(AddWatchMode.__members__)}] - "
    f"default is {AddWatchMode.PERSISTENT_RECURSIVE.name}"
)


async def remove_watches(session: Session, given: Given) -> object:
    """Remove the watches of a znode; -l also when there is no connection."""
    path = require_path(given.word(1))
    kind = next((kind for option, kind in KINDS.items() if option in given), WatcherType.ANY)
    try:
        await session.ask(path, session.client.remove_watches, path, kind)
    except RequestFailedError as failure:
        if "l" not in given or not isinstance(failure.error, ConnectionLostError):
            raise
        events = session.client.forget_watches(path, kind)
        if not events:
            raise RequestFailedError(NoWatcherError(path), path) from failure
        for event in events:
            session.tell(event, path, session.client.state, -1)
    return {"path": path, "kind": kind.name.lower()}
