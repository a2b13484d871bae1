"""Whatever comes to the ports for peers of a live ensemble, no write fails and no server loses its role or memory."""

import random
import time
from pathlib import Path

from tests.integration.ensemble import Ensemble
from tests.integration.hostile_peers import HostilePeers
from tests.integration.load import Load
from tests.integration.test_ensemble import events, require_well, run_load
from tests.integration.test_limits import resident_bytes

GROWTH_BYTES_MAX = 64 << 20
ATTACKS_S = 6.0
GAP_S_MAX = 5.0


def test_hostile_peers_disturb_nobody(tmp_path: Path, rng: random.Random) -> None:
    with Ensemble(tmp_path, ["pyzk"] * 3) as ensemble:
        ensemble.start()
        members = list(ensemble.members.values())
        leader = ensemble.leader()

        def disturb(_: Load) -> None:
            before = [resident_bytes(member) for member in members]
            ends = time.monotonic() + ATTACKS_S
            with HostilePeers(ensemble, rng) as peers:
                while time.monotonic() < ends:
                    peers.attack()
                growth = [resident_bytes(member) - bytes_ for member, bytes_ in zip(members, before, strict=True)]
            print(dict(peers.done), "growth", growth)
            assert max(growth) < GROWTH_BYTES_MAX

        load = run_load(ensemble, disturb)
        assert load.cut_off == 0
        assert load.longest_gap_s() < GAP_S_MAX
        assert ensemble.leader() == leader
        for member in members:
            assert len(events(member, "serves")) == 1
            assert events(member, "peer_link_refused")
        require_well(ensemble)
