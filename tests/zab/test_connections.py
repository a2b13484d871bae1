"""docs/protocol/election.md section 2: who dials, which of two links survives, what is sent on it."""

import random
from itertools import count

import pytest

from pyzk.codec.election import Hello, Notification
from pyzk.codec.framing import frame
from pyzk.zab.connections import ANONYMOUS, GUESTS_MAX, STRANGERS_MAX, Connections, ConnectionSettings
from pyzk.zab.effects import Close, Dial, Effect, Note, Send
from pyzk.zab.events import Port
from pyzk.zab.membership import Membership, parse_text

HELLO_TIMEOUT_SECONDS = 10
NOTIFICATION = Notification(0, 2, 0, 1, 0, config=b"").encode()
BODY = NOTIFICATION[4:]


def members(*server_ids: int, host: str = "h", version: int = 0) -> Membership:
    lines = [f"server.{server_id}={host}{server_id}:2888:3888:participant" for server_id in server_ids]
    return parse_text("\n".join([*lines, f"version={version:x}"]))


class Server:
    """Server 2 of 1, 2 and 3, and what it does."""

    def __init__(self, server_id: int = 2, *, multi_address: bool = False) -> None:
        self.effects: list[Effect] = []
        settings = ConnectionSettings(5000, HELLO_TIMEOUT_SECONDS * 1000, multi_address)
        self.connections = Connections(server_id, self.effects, count(1).__next__, settings)
        self.connections.membership = members(1, 2, 3)

    def done(self) -> list[Effect]:
        """Effects since the last look."""
        effects = list(self.effects)
        self.effects.clear()
        return effects

    def dialed(self, server_id: int) -> int:
        """Send something to a server, and let the dial succeed."""
        self.connections.send(server_id, NOTIFICATION)
        (dial,) = self.done()
        assert isinstance(dial, Dial)
        self.connections.connected(dial.link)
        return dial.link

    def greeted(self, link: int, server_id: int, *addresses: tuple[str, int]) -> list[tuple[int, bytes]]:
        """Accept a link on which that server says hello."""
        self.connections.accepted(link, "192.0.2.7:5000", 0.0)
        return self.connections.received(link, hello_of(server_id, *addresses))


def hello_of(server_id: int, *addresses: tuple[str, int]) -> bytes:
    return Hello(server_id, list(addresses) or [(f"h{server_id}", 3888)]).encode(multi_address=len(addresses) > 1)


def closed_links(effects: list[Effect]) -> list[int]:
    return [effect.link for effect in effects if isinstance(effect, Close)]


def test_a_server_with_a_smaller_id_is_dialed_and_the_link_is_kept() -> None:
    server = Server()
    link = server.dialed(1)
    assert server.done() == [Send(link, hello_of(2)), Send(link, NOTIFICATION)]
    assert server.connections.received(link, NOTIFICATION) == [(1, BODY)]


def test_the_hello_goes_out_in_one_piece_and_names_all_addresses_only_when_that_is_enabled() -> None:
    two = parse_text("server.1=h1:2888:3888:participant\nserver.2=h2:2888:3888|g2:2889:3889:participant\nversion=0")
    for multi_address in (False, True):
        server = Server(multi_address=multi_address)
        server.connections.membership = two
        link = server.dialed(1)
        expected = Hello(2, two.election_addresses(2)).encode(multi_address=multi_address)
        assert server.done()[0] == Send(link, expected)


def test_a_server_with_a_larger_id_is_told_who_we_are_and_dials_back() -> None:
    server = Server()
    link = server.dialed(3)
    hello, close = server.done()
    assert hello == Send(link, hello_of(2))
    assert closed_links([close]) == [link]
    assert not server.connections.owns(link)
    server.greeted(-1, 3)
    assert server.done() == [Send(-1, NOTIFICATION)]


def test_a_server_with_a_smaller_id_that_dials_us_is_dialed_at_the_address_in_its_hello() -> None:
    server = Server()
    server.greeted(-1, 1, ("elsewhere", 4000))
    close, dial = server.done()
    assert closed_links([close]) == [-1]
    assert dial == Dial(1, Port.ELECTION, [("elsewhere", 4000)], 5000)


@pytest.mark.parametrize("hello", [(1).to_bytes(8), hello_of(1, ("0.0.0.0", 3888))], ids=["before 3.5", "wildcard"])
def test_a_hello_without_a_usable_address_has_us_dial_the_one_of_the_configuration(hello: bytes) -> None:
    server = Server()
    server.connections.accepted(-1, "somebody", 0.0)
    server.connections.received(-1, hello)
    assert server.done()[1] == Dial(1, Port.ELECTION, [("h1", 3888)], 5000)


def test_a_smaller_server_that_dials_anew_ends_the_old_link() -> None:
    server = Server()
    old = server.dialed(1)
    server.done()
    server.greeted(-1, 1)
    effects = server.done()
    assert closed_links(effects) == [-1, old]
    assert isinstance(effects[-1], Dial)


def test_a_larger_server_that_dials_anew_ends_the_old_link() -> None:
    server = Server()
    server.greeted(-1, 3)
    server.greeted(-2, 3)
    assert closed_links(server.done()) == [-1]
    server.connections.send(3, NOTIFICATION)
    assert server.done() == [Send(-2, NOTIFICATION)]


def test_a_dial_is_given_up_when_the_larger_server_comes_first() -> None:
    server = Server()
    server.connections.send(3, NOTIFICATION)
    server.done()
    server.greeted(-1, 3)
    effects = server.done()
    assert closed_links(effects) == [1]
    assert effects[-1] == Send(-1, NOTIFICATION)
    assert not server.connections.owns(1)


def test_a_hello_with_our_own_id_is_closed_and_noted() -> None:
    server = Server()
    server.greeted(-1, 2)
    note, close = server.done()
    assert isinstance(note, Note)
    assert note.is_warning
    assert closed_links([close]) == [-1]


def test_anonymous_observers_get_ids_of_their_own_and_keep_their_links() -> None:
    server = Server()
    server.greeted(-1, ANONYMOUS)
    server.greeted(-2, ANONYMOUS)
    assert server.connections.received(-1, NOTIFICATION) == [(-1, BODY)]
    assert server.connections.received(-2, NOTIFICATION) == [(-2, BODY)]
    server.connections.send(-2, NOTIFICATION)
    assert server.done() == [Send(-2, NOTIFICATION)]


def test_a_server_outside_the_configuration_is_heard_and_can_be_answered() -> None:
    server = Server()
    server.greeted(-1, 9)
    assert server.connections.received(-1, NOTIFICATION) == [(9, BODY)]
    server.connections.send(9, NOTIFICATION)
    assert server.done() == [Send(-1, NOTIFICATION)]


def test_nothing_is_kept_of_a_server_outside_the_configuration_when_its_link_ends() -> None:
    server = Server()
    server.greeted(-1, 9)
    server.connections.disconnected(-1)
    server.connections.send(9, NOTIFICATION)
    server.connections.connect_all()
    assert server.done() == []
    assert not server.connections.any_queue_empty


def test_servers_outside_the_configuration_are_bounded() -> None:
    server = Server()
    server.greeted(-1, 3)
    for number in range(STRANGERS_MAX + 1):
        server.greeted(-10 - number, 1000 + number)
    assert closed_links(server.done()) == [-10]
    assert server.connections.owns(-1)


def test_a_proposed_configuration_gives_the_second_address_and_new_members() -> None:
    server = Server()
    server.connections.last_seen = members(1, 2, 4, host="new", version=5)
    for server_id in (1, 4, 7):
        server.connections.send(server_id, NOTIFICATION)
    addresses = [effect.addresses for effect in server.done() if isinstance(effect, Dial)]
    assert addresses == [[("h1", 3888), ("new1", 3888)], [("new4", 3888)]]


def test_a_newer_message_takes_the_place_of_one_that_waits() -> None:
    server = Server()
    for number in range(3):
        server.connections.send(1, frame(bytes([number])))
    (dial,) = server.done()  # one dial at a time
    server.connections.connected(1)
    assert isinstance(dial, Dial)
    assert server.done()[1:] == [Send(1, frame(b"\x02"))]


def test_the_last_message_is_sent_again_on_a_new_link() -> None:
    server = Server()
    server.greeted(-1, 3)
    server.connections.send(3, NOTIFICATION)
    server.connections.disconnected(-1)
    server.done()
    server.greeted(-2, 3)
    assert server.done() == [Send(-2, NOTIFICATION)]


def test_a_newer_message_goes_out_in_place_of_the_last_one() -> None:
    server = Server()
    link = server.dialed(1)
    server.connections.disconnected(link)
    server.connections.send(1, frame(b"newer"))
    server.done()
    server.connections.connected(2)
    assert server.done() == [Send(2, hello_of(2)), Send(2, frame(b"newer"))]


def test_a_failed_dial_is_repeated_only_when_something_is_to_be_sent() -> None:
    server = Server()
    server.connections.send(1, NOTIFICATION)
    server.done()
    server.connections.disconnected(1)
    assert server.done() == []
    assert not server.connections.any_queue_empty
    server.connections.connect_all()
    assert server.done() == [Dial(2, Port.ELECTION, [("h1", 3888)], 5000)]


def test_what_was_said_may_be_lost_with_a_link_in_use_not_with_a_failed_dial() -> None:
    server = Server()
    link = server.dialed(1)
    assert server.connections.disconnected(link)
    server.connections.send(1, NOTIFICATION)
    assert not server.connections.disconnected(link + 1)
    server.connections.accepted(-1, "somebody", 0.0)
    assert not server.connections.disconnected(-1)


def test_a_queue_is_empty_when_the_message_was_handed_to_a_link() -> None:
    server = Server()
    server.connections.send(3, NOTIFICATION)
    assert not server.connections.any_queue_empty
    server.done()
    server.dialed(1)
    assert server.connections.any_queue_empty


def test_hello_and_notifications_may_come_in_any_pieces() -> None:
    stream = hello_of(3) + NOTIFICATION + NOTIFICATION
    for size, found in ((1, 2), (7, 2), (len(stream), 1)):
        server = Server()
        server.connections.accepted(-1, "somebody", 0.0)
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert [got for piece in pieces for got in server.connections.received(-1, piece)] == [(3, BODY)] * found


def test_of_many_notifications_in_one_piece_the_last_counts() -> None:
    server = Server()
    link = server.dialed(1)
    last = frame(BODY[:-4])
    assert server.connections.received(link, NOTIFICATION * 1000 + last) == [(1, BODY[:-4])]
    assert server.connections.received(link, NOTIFICATION + last[:10]) == [(1, BODY)]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (hello_of(3, ("h3", 99999)), "99999"),
        ((-7).to_bytes(8, signed=True), "-7"),
        (hello_of(3)[:16] + (5000).to_bytes(4), "5000"),
        (hello_of(3) + bytes(4), "length 0"),
        (hello_of(3) + (600_000).to_bytes(4), "600000"),
    ],
)
def test_row_6_what_cannot_be_read_closes_its_own_link_and_says_why(data: bytes, named: str) -> None:
    """docs/protocol/apache-defects.md, row 6: there a port above 65535 ends the listener."""
    server = Server()
    server.greeted(-1, 3)
    server.connections.accepted(-2, "somebody", 0.0)
    server.connections.received(-2, data)
    closes = [effect for effect in server.done() if isinstance(effect, Close) and effect.link == -2]
    assert named in closes[0].reason
    assert not server.connections.owns(-2)
    server.greeted(-3, 3)
    assert server.connections.received(-3, NOTIFICATION) == [(3, BODY)]


def test_a_link_without_a_hello_is_closed_in_time_and_keeps_nobody_waiting() -> None:
    server = Server()
    server.connections.accepted(-1, "silent", 5.0)
    server.connections.accepted(-2, "busy", 6.0)
    server.connections.received(-2, hello_of(3))
    assert server.connections.deadline() == 5.0 + HELLO_TIMEOUT_SECONDS
    server.connections.wake(14.9)
    assert server.done() == []
    server.connections.wake(15.0)
    assert closed_links(server.done()) == [-1]
    assert server.connections.deadline() is None


def test_links_without_a_hello_are_bounded_and_the_oldest_is_closed() -> None:
    server = Server()
    for number in range(GUESTS_MAX + 1):
        server.connections.accepted(-1 - number, "somebody", float(number))
    assert closed_links(server.done()) == [-1]


def test_a_link_that_ends_before_its_hello_is_forgotten() -> None:
    server = Server()
    server.connections.accepted(-1, "somebody", 0.0)
    server.connections.disconnected(-1)
    assert server.connections.deadline() is None
    assert not server.connections.owns(-1)


def test_all_links_are_closed_when_the_members_change() -> None:
    server = Server()
    server.dialed(1)
    server.connections.send(3, NOTIFICATION)
    server.connections.accepted(-1, "somebody", 0.0)
    server.done()
    server.connections.drop_all()
    assert closed_links(server.done()) == [-1, 1, 2]
    server.connections.connect_all()
    assert server.done() == []
    server.connections.send(1, NOTIFICATION)
    assert isinstance(server.done()[0], Dial)


def test_a_server_that_was_removed_still_says_where_it_is() -> None:
    server = Server()
    server.connections.disconnected(server.dialed(1))
    server.connections.membership = members(1, 3, version=9)
    server.done()
    server.dialed(1)
    assert server.done()[0] == Send(2, hello_of(2))


class Chaos:
    """A network that does anything it may do to server 5 of 1 to 9, and checks what the server does."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.server = Server(5)
        self.server.connections.membership = members(*range(1, 10))
        self.dialing: dict[int, object] = {}
        self.alive: list[int] = []
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        actions = [self.accept, self.send, self.wake]
        actions += [self.end_dial] if self.dialing else []
        actions += [self.disconnect, self.receive] if self.alive else []
        self.rng.choice(actions)()
        self.check()

    def accept(self) -> None:
        self.alive.append(-self.steps)
        self.server.connections.accepted(-self.steps, "somebody", self.steps)

    def send(self) -> None:
        self.server.connections.send(self.rng.choice([1, 2, 4, 6, 9, 12]), NOTIFICATION)

    def wake(self) -> None:
        self.server.connections.wake(self.steps)

    def end_dial(self) -> None:
        link = self.rng.choice(list(self.dialing))
        del self.dialing[link]
        if self.rng.random() < 0.5:
            self.alive.append(link)
            self.server.connections.connected(link)
        else:
            self.server.connections.disconnected(link)

    def disconnect(self) -> None:
        link = self.rng.choice(self.alive)
        self.alive.remove(link)
        self.server.connections.disconnected(link)

    def receive(self) -> None:
        data = self.rng.choice([NOTIFICATION, hello_of(self.rng.randrange(14)), b"\xff" * 30])
        self.server.connections.received(self.rng.choice(self.alive), data)

    def check(self) -> None:
        for effect in self.server.done():
            if isinstance(effect, Dial):
                assert effect.addresses not in self.dialing.values(), "one dial at a time"
                self.dialing[effect.link] = effect.addresses
            elif isinstance(effect, Send):
                assert effect.link in self.alive
            elif isinstance(effect, Close) and self.dialing.pop(effect.link, None) is None:
                self.alive.remove(effect.link)
        assert all(self.server.connections.owns(link) for link in (*self.alive, *self.dialing))


def test_whatever_comes_links_are_closed_once_and_nothing_is_sent_on_those_that_are_closed(rng: random.Random) -> None:
    chaos = Chaos(rng)
    for _ in range(5000):
        chaos.step()
