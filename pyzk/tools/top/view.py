"""Draws a frame with rich, and writes it as JSON."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pyzk.tools.output import readable
from pyzk.tools.top.sample import Frame

ROWS_MAX = 15


def draw(frame: Frame, rows_max: int = ROWS_MAX) -> RenderableType:
    """Three tables and the notes."""
    parts: list[RenderableType] = [_servers(frame)]
    if frame.clients:
        parts.append(_clients(frame, rows_max))
    if frame.paths:
        parts.append(_paths(frame, rows_max))
    parts += [Text(readable(note), style="yellow") for note in frame.notes]
    return Group(*parts)


def _servers(frame: Frame) -> Table:
    titles = ("server", "state", "zxid", "clients", "queued", "recv/s", "sent/s", "latency ms", "znodes", "watches")
    table = _table("servers", (*titles, "ephemeral", "bytes"), texts=3)
    for row in frame.servers:
        if row.problem:
            table.add_row(_cell(row.server), Text(readable(row.problem), style="bold red"))
            continue
        numbers = (row.clients, row.outstanding, _rate(row.received_per_s), _rate(row.sent_per_s), row.latency_ms)
        rest = (row.znodes, row.watches, row.ephemerals, row.data_bytes)
        table.add_row(*map(_cell, (row.server, row.state, row.zxid, *numbers, *rest)))
    return table


def _clients(frame: Frame, rows_max: int) -> Table:
    titles = ("client", "server", "session", "last", "requests", "per s", "queued", "latency ms")
    table = _table(_title("clients", len(frame.clients), rows_max), titles, texts=4)
    for row in frame.clients[:rows_max]:
        numbers = (row.requests, _rate(row.requests_per_s), row.queued, row.latency_ms)
        table.add_row(*map(_cell, (row.client, row.server, row.session, row.last_operation, *numbers)))
    return table


def _paths(frame: Frame, rows_max: int) -> Table:
    unit = "/s" if frame.has_rates else ""
    titles = ("path", f"reads{unit}", f"writes{unit}", "watchers")
    table = _table(_title("hot paths", len(frame.paths), rows_max), titles, texts=1)
    for row in frame.paths[:rows_max]:
        table.add_row(*map(_cell, (row.path, f"{row.reads:.0f}", f"{row.writes:.0f}", row.watchers)))
    return table


def _table(title: str, titles: Sequence[str], texts: int) -> Table:
    """A table whose first `texts` columns are text, the others numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for position, name in enumerate(titles):
        table.add_column(name, justify="left" if position < texts else "right", overflow="fold")
    return table


def _title(name: str, count: int, rows_max: int) -> str:
    return name if count <= rows_max else f"{name}, {rows_max} of {count}"


def _cell(value: object) -> Text:
    """Text as it is: a path may look like markup."""
    return Text(readable(str(value)))


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def as_value(frame: Frame) -> dict[str, object]:
    """The frame for JSON."""
    return asdict(frame)
