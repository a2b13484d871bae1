"""Two real servers and their oracles: one of them goes on alone when its oracle says so, and only then."""

from pathlib import Path

from tests.integration.ensemble import Ensemble
from tests.integration.processes import eventually
from tests.integration.test_ensemble import events, require_well

SETTINGS = {"syncLimit": 4}


def test_one_of_two_servers_obeys_its_oracle(tmp_path: Path) -> None:
    with Ensemble(tmp_path, ["pyzk"] * 2, SETTINGS, oracles=True) as ensemble:
        ensemble.start(first=2)
        alone = ensemble[1]
        ensemble.kill(2)
        eventually(lambda: not alone.mode, "it does not serve without the other")
        alone.oracle_path.write_text("1")
        ensemble.wait_until_serving(1)
        assert alone.mode == "leader"
        with ensemble.talking(1) as client:
            client.create("/alone")
            client.sync("/")
            alone.oracle_path.unlink()
            eventually(lambda: not alone.mode, "it does not serve when its oracle is silent")
            alone.oracle_path.write_text("1\n")
            client.retry(client.create, "/again")
        ensemble.start(2)
        with ensemble.talking(2) as client:
            client.sync("/")
            assert client.exists("/alone")
            assert client.exists("/again")
        heard = [line["lead_alone"] for line in events(alone, "oracle_says")]
        assert heard == [False, True, False, True], "it is told in the log when it changes"
        require_well(ensemble)
