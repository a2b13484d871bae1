import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.codec.opcodes import Perms
from pyzk.codec.records import ACL, open_acl
from pyzk.errors import InvalidAclError, MarshallingError
from pyzk.tree.acl import OPEN, SCHEMES, AccessControl, AclTable, digest_id, parse_network

IP = (b"ip", b"127.0.0.1")
BOB = (b"digest", b"bob:hash")
ANN = (b"digest", b"ann:hash")
RULES = AccessControl()


class SaslScheme:
    is_authenticated = True

    def valid(self, acl_id: bytes) -> bool:
        return b" " not in acl_id

    def matches(self, identity_id: bytes, acl_id: bytes) -> bool:
        return identity_id == acl_id


def entry(scheme: bytes | None, acl_id: bytes | None, perms: int = Perms.ALL) -> ACL:
    return ACL(int(perms), scheme, acl_id)


# permits


def test_an_empty_list_allows_everything() -> None:
    assert RULES.permits(None, Perms.READ, [])
    assert RULES.permits([], Perms.READ, [])


def test_world_anyone_needs_no_identity_but_the_permission_bit() -> None:
    assert RULES.permits([entry(b"world", b"anyone", Perms.READ)], Perms.READ, [])
    assert not RULES.permits([entry(b"world", b"anyone", Perms.READ)], Perms.WRITE, [IP])


def test_any_of_several_permission_bits_is_enough() -> None:
    assert RULES.permits([entry(b"world", b"anyone", Perms.READ)], Perms.READ | Perms.ADMIN, [])


def test_an_identity_must_match_in_scheme_and_id() -> None:
    acl = [entry(b"digest", b"bob:hash")]
    assert RULES.permits(acl, Perms.DELETE, [IP, BOB])
    assert not RULES.permits(acl, Perms.DELETE, [IP, ANN])
    assert not RULES.permits(acl, Perms.DELETE, [(b"sasl", b"bob:hash")])
    assert not RULES.permits([entry(None, b"x"), entry(b"digest", None)], Perms.READ, [BOB])


def test_super_and_skip_acl_pass_everywhere() -> None:
    acl = [entry(b"digest", b"bob:hash", Perms.READ)]
    assert RULES.permits(acl, Perms.WRITE, [IP, (b"super", b"")])
    assert AccessControl(skip=True).permits(acl, Perms.WRITE, [])


def test_an_unknown_scheme_in_a_stored_list_matches_nobody() -> None:
    assert not RULES.permits([entry(b"sasl", b"bob")], Perms.READ, [(b"sasl", b"bob")])


def test_a_scheme_can_be_added() -> None:
    rules = AccessControl({**SCHEMES, b"sasl": SaslScheme()})
    assert rules.permits([entry(b"sasl", b"bob")], Perms.READ, [(b"sasl", b"bob")])
    assert rules.fix_up([entry(b"auth", b"")], [(b"sasl", b"bob")]) == [entry(b"sasl", b"bob")]
    with pytest.raises(InvalidAclError):
        rules.fix_up([entry(b"sasl", b"b b")], [])


@pytest.mark.parametrize(
    ("address", "acl_id", "allowed"),
    [
        (b"10.1.2.3", b"10.1.2.3", True),
        (b"10.1.2.3", b"10.1.2.4", False),
        (b"10.1.2.3", b"10.0.0.0/8", True),
        (b"11.1.2.3", b"10.0.0.0/8", False),
        (b"10.1.2.3", b"10.1.2.0/31", False),
        (b"10.1.2.3", b"10.1.2.2/31", True),
        (b"10.1.2.3", b"99.0.0.0/0", True),
        (b"0:0:0:0:0:0:0:1", b"::1", True),
        (b"fe80:0:0:0:1:2:3:4", b"fe80::/10", True),
        (b"fc80:0:0:0:1:2:3:4", b"fe80::/10", False),
        (b"0:0:0:0:0:0:0:1", b"0.0.0.0/0", False),
        (b"10.1.2.3", b"::/0", False),
        (b"fe80:0:0:0:1:2:3:4%eth0", b"fe80::/10", False),
    ],
)
def test_an_ip_entry_covers_its_network(address: bytes, acl_id: bytes, *, allowed: bool) -> None:
    assert RULES.permits([entry(b"ip", acl_id)], Perms.READ, [(b"ip", address)]) is allowed


@given(st.ip_addresses(), st.ip_addresses(), st.data())
def test_networks_agree_with_the_standard_library(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    base: ipaddress.IPv4Address | ipaddress.IPv6Address,
    data: st.DataObject,
) -> None:
    bits = data.draw(st.integers(0, base.max_prefixlen))
    network = ipaddress.ip_network((base, bits), strict=False)
    acl = [entry(b"ip", b"%b/%d" % (str(base.compressed).encode(), bits))]
    shown = (b"ip", address.exploded.encode())
    assert RULES.permits(acl, Perms.READ, [shown]) is (address.version == base.version and address in network)


# fix_up


def test_a_list_without_surprises_is_kept_as_it_is() -> None:
    acl = [entry(b"world", b"anyone"), entry(b"digest", b"bob:hash", 0), entry(b"ip", b"10.0.0.0/8", 64)]
    assert RULES.fix_up(acl, [IP]) == acl


def test_equal_entries_become_one() -> None:
    acl = [entry(b"world", b"anyone"), entry(b"ip", b"::1"), entry(b"world", b"anyone"), entry(b"ip", b"::1", 1)]
    assert RULES.fix_up(acl, []) == [acl[0], acl[1], acl[3]]


def test_auth_stands_for_every_authenticated_identity() -> None:
    acl = [entry(b"auth", None, 3), entry(b"ip", b"::1")]
    assert RULES.fix_up(acl, [IP, BOB, ANN, (b"super", b"")]) == [entry(*BOB, 3), entry(*ANN, 3), entry(b"ip", b"::1")]


def test_an_expanded_list_may_hold_an_entry_twice() -> None:
    assert RULES.fix_up([entry(*BOB), entry(b"auth", b"x")], [BOB]) == [entry(*BOB), entry(*BOB)]


@pytest.mark.parametrize(
    "acl",
    [
        None,
        [],
        [entry(b"auth", b"")],
        [entry(None, b"anyone")],
        [entry(None, None)],
        [entry(b"", b"")],
        [entry(b"world", b"x")],
        [entry(b"nope", b"x")],
        [entry(b"nope", None)],
        [entry(b"super", b"")],
        [entry(b"sasl", b"bob")],
        [entry(b"world", b"anyone"), entry(b"digest", b"bob")],
    ],
)
def test_lists_that_are_not_valid_are_refused(acl: list[ACL] | None) -> None:
    with pytest.raises(InvalidAclError):
        RULES.fix_up(acl, [IP])


@pytest.mark.parametrize("scheme", [b"world", b"digest", b"ip"])
def test_an_entry_without_id_is_a_marshalling_error(scheme: bytes) -> None:
    with pytest.raises(MarshallingError):
        RULES.fix_up([entry(scheme, None)], [IP])


@pytest.mark.parametrize("acl_id", [b"a:b", b":x", b"a:b:", b"a:b::", b" : "])
def test_digest_ids_have_two_parts(acl_id: bytes) -> None:
    assert RULES.fix_up([entry(b"digest", acl_id)], [])


@pytest.mark.parametrize("acl_id", [b"", b"a", b":", b"a:", b"a:b:c", b"::", b"::x"])
def test_other_digest_ids_are_refused(acl_id: bytes) -> None:
    with pytest.raises(InvalidAclError):
        RULES.fix_up([entry(b"digest", acl_id)], [])


GOOD = b"1.2.3.4 1.2.3.4/0 01.2.3.4/32 :: ::1/128 1:2:3:4:5:6:7:8 1::8 1:2:3:4:5:6:7:: FE80::/10"
BAD_IPV4 = b"name 1.2.3 1.2.3.4.5 1.2.3.256 1.2.3.-1 1.2.3.4/ 1.2.3.4/33 1.2.3.4/-1 1.2.3.x"
BAD_IPV6 = b": ::: 1:2 1::2::3 ::1/129 12345:: g:: 1:2:3:4:5:6:7:8:: 1:2:3:4::5:6:7:8 ::1.2.3.4"


@pytest.mark.parametrize("text", GOOD.split())
def test_addresses_and_networks_are_ip_ids(text: bytes) -> None:
    assert parse_network(text) is not None


@pytest.mark.parametrize("text", [b"", *BAD_IPV4.split(), *BAD_IPV6.split()])
def test_other_texts_are_no_ip_ids(text: bytes) -> None:
    assert parse_network(text) is None


def test_digest_ids_are_those_of_apache() -> None:
    assert digest_id(b"super:test") == b"super:D/InIHSb7yEEbrWz8b9l71RjZJU="
    assert digest_id(b"nocolon").startswith(b"nocolon:")
    assert digest_id(b"a:b:c").startswith(b"a:")
    for algorithm, size in (("SHA-256", 44), ("SHA-512", 88), ("SHA3-256", 44), ("MD5", 24)):
        assert len(digest_id(b"u:p", algorithm)) == 2 + size


def test_hashes_are_hidden_from_those_who_may_not_administer() -> None:
    acl = [entry(b"digest", b"bob:hash"), entry(b"world", b"anyone", Perms.READ), entry(b"digest", b"x", Perms.READ)]
    hidden = [entry(b"digest", b"bob:x"), acl[1], acl[2]]
    assert RULES.shown(acl, [IP]) == hidden
    assert RULES.shown(acl, [BOB]) == acl
    assert RULES.shown(None, []) == open_acl()


# AclTable


def test_equal_lists_share_an_index_that_lives_as_long_as_a_znode_uses_it() -> None:
    table = AclTable()
    assert table.intern(None) == OPEN
    assert table.intern(open_acl()) == table.intern(open_acl()) == 1
    assert table.intern([entry(*BOB)]) == 2
    table.release(OPEN)
    table.release(1)
    assert table.count(1) == 1
    assert table.get(1) == open_acl()
    table.release(1)
    assert [index for index, _ in table] == [2]
    assert table.intern(open_acl()) == 3, "an index is not used again"
    with pytest.raises(KeyError):
        table.get(1)


def test_the_order_of_entries_makes_another_list() -> None:
    table = AclTable()
    first, second = entry(*BOB), entry(*ANN)
    assert table.intern([first, second]) != table.intern([second, first])


def test_a_loaded_table_keeps_what_znodes_use_and_counts_on() -> None:
    table = AclTable()
    table.restore(7, [entry(*BOB)])
    table.restore(4, open_acl())
    table.restore(9, [entry(*ANN)])
    for index in (OPEN, 4, 4, 7):
        table.use(index)
    table.drop_unused()
    assert list(table) == [(4, open_acl()), (7, [entry(*BOB)])]
    assert (table.count(4), table.count(7), len(table)) == (2, 1, 2)
    assert table.intern([entry(*ANN)]) == 10
    with pytest.raises(KeyError):
        table.use(99)


LISTS = st.lists(st.sampled_from([entry(*BOB), entry(*ANN), *open_acl()]), min_size=1, max_size=2)


@given(st.lists(st.tuples(st.booleans(), LISTS), max_size=40))
def test_the_table_holds_exactly_the_lists_in_use(steps: list[tuple[bool, list[ACL]]]) -> None:
    table, held = AclTable(), []
    for take, acl in steps:
        if take or not held:
            held.append((table.intern(acl), acl))
        else:
            table.release(held.pop(0)[0])
        assert all(table.get(index) == acl for index, acl in held)
        assert len(table) == len({index for index, _ in held})
