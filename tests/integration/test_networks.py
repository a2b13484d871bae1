"""Servers with two addresses each, on two networks of which one goes down: the ensemble goes on over the other one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.ensemble import Ensemble
from tests.integration.load import Load
from tests.integration.namespaces import Network
from tests.integration.test_ensemble import require_well, run_load
from tests.interop.apache import UnavailableError

SETTINGS = {"multiAddress.enabled": "true", "syncLimit": 4}
WRITES = 100


@pytest.fixture
def network() -> Iterator[Network]:
    try:
        with Network(3, peer_networks=2) as network:
            yield network
    except UnavailableError as missing:
        pytest.skip(str(missing))


@pytest.fixture
def ensemble(tmp_path: Path, network: Network) -> Iterator[Ensemble]:
    places = {"hosts": network.hosts, "peer_hosts": network.peer_hosts}
    with Ensemble(tmp_path, ["pyzk"] * 3, SETTINGS, **places) as ensemble:
        network.enter(ensemble)
        ensemble.start()
        yield ensemble


def test_an_ensemble_goes_on_over_its_other_network(ensemble: Ensemble, network: Network) -> None:
    def lose_one_after_the_other(load: Load) -> None:
        network.silence(1)
        ensemble.write_through_each("/without-1")
        network.restore(1)
        load.wait_for(WRITES)
        leader = ensemble.leader()
        network.unplug(leader, 2)
        ensemble.write_through_each("/without-2")
        network.plug_in(leader, 2)

    run_load(ensemble, lose_one_after_the_other)
    require_well(ensemble)
