"""Outcomes as tables and bars, and as JSON."""

import math
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pyzk.tools.bench.histogram import Histogram, steps_us
from pyzk.tools.bench.options import Options
from pyzk.tools.bench.servers import Server
from pyzk.tools.bench.tally import Outcome
from pyzk.tools.output import readable

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
BAR_WIDTH = 50
BLOCKS = "▁▂▃▄▅▆▇█"
BUSY_SHARE = 0.9
"""A generator that has more than this to do may well be what limits the rate."""
REACHED_SHARE = 0.95
TITLES = ("operations", "per s", "errors", "p50 ms", "p90", "p99", "p99.9", "max", "gap s", "cores")


def draw_servers(servers: Sequence[Server]) -> RenderableType:
    """A line for each server."""
    table = Table.grid(padding=(0, 2))
    for server in servers:
        what = Text(readable(server.problem), style="bold red") if server.problem else Text(server.mode)
        here = "on this machine" if server.is_here else ""
        table.add_row(Text(readable(server.address)), what, Text(readable(server.version)), Text(here))
    return table


def draw(options: Options, outcomes: Sequence[Outcome]) -> RenderableType:
    """The table, a histogram of each workload, and what should be known about them."""
    parts: list[RenderableType] = [Text(describe(options)), Text(), _table(outcomes)]
    filled = {outcome.workload: outcome.tally.histogram for outcome in outcomes if outcome.tally.operations}
    if filled:
        parts += [Text(), _bars(*filled.values()) if len(filled) == 1 else _strips(filled)]
    found = notes(options, outcomes)
    if found:
        parts += [Text(), *(Text(note, style="yellow") for note in found)]
    return Group(*parts)


def describe(options: Options) -> str:
    """The load in words."""
    length = f"{options.seconds:g} s" if options.operations is None else f"{options.operations} operations"
    pace = "as fast as possible" if options.rate is None else f"{options.rate:g} operations/s"
    workers = f"{options.connections} connections, {options.depth} requests on each"
    keys = f"{options.keys} keys of {options.value_bytes} bytes"
    return f"{workers}, {pace}; {keys}; {length} for each workload after {options.warmup_s:g} s of warming up"


def _table(outcomes: Sequence[Outcome]) -> Table:
    # Narrow enough for 80 columns.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("workload")
    for title in TITLES:
        table.add_column(title, justify="right", no_wrap=True)
    for outcome in outcomes:
        tally = outcome.tally
        latencies = [milliseconds(ms) if tally.operations else "" for ms in _latencies(tally.histogram).values()]
        counts = (f"{tally.operations}", f"{tally.per_second:.0f}", f"{tally.errors.total()}")
        table.add_row(outcome.workload, *counts, *latencies, f"{_gap_s(outcome):.3f}", f"{outcome.cores:.2f}")
    return table


def milliseconds(value: float) -> str:
    """Three digits, as far as a microsecond is worth them."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 1000 else 0
    return f"{value:.{digits}f}"


def _latencies(histogram: Histogram) -> dict[str, float]:
    """Milliseconds by name."""
    return {f"p{percent:g}": histogram.percentile(percent) for percent in PERCENTILES} | {
        "max": histogram.max_us / 1000
    }


def _gap_s(outcome: Outcome) -> float:
    begin, end = outcome.tally.gaps.longest()
    return end - begin


def _bars(histogram: Histogram) -> Text:
    """One histogram, a line for each step of latency."""
    bars = histogram.bars()
    most = max(count for _, count in bars)
    lines = ["latency ms        share"]
    for edge_us, count in bars:
        bar = "█" * round(BAR_WIDTH * count / most) or ("▏" if count else "")
        lines.append(f"to {edge_us / 1000:<7g} {100 * count / histogram.count:10.3f} %  {bar}".rstrip())
    return Text("\n".join(lines))


def _strips(histograms: Mapping[str, Histogram]) -> Table:
    """Several histograms, a line for each workload and a column for each step of latency."""
    shares = {name: {edge_us: count / one.count for edge_us, count in one.bars()} for name, one in histograms.items()}
    filled = {edge_us for row in shares.values() for edge_us, share in row.items() if share}
    edges = [edge_us for edge_us in steps_us(max(filled)) if edge_us >= min(filled)]
    table = Table(box=None, pad_edge=False)
    table.add_column("ms, up to")
    for edge_us in edges:
        table.add_column(f"{edge_us / 1000:g}", justify="right")
    for name, row in shares.items():
        table.add_row(name, *(_block(row.get(edge_us, 0)) for edge_us in edges))
    return table


def _block(share: float) -> str:
    """A block whose height is a share of all operations."""
    return BLOCKS[min(len(BLOCKS) - 1, math.ceil(share * len(BLOCKS)) - 1)] * 2 if share else ""


def notes(options: Options, outcomes: Sequence[Outcome]) -> list[str]:
    """What somebody who reads the figures should know."""
    return [
        *_about_errors(outcomes),
        *_about_gaps(outcomes),
        *_about_rates(options, outcomes),
        *_about_the_generator(options, outcomes),
    ]


def _about_errors(outcomes: Sequence[Outcome]) -> list[str]:
    found = []
    for outcome in outcomes:
        counts = [f"{count} {name}" for name, count in outcome.tally.errors.most_common()]
        if not outcome.tally.operations:
            counts.insert(0, "no success at all")
        if counts:
            found.append(f"{outcome.workload}: {', '.join(counts)}")
    return found


def _about_gaps(outcomes: Sequence[Outcome]) -> list[str]:
    """When it was: only of those in which something has failed, for others are quiet for a moment too."""
    found = []
    for outcome in outcomes:
        begin, _ = outcome.tally.gaps.longest()
        if outcome.tally.errors and outcome.tally.operations:
            at = begin - outcome.tally.begin
            found.append(f"{outcome.workload}: no success for {_gap_s(outcome):.3f} s, {at:.1f} s after the beginning")
    return found


def _about_rates(options: Options, outcomes: Sequence[Outcome]) -> list[str]:
    if options.rate is None:
        return []
    return [
        f"{outcome.workload}: {outcome.tally.per_second:.0f} of {options.rate:g} operations/s were reached; "
        f"{outcome.tally.unsent} were due and not sent, because all requests that may be under way were"
        for outcome in outcomes
        if outcome.tally.per_second < options.rate * REACHED_SHARE
    ]


def _about_the_generator(options: Options, outcomes: Sequence[Outcome]) -> list[str]:
    limited = [outcome for outcome in outcomes if outcome.busiest.busy_share > BUSY_SHARE]
    if not limited:
        return []
    shares = ", ".join(
        f"{one.workload} {_percent(one.busiest.cpu_share)} + {_percent(one.busiest.waiting_share)}" for one in limited
    )
    advice = f"try --jobs {options.jobs * 2} on a machine with cores to spare, or a lower --rate"
    return [
        f"the generator had no time to spare (of a core computing + waiting for one: {shares}),",
        f"so the servers may do more, and answer sooner, than is shown: {advice}",
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def as_value(options: Options, servers: Sequence[Server], outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Everything for JSON."""
    return {
        "servers": [
            {"address": one.address, "mode": one.mode, "version": one.version, "problem": one.problem}
            for one in servers
        ],
        "load": {
            "connections": options.connections,
            "depth": options.depth,
            "rate": options.rate,
            "value_bytes": options.value_bytes,
            "keys": options.keys,
            "read_share": options.read_share,
            "warmup_s": options.warmup_s,
            "jobs": options.jobs,
        },
        "workloads": [_outcome_value(outcome) for outcome in outcomes],
        "notes": notes(options, outcomes),
    }


def _outcome_value(outcome: Outcome) -> dict[str, object]:
    tally = outcome.tally
    begin, end = tally.gaps.longest()
    return {
        "workload": outcome.workload,
        "operations": tally.operations,
        "seconds": round(tally.seconds, 3),
        "per_s": round(tally.per_second, 1),
        "errors": dict(tally.errors),
        "unsent": tally.unsent,
        "latency_ms": _latencies(tally.histogram),
        "longest_gap_s": {"after": round(begin - tally.begin, 3), "length": round(end - begin, 3)},
        "generator": {"cores": round(outcome.cores, 3), "busy_share": round(outcome.busiest.busy_share, 3)},
        "histogram_us": [list(pair) for pair in tally.histogram.filled()],
    }
