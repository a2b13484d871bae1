"""From role to role: docs/protocol/election.md section 6."""

from random import Random

from pyzk.zab.connections import ConnectionSettings
from pyzk.zab.effects import Dial, Truncate
from pyzk.zab.election import ElectionSettings
from pyzk.zab.events import Port, Reloaded, Wake
from pyzk.zab.history import History
from pyzk.zab.membership import parse_text
from pyzk.zab.peer import Peer
from pyzk.zab.settings import AgreementSettings
from pyzk.zab.state import State
from pyzk.zab.votes import Vote


def servers(*server_ids):
    return "\n".join(f"server.{number}=10.0.0.{number}:2888:3888:participant;2181" for number in server_ids)


def new_peer(server_id, membership, **settings):
    state = State(server_id, AgreementSettings(**settings), membership, membership, History(0, [], 500))
    return Peer(state, ConnectionSettings(), ElectionSettings(), Random(server_id))


def test_an_observer_without_log_that_is_to_vote_has_what_its_log_has_and_no_more():
    peer = new_peer(3, parse_text(servers(1, 2, 3)), observer_sync_enabled=False)
    history = peer.state.history
    history.hold([(0x100000001, b"committed"), (0x100000002, b"not committed")])
    history.commit(0x100000001)
    effects = peer.start(100.0)
    assert [(type(effect), effect.zxid) for effect in effects] == [(Truncate, 0)]
    assert not peer.is_looking
    peer.receive(Reloaded(effects[0].token, 0, [], ""), 100.1)
    assert peer.is_looking
    assert history.last_zxid == 0


def test_an_observer_without_log_that_stays_one_keeps_what_was_committed():
    text = f"{servers(1, 2)}\nserver.3=10.0.0.3:2888:3888:observer;2181"
    peer = new_peer(3, parse_text(text), observer_sync_enabled=False)
    history = peer.state.history
    history.hold([(0x100000001, b"committed"), (0x100000002, b"not committed")])
    history.commit(0x100000001)
    peer.start(100.0)
    assert peer.is_looking
    assert history.last_zxid == 0x100000001


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


def test_a_newer_configuration_that_is_taken_over_does_not_cover_the_newest_one_proposed():
    """What this server has acknowledged in the newest one may be committed by it."""
    membership, newest = parse_text(servers(1, 2, 3, 4)), parse_text(f"{servers(3, 4)}\nversion=100000007")
    state = State(4, AgreementSettings(reconfig_enabled=True), membership, newest, History(0, [], 500))
    peer = Peer(state, ConnectionSettings(), ElectionSettings(reconfig_enabled=True), Random(4))
    peer.start(100.0)
    peer.election.newer_config = f"{servers(1, 2, 3)}\nversion=100000000"
    peer.receive(Wake(), 100.1)
    assert state.membership.version == 0x100000000
    assert state.last_seen is newest


OBSERVED = f"{servers(1, 2)}\nserver.3=10.0.0.3:2888:3888:observer;2181"


def elected(**settings):
    """Server 3 observes, and has just heard that server 1 leads; returns what it dials to be brought up."""
    peer = new_peer(3, parse_text(OBSERVED), observer_reconnect_delay_ms=1000, **settings)
    peer.start(100.0)
    peer.election.winner = Vote(1, 0, 1, 1)
    return peer, dialed(peer.receive(Wake(), 100.0))


def dialed(effects):
    return [effect.port for effect in effects if isinstance(effect, Dial) and effect.port != Port.ELECTION]


def test_an_observer_lets_a_random_part_of_its_delay_pass_before_it_dials_the_leader():
    peer, dials = elected()
    assert dials == []
    assert 100.0 < peer.role.deadline() < 101.0
    assert dialed(peer.receive(Wake(), peer.role.deadline())) == [Port.QUORUM]


def test_those_who_serve_observers_are_dialed_at_once_and_then_with_a_pause():
    peer, dials = elected(observer_master_port=2190)
    assert dials == [Port.OBSERVER_MASTER]
    peer.role.end("nobody took the call")
    peer.receive(Wake(), 101.0)
    peer.receive(Wake(), 102.0)
    peer.election.winner = Vote(1, 0, 1, 1)
    assert dialed(peer.receive(Wake(), 103.0)) == []


def test_an_observer_that_nobody_serves_asks_the_leader_every_fourth_time():
    """A proposed configuration may have made it a voter, for whom the leader waits."""
    peer, dials = elected(observer_master_port=2190)
    for attempt in range(1, 40):
        peer.role.end("nobody took the call")
        now = 100.0 + 10 * attempt
        peer.receive(Wake(), now)
        peer.receive(Wake(), now + 5)
        peer.election.winner = Vote(1, 0, 1, 1)
        peer.receive(Wake(), now + 5)
        dials += dialed(peer.receive(Wake(), peer.role.deadline()))
    assert dials == [*[Port.OBSERVER_MASTER] * 3, Port.QUORUM] * 10
