"""Peers that mean no good, for --minutes: attacks from --seed on the ports for peers of a live ensemble under load.

Two at a time (tests/integration/hostile_peers.py). At the end: no write failed, no server has changed its role or
grown, nothing that was acknowledged is lost, all trees, digests and files are alike.
"""

import argparse
import logging
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.integration.ensemble import Ensemble
from tests.integration.hostile_peers import HostilePeers
from tests.integration.load import Load
from tests.integration.test_limits import resident_bytes
from tests.interop.mixed import GONE_WRONG
from tests.interop.mixed_cases import expect, reckoning
from tests.interop.results import FAILED, PASSED, Result

ATTACKERS = 2
WRITES = 200
# So that ten minutes leave a tree that can be compared in seconds.
PAUSE_S = 0.02
GROWTH_BYTES_MAX = 64 << 20


def run(options: argparse.Namespace) -> list[Result]:
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    print(f"hostile-peers: {options.minutes} minutes, seed {seed}", flush=True)
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    try:
        broken = siege(folder, seed, options.minutes * 60)
    except GONE_WRONG as error:
        broken = [f"{type(error).__name__}: {error}"]
    if broken:
        return [Result("hostile-peers", "siege", FAILED, "\n".join([f"seed {seed}, files in {folder}", *broken]))]
    shutil.rmtree(folder)
    return [Result("hostile-peers", "siege", PASSED)]


def siege(folder: Path, seed: int, seconds: float) -> list[str]:
    with Ensemble(folder, ["pyzk"] * 3) as ensemble:
        ensemble.start()
        members = list(ensemble.members.values())
        modes = [member.mode for member in members]
        with Load(ensemble.hosts(), seed, pause_s=PAUSE_S) as load:
            load.wait_for(WRITES)
            before = [resident_bytes(member) for member in members]
            done = attacked(ensemble, seed, time.monotonic() + seconds)
            growth = [resident_bytes(member) - size for member, size in zip(members, before, strict=True)]
            load.wait_for(WRITES)
        print(f"    {done.total()} attacks: {', '.join(f'{name[1:]} {count}' for name, count in sorted(done.items()))}")
        print(f"    {load.summary()}; grown by {', '.join(f'{size >> 10} KiB' for size in growth)}", flush=True)
        broken = expect(load.cut_off == 0, f"{load.cut_off} writes were cut off")
        broken += expect([member.mode for member in members] == modes, "roles have changed")
        broken += expect(max(growth) < GROWTH_BYTES_MAX, "a server has grown")
        for member in members:
            broken += expect(member.logged().count('"event": "serves"') == 1, f"{member} has lost its role meanwhile")
        return broken + reckoning(ensemble, load)


def attacked(ensemble: Ensemble, seed: int, ends: float) -> Counter[str]:
    """How often each attack was made until then, by several at a time."""
    done: Counter[str] = Counter()

    def attack(number: int) -> None:
        with HostilePeers(ensemble, random.Random(f"{seed} {number}")) as peers:
            while time.monotonic() < ends:
                peers.attack()
            done.update(peers.done)

    threads = [threading.Thread(target=attack, args=(number,)) for number in range(ATTACKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done
