"""Links to other servers over real sockets on loopback: numbers, order, limits, trees in slices, dials, ports."""

import asyncio
import contextlib
import socket
import sys
from typing import Any

import pytest
import uvloop

from pyzk.errors import PeerPortError
from pyzk.server import dialing
from pyzk.server import link as link_module
from pyzk.server import links as links_module
from pyzk.server.links import LinkOptions
from pyzk.server.peerports import PeerPorts
from pyzk.tree.node import LEAF_TAIL
from pyzk.tree.tree import Tree
from pyzk.tree.walk import walk
from pyzk.zab.effects import Close, Dial, Send, SendTree
from pyzk.zab.events import Accepted, Connected, Disconnected, Port, Received
from pyzk.zab.servers import PeerAddress, ServerSpec
from tests.server.shell import PATIENCE_S, until
from tests.server.sides import HOST, Side


def big_tree(nodes: int = 3000) -> Tree:
    tree = Tree()
    for number in range(nodes):
        tree.add(b"/%06d" % number, *_leaf())
    return tree


def _leaf() -> tuple[bytes, int]:
    """A znode of some size, and its owner."""
    data = b"x" * 300
    stat = (1, 1, 0, 0, 0, 0, 0, 0, len(data), 0, 1)
    return len(data).to_bytes(4, "big") + data + LEAF_TAIL.pack(*stat, 0, -1, 0, 0), 0


# Numbers.


async def test_links_that_others_open_have_numbers_below_zero_that_never_come_again(sides: Any) -> None:
    server, client = sides(), sides()
    port = await server.listen(Port.ELECTION)
    for number in (1, 2):
        await client.dialed(number, port, Port.ELECTION)
        await until(lambda: len(server.of(Accepted)) == number, "it is accepted")  # noqa: B023
        client.perform(Close(number, "done"))
        await until(lambda: len(server.of(Disconnected)) == number, "it is gone")  # noqa: B023
    assert [(event.link, event.port) for event in server.of(Accepted)] == [(-1, Port.ELECTION), (-2, Port.ELECTION)]
    assert server.of(Accepted)[0].label.startswith("/127.0.0.1:")
    assert [event.link for event in server.of(Disconnected)] == [-1, -2]
    assert client.of(Disconnected) == []


async def test_effects_on_a_link_that_is_gone_do_nothing(sides: Any) -> None:
    side = sides()
    side.perform(Send(7, b"x"), Send(-7, b"x"), SendTree(7), Close(7, "gone"))
    side.links.flush()
    assert side.events == []


async def test_what_is_sent_in_one_turn_arrives_in_one_piece(sides: Any) -> None:
    """Apache's acceptor reads the addresses of a hello with a single read."""
    server, client = sides(), sides()
    await client.dialed(1, await server.listen())
    client.perform(*[Send(1, b"%d" % number) for number in range(10)])
    assert client.woken == 1
    await until(lambda: server.of(Received), "it has arrived")
    assert server.of(Received) == [Received(-1, b"0123456789")]


async def test_bytes_go_both_ways_in_order(sides: Any) -> None:
    server, client = sides(), sides()
    await client.dialed(1, await server.listen())
    await until(lambda: server.of(Accepted), "it is accepted")
    expected = b""
    for number in range(300):
        piece = b"%d," % number * 100
        expected += piece
        client.perform(Send(1, piece))
        server.perform(Send(-1, piece))
        if number % 7 == 0:
            await asyncio.sleep(0)
    await until(lambda: len(server.received(-1)) == len(client.received(1)) == len(expected), "all has arrived")
    assert server.received(-1) == client.received(1) == expected


# Closing.


async def test_what_was_sent_before_a_close_goes_out_first(sides: Any) -> None:
    server, client = sides(), sides()
    await client.dialed(1, await server.listen())
    client.perform(Send(1, b"x" * 3_000_000), Send(1, b"bye"), Close(1, "enough"), Send(1, b"never"))
    await until(lambda: server.of(Disconnected), "it is closed")
    assert server.received(-1) == b"x" * 3_000_000 + b"bye"
    assert len(client.links) == len(server.links) == 0


async def test_a_closed_link_whose_other_side_does_not_read_is_cut_after_a_while(
    sides: Any, silent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "LINGER_SECONDS", 0.0)
    server = sides()
    other = await silent(await server.listen())
    await until(lambda: server.of(Accepted), "it is accepted")
    server.perform(Send(-1, bytes(30_000_000)), Close(-1, "enough"))
    assert len(await other.read(30_000_000)) < 30_000_000


async def test_a_reset_is_told_once(sides: Any, silent: Any) -> None:
    server = sides()
    other = await silent(await server.listen())
    await until(lambda: server.of(Accepted), "it is accepted")
    other.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    other.socket.close()
    await until(lambda: server.of(Disconnected), "it is gone")
    server.perform(Send(-1, b"x"))
    assert [event.link for event in server.of(Disconnected)] == [-1]


async def test_a_link_that_the_other_side_half_closes_is_gone(sides: Any, silent: Any) -> None:
    server = sides()
    other = await silent(await server.listen())
    other.socket.shutdown(socket.SHUT_WR)
    await until(lambda: server.of(Disconnected), "it is gone")
    assert server.of(Disconnected) == [Disconnected(-1, "closed by the other side")]


# Limits.


async def test_a_server_that_does_not_read_is_given_up_when_too_much_waits(sides: Any, silent: Any) -> None:
    server = sides(LinkOptions(out_buffer_bytes_max=1 << 20))
    await silent(await server.listen())
    await until(lambda: server.of(Accepted), "it is accepted")
    for _ in range(40):
        server.perform(Send(-1, bytes(1 << 20)))
        await asyncio.sleep(0)
    (gone,) = server.of(Disconnected)
    assert "pyzk.peerOutBufferBytesMax" in gone.reason
    assert len(server.links) == 0


async def test_on_an_election_link_hardly_more_than_one_notification_waits(sides: Any, silent: Any) -> None:
    server = sides()
    await silent(await server.listen(Port.ELECTION))
    await until(lambda: server.of(Accepted), "it is accepted")
    for _ in range(40):
        server.perform(Send(-1, bytes(1 << 19)))
        await asyncio.sleep(0)
    (gone,) = server.of(Disconnected)
    assert "on an election link at most 1048576" in gone.reason


async def test_one_message_may_be_longer_than_the_limit(sides: Any) -> None:
    server, client = sides(), sides(LinkOptions(out_buffer_bytes_max=1 << 20))
    await client.dialed(1, await server.listen())
    client.perform(Send(1, bytes(8 << 20)))
    await until(lambda: len(server.received(-1)) == 8 << 20, "all has arrived")
    client.perform(Send(1, b"more"))
    await until(lambda: server.received(-1).endswith(b"more"), "more has arrived")


async def test_more_links_than_a_port_takes_are_closed_at_once(
    sides: Any, silent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links_module, "ACCEPTED_PER_PORT_MAX", 2)
    server = sides()
    ports = [await server.listen(Port.ELECTION), await server.listen(Port.QUORUM)]
    first = [await silent(ports[0]) for _ in range(2)]
    await until(lambda: len(server.of(Accepted)) == 2, "two are in")
    refused = await silent(ports[0])
    with contextlib.suppress(ConnectionResetError):
        assert await refused.read(1) == b""
    await silent(ports[1])
    await until(lambda: len(server.of(Accepted)) == 3, "the other port has its own")
    first[0].socket.close()
    await until(lambda: server.of(Disconnected), "one has left")
    await silent(ports[0])
    await until(lambda: len(server.of(Accepted)) == 4, "there is room again")


# Trees.


async def test_a_tree_goes_out_as_it_was_and_what_is_sent_meanwhile_behind_it(sides: Any) -> None:
    tree = big_tree()
    expected = b"".join(walk(tree))
    server, client = sides(tree=tree), sides()
    await client.dialed(1, await server.listen())
    await until(lambda: server.of(Accepted), "it is accepted")
    server.perform(Send(-1, b"before|"), SendTree(-1), Send(-1, b"|behind"))
    for number in range(0, 3000, 7):
        tree.preserve(b"/%06d" % number)
        tree.nodes[b"/%06d" % number] = _leaf()[0].replace(b"x", b"y")
    await asyncio.sleep(0)
    server.perform(Send(-1, b"|and more"))
    total = len(b"before|" + expected + b"|behind|and more")
    await until(lambda: len(client.received(1)) == total, "all has arrived")
    assert client.received(1) == b"before|" + expected + b"|behind|and more"
    assert tree.walks == []


async def test_a_tree_waits_for_a_slow_reader_and_others_are_served_meanwhile(sides: Any, silent: Any) -> None:
    tree = big_tree(30_000)
    expected = b"".join(walk(tree))
    server, client = sides(tree=tree), sides()
    port = await server.listen()
    slow = await silent(port)
    await until(lambda: server.of(Accepted), "it is accepted")
    await client.dialed(1, port)
    await until(lambda: len(server.of(Accepted)) == 2, "both are accepted")
    server.perform(SendTree(-1), Send(-1, b"end"))
    server.perform(Send(-2, b"quick"))
    await until(lambda: client.received(1) == b"quick", "the other one has its bytes")
    assert tree.walks, "most of the tree is still in the tree"
    assert await slow.read(len(expected) + 3) == expected + b"end"
    assert tree.walks == []


async def test_what_waits_behind_a_tree_is_bounded(sides: Any, silent: Any) -> None:
    tree = big_tree(30_000)
    server = sides(LinkOptions(out_buffer_bytes_max=1 << 20), tree)
    await silent(await server.listen())
    await until(lambda: server.of(Accepted), "it is accepted")
    server.perform(SendTree(-1), *[Send(-1, bytes(600_000)) for _ in range(4)])
    await until(lambda: server.of(Disconnected), "it is given up")
    assert tree.walks == [], "nothing is kept aside for it any more"


@pytest.mark.parametrize("ending", ["close", "lost"])
async def test_a_tree_whose_link_ends_is_let_go(sides: Any, silent: Any, ending: str) -> None:
    tree = big_tree(30_000)
    server = sides(tree=tree)
    slow = await silent(await server.listen())
    await until(lambda: server.of(Accepted), "it is accepted")
    server.perform(SendTree(-1))
    await asyncio.sleep(0)
    if ending == "close":
        server.perform(Close(-1, "enough"))
    else:
        slow.socket.close()
        await until(lambda: server.of(Disconnected), "it is gone")
    assert tree.walks == []


# Dials.


async def test_a_dial_takes_the_first_address_that_answers(sides: Any, unused_port: int) -> None:
    server, client = sides(), sides()
    addresses = [(HOST, unused_port), ("name.invalid", 1), (HOST, await server.listen())]
    client.perform(Dial(5, Port.QUORUM, addresses, 5000))
    await until(lambda: client.events, "it is decided")
    assert client.events == [Connected(5)]


async def test_a_dial_that_nobody_answers_says_what_each_address_did(sides: Any, unused_port: int) -> None:
    side = sides()
    side.perform(Dial(5, Port.QUORUM, [(HOST, unused_port), ("name.invalid", 1), ("a" * 70, 2)], 5000))
    await until(lambda: side.events, "it is decided")
    (gone,) = side.events
    assert gone.link == 5
    assert all(part in gone.reason for part in (f"{HOST}:{unused_port}", "name.invalid:1", "a" * 70))
    assert len(side.links) == 0


async def test_a_dial_without_addresses_fails(sides: Any) -> None:
    side = sides()
    side.perform(Dial(5, Port.QUORUM, [], 5000))
    await until(lambda: side.events, "it is decided")
    assert side.events == [Disconnected(5, "no address")]


@pytest.fixture
def deaf_port() -> Any:
    """A port whose backlog is full: nobody is refused, nobody is let in."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind((HOST, 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_a_dial_that_is_not_answered_in_time_fails(sides: Any, deaf_port: int) -> None:
    side = sides()
    side.perform(Dial(5, Port.QUORUM, [(HOST, deaf_port)], 1))
    await until(lambda: side.events, "it is decided")
    assert side.events == [Disconnected(5, f"{HOST}:{deaf_port} does not answer within 1 ms")]


async def test_an_address_that_is_silent_leaves_time_for_the_next(sides: Any, deaf_port: int) -> None:
    server, client = sides(), sides(LinkOptions(reach_timeout_ms=1))
    client.perform(Dial(5, Port.QUORUM, [(HOST, deaf_port), (HOST, await server.listen())], 60_000))
    await until(lambda: client.events, "it is decided")
    assert client.events == [Connected(5)]


async def test_an_address_that_was_silent_is_tried_last_until_it_answers(sides: Any, deaf_port: int) -> None:
    options = LinkOptions(reach_timeout_ms=1)
    server, client = sides(), sides(options)
    listener = await asyncio.get_running_loop().create_server(server.links.acceptor(Port.QUORUM), "127.0.0.2", 0)
    server.listeners.append(listener)
    good = listener.sockets[0].getsockname()
    client.perform(Dial(5, Port.QUORUM, [(HOST, deaf_port), good], 60_000))
    await until(lambda: client.events == [Connected(5)], "the second address is taken")
    client.links.dialer._reach_timeout_ms = None
    client.perform(Dial(6, Port.QUORUM, [(HOST, deaf_port), good], 60_000))
    await until(lambda: Connected(6) in client.events, "it is taken at once")
    await client.dialed(7, await server.listen())
    client.perform(Dial(8, Port.QUORUM, [(HOST, await server.listen()), good], 60_000))
    await until(lambda: Connected(8) in client.events, "the first address has answered again")
    assert [label.rpartition(":")[0] for number, label in client.links.labels() if number in {6, 8}] == [
        "/127.0.0.2",
        "/127.0.0.1",
    ]


async def test_hosts_that_are_silent_are_remembered_within_a_bound(sides: Any) -> None:
    side = sides()
    for number in range(dialing.SILENT_HOSTS_MAX * 2 + 1):
        side.links.dialer.silent(f"host-{number}")
    assert len(side.links.dialer.silent_hosts) <= dialing.SILENT_HOSTS_MAX


async def test_a_link_on_which_nothing_is_acknowledged_any_more_makes_its_host_silent(sides: Any, silent: Any) -> None:
    server = sides()
    peer = await silent(await server.listen(Port.ELECTION))
    await until(lambda: server.events, "it is accepted")
    link = server.links._links[-1]
    link.connection_lost(TimeoutError(110, "Connection timed out"))
    assert server.events[-1] == Disconnected(-1, "[Errno 110] Connection timed out")
    assert server.links.dialer.silent_hosts == {HOST}
    peer.socket.close()


async def test_a_dial_that_is_given_up_is_not_mentioned_again(sides: Any, deaf_port: int) -> None:
    server, side = sides(), sides()
    port = await server.listen()
    side.perform(Dial(5, Port.QUORUM, [(HOST, deaf_port)], 60_000), Dial(6, Port.QUORUM, [(HOST, port)], 60_000))
    side.perform(Close(5, "not needed"), Close(6, "not needed"))
    await side.dialed(7, port)
    assert side.events == [Connected(7)]
    assert len(side.links) == 1


async def test_the_options_of_sockets_are_as_configured(sides: Any) -> None:
    options = LinkOptions(keep_alive=True, accepted_no_delay=False, dialed_no_delay=True, election_unacked_ms_max=1500)
    server, client = sides(options), sides(options)
    await client.dialed(1, await server.listen(Port.ELECTION), Port.ELECTION)
    await client.dialed(2, await server.listen())
    await until(lambda: len(server.of(Accepted)) == 2, "both are accepted")

    def option(side: Side, link: int, level: int, name: int) -> int:
        raw = side.links._links[link].transport.get_extra_info("socket")
        value: int = raw.getsockopt(level, name)
        return value

    keep_alive = (socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    no_delay = (socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert [option(server, -1, *keep_alive), option(server, -2, *keep_alive)] == [True, False]
    assert [option(client, 1, *keep_alive), option(client, 2, *keep_alive)] == [True, False]
    assert [option(server, -1, *no_delay), option(server, -2, *no_delay)] == [True, False]
    assert [option(client, 1, *no_delay), option(client, 2, *no_delay)] == [True, True]
    if sys.platform == "linux":
        unacked = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert [option(server, -1, *unacked), option(server, -2, *unacked)] == [1500, 0]
        assert [option(client, 1, *unacked), option(client, 2, *unacked)] == [1500, 0]


async def test_stopping_closes_all_links_and_ends_all_dials(sides: Any, deaf_port: int) -> None:
    server, client = sides(), sides()
    await client.dialed(1, await server.listen())
    client.perform(Dial(2, Port.QUORUM, [(HOST, deaf_port)], 60_000))
    await client.links.stop()
    client.perform(Dial(3, Port.QUORUM, [(HOST, deaf_port)], 60_000))
    await until(lambda: server.of(Disconnected), "the other side sees it")
    assert len(client.links) == 0


def test_trees_and_closes_are_the_same_on_uvloop() -> None:
    async def run() -> None:
        tree = big_tree()
        expected = b"".join(walk(tree))
        server, client = Side(tree=tree), Side()
        await client.dialed(1, await server.listen())
        await until(lambda: server.of(Accepted), "it is accepted")
        server.perform(Send(-1, b"before"), SendTree(-1), Send(-1, b"behind"))
        await until(lambda: client.received(1).endswith(b"behind"), "all has arrived")
        assert client.received(1) == b"before" + expected + b"behind"
        server.perform(Send(-1, bytes(2_000_000)), Close(-1, "enough"))
        await until(lambda: client.of(Disconnected), "it is closed")
        assert len(client.received(1)) == len(expected) + 12 + 2_000_000
        await server.stop()
        await client.stop()

    uvloop.run(run())


# Ports.


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        number: int = probe.getsockname()[1]
        return number


def own(*addresses: PeerAddress) -> ServerSpec:
    return ServerSpec(1, addresses)


async def answers(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_a_server_listens_at_each_of_its_addresses(sides: Any) -> None:
    side = sides()
    ports = PeerPorts(side.links, observer_master_port=24_113)
    await ports.open(own(PeerAddress(HOST, 24_111, 24_112), PeerAddress("127.0.0.2", 24_111, 24_112)))
    for host in (HOST, "127.0.0.2"):
        for number in (24_112, 24_111, 24_113):
            assert await answers(host, number)
    assert not await answers("127.0.0.3", 24_111)
    await until(lambda: len(side.of(Accepted)) == 6, "all are accepted")
    assert [event.port for event in side.of(Accepted)] == [Port.ELECTION, Port.QUORUM, Port.OBSERVER_MASTER] * 2
    ports.close()
    assert not await answers(HOST, 24_111)


async def test_a_server_listens_on_all_addresses_when_told_to(sides: Any) -> None:
    side = sides()
    ports = PeerPorts(side.links, on_all_addresses=True)
    await ports.open(own(PeerAddress("name.invalid", 24_121, 24_122)))
    assert await answers("127.0.0.9", 24_121)
    assert await answers("127.0.0.9", 24_122)
    ports.close()


async def test_ipv6_addresses_are_listened_on_and_dialed(sides: Any) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    server, client = sides(), sides()
    ports = PeerPorts(server.links, attempts_max=1)
    try:
        await ports.open(own(PeerAddress("::1", 24_131, 24_132)))
    except PeerPortError:
        pytest.skip("no IPv6 on loopback")
    client.perform(Dial(1, Port.QUORUM, [("::1", 24_131)], 5000))
    await until(lambda: client.events and server.events, "it is connected")
    assert client.events == [Connected(1)]
    assert server.events[0].label.startswith("/0:0:0:0:0:0:0:1:")
    ports.close()


async def test_ports_follow_the_configuration(sides: Any) -> None:
    side = sides()
    ports = PeerPorts(side.links)
    await ports.open(own(PeerAddress(HOST, 24_141, 24_142)))
    await ports.open(own(PeerAddress(HOST, 24_143, 24_142)))
    assert not await answers(HOST, 24_141)
    assert await answers(HOST, 24_142)
    assert await answers(HOST, 24_143)
    ports.close()


async def test_a_port_that_is_taken_is_tried_again_and_then_the_server_ends(sides: Any, unused_port: int) -> None:
    side = sides()
    with socket.create_server((HOST, unused_port)):
        ports = PeerPorts(side.links, attempts_max=3, retry_seconds=0)
        with pytest.raises(PeerPortError, match="electionPortBindRetry"):
            await ports.open(own(PeerAddress(HOST, 24_151, unused_port)))
        patient = PeerPorts(side.links, attempts_max=0, retry_seconds=0)
        opening = asyncio.create_task(patient.open(own(PeerAddress(HOST, 24_151, unused_port))))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not opening.done()
    await asyncio.wait_for(opening, PATIENCE_S)
    assert await answers(HOST, unused_port)
    patient.close()
