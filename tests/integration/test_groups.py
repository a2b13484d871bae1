"""Real servers whose votes have weights and groups: who decides. Source: docs/protocol/election.md section 6."""

from pathlib import Path

from tests.integration.ensemble import Ensemble
from tests.integration.processes import eventually
from tests.integration.test_ensemble import require_well

WEIGHTS = {"group.1": "1:2:3", "weight.1": 1, "weight.2": 1, "weight.3": 0, "syncLimit": 4}
GROUPS = {"group.1": "1:2:3", "group.2": "4:5:6", "group.3": "7", "syncLimit": 4}


def test_a_server_without_weight_follows_and_decides_nothing(tmp_path: Path) -> None:
    with Ensemble(tmp_path, ["pyzk"] * 3, WEIGHTS) as ensemble:
        ensemble.start()
        assert ensemble[3].mode == "follower", "the highest id would lead if it had a vote"
        ensemble.kill(3)
        with ensemble.talking(1, 2) as client:
            client.create("/without-the-third")
        ensemble.start(3)
        ensemble.kill(2)
        eventually(lambda: not ensemble[1].mode and not ensemble[3].mode, "two of three do not serve: one has no vote")
        ensemble.start(2)
        ensemble.wait_until_serving()
        with ensemble.talking(3) as client:
            assert client.exists("/without-the-third")
        require_well(ensemble)


def test_two_of_three_groups_decide_each_by_the_most_of_its_servers(tmp_path: Path) -> None:
    with Ensemble(tmp_path, ["pyzk"] * 7, GROUPS) as ensemble:
        ensemble.start()
        ensemble.kill(3, 6, 7)
        with ensemble.talking(1, 2, 4, 5) as client:
            client.retry(client.create, "/two-groups")
        ensemble.kill(5)
        lone = [1, 2, 4]
        eventually(lambda: not any(ensemble[sid].mode for sid in lone), "one group is not enough")
        ensemble.start(7)
        ensemble.wait_until_serving(*lone, 7)
        with ensemble.talking(7) as client:
            client.sync("/")
            assert client.exists("/two-groups")
        require_well(ensemble)
