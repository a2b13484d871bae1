"""`pyzk-server`: the way in. Sees to it that the rest is imported quickly, and hands over to `command` or to a verb.

Nearly all of what a start costs are imports; tests/server/test_start.py says what must not be among them.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyzk.server.garbage import collect_rarely

NOT_FOR_THE_LOG = ("rich", "colorama")
"""Packages that structlog imports wherever they are installed, for tracebacks in colour, which are not for a server."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    collect_rarely()
    if arguments and not arguments[0].startswith("-"):
        from pyzk.server.control.verbs import main as control  # noqa: PLC0415

        return control(arguments)
    with _hidden(NOT_FOR_THE_LOG):
        from pyzk.server.command import main as serve  # noqa: PLC0415
    return serve(arguments)


@contextmanager
def _hidden(packages: Sequence[str]) -> Iterator[None]:
    """Meanwhile these cannot be imported; whoever asks for one later gets it."""
    absent = [name for name in packages if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # there is no such module
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


if __name__ == "__main__":
    sys.exit(main())
