"""The command `tree`, which zkCli.sh does not have: everything below a path, drawn."""

from dataclasses import dataclass

from pyzk.errors import NoAuthError, NoNodeError
from pyzk.tools.javatext import string_order
from pyzk.tools.shell.options import CommandError, Given
from pyzk.tools.shell.session import Session
from pyzk.tools.shell.texts import RequestFailedError, require_path

DEPTH_DEFAULT = 100
"""Also what the drawing's recursion is bounded by."""

Branches = dict[str, "Branches | None"]


async def tree(session: Session, given: Given) -> object:
    """Everything below a path; -d levels at most, -s with the bytes of data."""
    path = require_path(given.word(1, "/"))
    drawing = _Drawing(session, _depth(given), with_sizes="s" in given)
    if await session.ask(path, session.client.exists, path) is None:
        raise RequestFailedError(NoNodeError(path), path)
    session.screen.say(path)
    branches = await drawing.draw(path, "", 1)
    session.screen.say(f"{drawing.count} znodes")
    return {"path": path, "tree": branches, "count": drawing.count}


def _depth(given: Given) -> int:
    if "d" not in given:
        return DEPTH_DEFAULT
    text = given.value("d")
    if not text.isdecimal() or not 0 < int(text) <= DEPTH_DEFAULT:
        raise CommandError(f"-d {text}: write a number of levels from 1 to {DEPTH_DEFAULT}")
    return int(text)


@dataclass(slots=True)
class _Drawing:
    session: Session
    depth: int
    with_sizes: bool
    count: int = 0

    async def draw(self, path: str, prefix: str, level: int) -> Branches:
        """Draw the children of a path and what is below them; one without permission is said to be so."""
        try:
            names = await self.session.ask(path, self.session.client.get_children, path)
        except RequestFailedError as failure:
            if not isinstance(failure.error, NoNodeError | NoAuthError):
                raise
            if isinstance(failure.error, NoAuthError):
                self.session.screen.say(f"{prefix}└── (no permission)")
            return {}
        branches: Branches = {}
        for position, name in enumerate(sorted(names, key=string_order)):
            is_last = position == len(names) - 1
            below = f"{path.rstrip('/')}/{name}"
            self.count += 1
            self.session.screen.say(f"{prefix}{'└── ' if is_last else '├── '}{name}{await self._size(below)}")
            deeper = prefix + ("    " if is_last else "│   ")
            branches[name] = await self.draw(below, deeper, level + 1) if level < self.depth else None
        return branches

    async def _size(self, path: str) -> str:
        if not self.with_sizes:
            return ""
        found = await self.session.ask(path, self.session.client.exists, path)
        if found is None:
            return ""
        kind = ", ephemeral" if found.ephemeral_owner else ""
        return f" ({found.data_length} bytes{kind})"
