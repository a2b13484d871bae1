"""From role to role: docs/protocol/election.md section 6."""

from random import Random

from pyzk.zab.connections import ConnectionSettings
from pyzk.zab.effects import Dial
from pyzk.zab.election import ElectionSettings
from pyzk.zab.events import Wake
from pyzk.zab.history import History
from pyzk.zab.membership import parse_text
from pyzk.zab.peer import Peer
from pyzk.zab.settings import AgreementSettings
from pyzk.zab.state import State


def servers(*server_ids):
    return "\n".join(f"server.{number}=10.0.0.{number}:2888:3888:participant;2181" for number in server_ids)


def test_a_joiner_that_takes_over_a_newer_configuration_asks_its_members():
    """It is not in that configuration itself, and its links of before are gone."""
    membership = parse_text(servers(1, 2, 3, 4))
    state = State(4, AgreementSettings(reconfig_enabled=True), membership, membership, History(0, [], 500))
    peer = Peer(state, ConnectionSettings(), ElectionSettings(reconfig_enabled=True), Random(4))
    peer.start(100.0)
    peer.election.newer_config = f"{servers(1, 2, 3)}\nversion=100000000"
    effects = peer.receive(Wake(), 100.1)
    dialed = [effect.addresses[0][0] for effect in effects if isinstance(effect, Dial)]
    assert dialed == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert state.membership.version == 0x100000000
