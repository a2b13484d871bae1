"""docs/configuration.md, made from the table of settings, so that it cannot say anything else than the server does.

python -m pyzk.server.config.page docs/configuration.md
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyzk.server.config.kinds import BOOLEAN, STRICT_BOOLEAN, YES_NO, Setting, Status
from pyzk.server.config.reloadable import RELOADABLE
from pyzk.server.config.settings import groups
from pyzk.server.config.without_effect import WITHOUT_EFFECT

_HEAD = """\
# Configuration

Made by `scripts/docs-config` from the table in `pyzk/server/config`; edit it there.

pyzk reads Apache's `zoo.cfg`. Every key below may be written there, with or without `zookeeper.` in front, and given
as `-Dzookeeper.KEY=VALUE` in `JVMFLAGS` or `SERVER_JVMFLAGS`; the file wins. A number that is none, or out of range,
stops the server with the setting, its value and what to write instead. A key that is not known is named in the log,
with the key that was probably meant. Syntax and messages: [protocol/configuration.md](protocol/configuration.md).

The server list (`server.N`, `group.G`, `weight.N`) is described there in section 3, authentication providers
(`authProvider.X`) in section 7. Defaults that differ from Apache's on purpose are **bold**, with Apache's in brackets;
[differences.md](differences.md) has the reasons. *SIGHUP*: a change counts when the server gets this signal
(`zkServer.sh reload`); all others count from the next start.
"""


def render() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_groups(), *_without_effect()]) + "\n"


def _groups() -> Iterator[str]:
    for title, rows in groups():
        yield f"## {title}\n"
        yield "| key | default | meaning |\n| --- | --- | --- |"
        yield from map(_row, rows)
        yield ""


def _row(row: Setting) -> str:
    names = f"`{row.name}{'*' if row.is_prefix else ''}`" + "".join(f", `{name}`" for name in row.also)
    default = f"**{_default(row)}** ({row.apache_default})" if row.apache_default else _default(row)
    note = "" if row.status is Status.ACTIVE else f" *{row.status.value[0].upper()}{row.status.value[1:]}.*"
    note += " *SIGHUP.*" if row.field in RELOADABLE else ""
    return f"| {names} | {default} | {row.summary.replace('|', chr(92) + '|')}{note} |"


def _default(row: Setting) -> str:
    """The default as it would be written; nothing where the meaning says it."""
    default = row.default
    if default is None or default == "" or not isinstance(default, bool | int | float | str | frozenset):
        return ""
    if isinstance(default, frozenset):
        return ", ".join(sorted(default))
    if row.kind is YES_NO:
        return "yes" if default else "no"
    if row.kind in {BOOLEAN, STRICT_BOOLEAN}:
        return str(default).lower()
    return str(default)


def _without_effect() -> Iterator[str]:
    yield "## Known keys without effect\n"
    for status in (Status.REFUSED, Status.IGNORED, Status.JVM):
        rows = [row for row in WITHOUT_EFFECT if row.status is status]
        if not rows:
            continue
        yield f"{status.value[0].upper()}{status.value[1:]}:\n"
        yield from _by_summary(rows)
        yield ""


def _by_summary(rows: Iterable[Setting]) -> Iterator[str]:
    names_by_summary: dict[str, list[str]] = {}
    for row in rows:
        names_by_summary.setdefault(row.summary, []).append(f"`{row.name}{'*' if row.is_prefix else ''}`")
    for summary, names in names_by_summary.items():
        yield f"- {summary} {', '.join(names)}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(), encoding="utf-8")
