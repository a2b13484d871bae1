"""`pyzk sim`: runs the production code of a whole ensemble in a simulated world, seed after seed, and says what broke.

The same seed is the same run, on any machine: a failure that somebody else has found is run again by its number.
"""

import argparse
import gc
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from multiprocessing import get_context

from pyzk.sim.plan import Plan
from pyzk.sim.run import CLIENTS, Outcome, plan_of, shrink, try_plan
from pyzk.sim.trace import HEADINGS
from pyzk.tools.output import progress, say, say_json
from pyzk.tools.sim import replay
from pyzk.tools.sim.covered import OPTION, run_covered
from pyzk.tools.sim.report import describe_failure, distribution, outcome_json
from pyzk.tools.sim.tracefile import TraceFile

SECONDS_DEFAULT = 60.0
GARBAGE_OBJECTS = 50_000
"""Between two looks of the garbage collector."""
BATCH_PER_JOB = 16
"""Seeds that are given out to the jobs at a time; nobody begins the next ones before these are done."""
EXAMPLES = """\
examples:
  pyzk sim                                  60 simulated seconds of a seed that is drawn
  pyzk sim --seed 7 --trace                 one line per event
  pyzk sim --seeds 1000 --seed 1 --jobs 2   seeds 1 to 1000
  pyzk sim --seed 7 --servers 5 --hours 2   a long run
  pyzk sim --seeds 50 --coverage            which code of zab, service and storage they reach
  pyzk sim --seed 7 --trace-file run.trace  the whole run in a file ...
  pyzk sim replay run.trace --server 3      ... to be looked at later
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code."""
    if arguments[:1] == ["replay"]:
        return replay.main(arguments[1:])
    options = _parser().parse_args(arguments)
    if options.coverage:
        return run_covered([argument for argument in arguments if argument != OPTION])
    if options.seed is None:
        options.seed = time.time_ns() // 1000 % 1_000_000_000
    if options.trace or options.trace_file:
        return _traced(options)
    return _many(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyzk sim",
        description="Run whole ensembles in a simulated world, each from one seed, and look for broken promises.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, metavar="S", help="the first seed; drawn from the clock if it is missing")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="how many, from S on")
    parser.add_argument("--servers", type=int, default=0, metavar="N", help="with a vote; else 3 or 5 by chance")
    parser.add_argument("--clients", type=int, default=CLIENTS, metavar="N", help="0: servers without a service")
    parser.add_argument("--hours", type=float, metavar="H", help="simulated; 60 seconds if neither is given")
    parser.add_argument("--seconds", type=float, default=SECONDS_DEFAULT, metavar="T", help="the same in seconds")
    parser.add_argument("--for", dest="wall_seconds", type=float, metavar="T", help="no new seed after so many seconds")
    parser.add_argument("--jobs", type=int, default=1, metavar="J", help="seeds run at the same time")
    parser.add_argument("--plain", action="store_true", help="without extras (docs/simulation.md)")
    parser.add_argument("--trace", action="store_true", help="print every event of the one seed")
    parser.add_argument("--trace-file", metavar="F", help="write every event of the one seed to a file")
    parser.add_argument(OPTION, action="store_true", help="say which code was reached; one job (needs coverage.py)")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each seed")
    parser.add_argument("--no-shrink", action="store_true", help="do not look for a shorter plan that fails too")
    return parser


def _plan(options: argparse.Namespace, seed: int) -> Plan:
    seconds = options.seconds if options.hours is None else options.hours * 3600
    return plan_of(seed, seconds, options.clients, options.servers, is_plain=options.plain)


def _traced(options: argparse.Namespace) -> int:
    plan = _plan(options, options.seed)
    if options.trace_file:
        with TraceFile(options.trace_file) as file:
            outcome = try_plan(plan, file.write)
    else:
        say(HEADINGS)
        outcome = try_plan(plan, lambda line: say(str(line)))
    return _judge(options, [outcome])


def _many(options: argparse.Namespace) -> int:
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with progress("seeds", options.seeds) as advance:
        for outcome in _outcomes(options):
            outcomes.append(outcome)
            advance(1)
            if options.json:
                say_json(outcome_json(outcome))
            seconds = time.monotonic() - began
            if outcome.invariant or (options.wall_seconds is not None and seconds >= options.wall_seconds):
                break
    if not options.json:
        say(distribution(outcomes, options.seed, time.monotonic() - began))
    return _judge(options, outcomes)


def _begin_job() -> None:
    """Runs leave little for the garbage collector: looking as often as usual it takes a tenth of the time."""
    gc.set_threshold(GARBAGE_OBJECTS)


def _outcomes(options: argparse.Namespace) -> Iterator[Outcome]:
    plans = (_plan(options, seed) for seed in range(options.seed, options.seed + options.seeds))
    if options.jobs <= 1:
        _begin_job()
        yield from map(try_plan, plans)
        return
    with get_context("spawn").Pool(options.jobs, _begin_job) as pool:
        # A pool would draw all plans at once.
        while batch := list(islice(plans, BATCH_PER_JOB * options.jobs)):
            yield from pool.imap(try_plan, batch)


def _judge(options: argparse.Namespace, outcomes: Sequence[Outcome]) -> int:
    """Tell about the seed that failed, if one did; the exit code."""
    failure = next((outcome for outcome in outcomes if outcome.invariant), None)
    if failure is None:
        return 0
    if not options.json:
        plan = _plan(options, failure.seed)
        shorter, shortest = (plan, failure) if options.no_shrink else shrink(plan, failure)
        say(describe_failure(failure, plan, shorter, shortest, _command(options, failure)))
        sys.stdout.flush()
    return 1


def _command(options: argparse.Namespace, failure: Outcome) -> str:
    """What runs the seed again."""
    length = f"--seconds {options.seconds:g}" if options.hours is None else f"--hours {options.hours:g}"
    plain = " --plain" if options.plain else ""
    ensemble = f"--clients {options.clients} --servers {options.servers}{plain}"
    return f"pyzk sim --seed {failure.seed} {ensemble} {length} --trace"
