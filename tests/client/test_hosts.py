"""Connection strings and the order of servers."""

from random import Random

import pytest

from pyzk.client.hosts import RETRY_FIRST_S, RETRY_MAX_S, Rotation, parse_hosts


@pytest.mark.parametrize(
    ("text", "addresses", "chroot"),
    [
        ("localhost", [("localhost", 2181)], ""),
        ("a:1,b:2", [("a", 1), ("b", 2)], ""),
        (" a:1 , b ", [("a", 1), ("b", 2181)], ""),
        ("a:1,b:2/app/x", [("a", 1), ("b", 2)], "/app/x"),
        ("a:1/", [("a", 1)], ""),
        ("a:1/app/", [("a", 1)], "/app"),
        ("[::1]:2182,[fe80::1]", [("::1", 2182), ("fe80::1", 2181)], ""),
        ("::1", [("::1", 2181)], ""),
        ("a:1,", [("a", 1)], ""),
    ],
)
def test_connection_string_is_servers_and_chroot(text, addresses, chroot):
    assert parse_hosts(text) == (addresses, chroot)


@pytest.mark.parametrize("text", ["", "/app", "a:x", "a:0", "a:65536", "a:²", ":2181", "[::1", "[::1]2181", "a/b//c"])
def test_bad_connection_string_says_what_is_wrong(text):
    with pytest.raises(ValueError, match=r"server|chroot"):
        parse_hosts(text)


def test_rotation_needs_a_server():
    with pytest.raises(ValueError, match="at least one"):
        Rotation([], Random(1))


def test_rotation_takes_every_server_before_it_begins_again(rng):
    addresses = [("host", number) for number in range(1, 6)]
    rotation = Rotation(addresses, rng)
    first = [rotation.take() for _ in addresses]
    assert sorted(first) == addresses
    assert [rotation.take() for _ in addresses] == first


def test_others_begin_with_the_one_that_is_taken_next(rng):
    rotation = Rotation([("host", number) for number in range(1, 4)], rng)
    current = rotation.take()
    others = rotation.others(current)
    assert current not in others
    assert [rotation.take(), rotation.take()] == others


def test_waits_grow_with_rounds_up_to_a_limit_and_begin_again_after_success(rng):
    rotation = Rotation([("a", 1), ("b", 1)], rng)
    for _ in range(100):
        rotation.take()
        assert 0 <= rotation.wait_s() <= RETRY_MAX_S
    rotation.succeeded()
    assert rotation.wait_s() <= RETRY_FIRST_S
