"""kill -9 under write load, many times in a row on one dataDir: see tests/integration/crash.py for the promises."""

import argparse
import logging
import random
import tempfile
from pathlib import Path

from tests.integration.crash import crash_round
from tests.interop.results import FAILED, PASSED, Result
from tests.interop.transcript import server


def run(options: argparse.Namespace) -> list[Result]:
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    print(f"kill9: seed {seed}, {options.rounds} rounds", flush=True)
    # kazoo warns of each lost connection, and here they are all lost on purpose.
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    rng, results, writes = random.Random(seed), [], 0
    with tempfile.TemporaryDirectory(prefix="kill9-") as folder, server(options, Path(folder)) as running:
        for number in range(options.rounds):
            broken, acknowledged = crash_round(running, f"/load-{number}", rng)
            writes += acknowledged
            results.append(Result("kill9", f"round {number}", FAILED if broken else PASSED, "\n".join(broken)))
    print(f"kill9: {writes} acknowledged writes", flush=True)
    return results
