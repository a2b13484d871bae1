import contextlib
import itertools
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.codec.election import (
    FRAME_BYTES_MAX,
    NOBODY,
    Hello,
    Notification,
    NotificationReader,
    parse_notification,
    read_hello,
)
from pyzk.codec.framing import frame
from pyzk.errors import DecodeError
from tests.codec.generate import BYTES, INT32, INT64, THOROUGH

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,20}(\.[a-z][a-z0-9]{0,5}){0,3}", fullmatch=True)
HOSTS = NAMES | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
ADDRESSES = st.tuples(HOSTS.filter(lambda host: host not in {"0.0.0.0", "::"}), st.integers(0, 65535))
HELLOS = st.builds(Hello, INT64, st.lists(ADDRESSES, min_size=1, max_size=4))
NOTIFICATIONS = st.builds(
    Notification, INT32, INT64, INT64, INT64, INT64, version=st.just(2), config=st.binary(max_size=50)
)
VOTE = Notification(0, 2, 0x300000005, 4, 3)


def hello_of(text: str | bytes, version: int = -65535) -> bytes:
    raw = text if isinstance(text, bytes) else text.encode()
    return pack(">qqi", version, 2, len(raw)) + raw


def addresses_in(text: str | bytes) -> list[tuple[str, int]]:
    found = read_hello(hello_of(text))
    assert found is not None
    return found[0].addresses


def body_of(version: int = 2, config: bytes = b"") -> bytes:
    """VOTE as the body of a frame."""
    return pack(">iqqqqii", 0, 2, VOTE.zxid, 4, 3, version, len(config)) + config


@given(HELLOS)
@THOROUGH
def test_hello_with_all_addresses_is_read_as_it_was_written(hello: Hello):
    stream = hello.encode(multi_address=True)
    assert read_hello(stream + b"behind") == (hello, len(stream))


@given(HELLOS)
@THOROUGH
def test_hello_with_one_address_has_the_first(hello: Hello):
    stream = hello.encode(multi_address=False)
    assert read_hello(stream) == (Hello(hello.server_id, hello.addresses[:1]), len(stream))


@given(HELLOS)
@THOROUGH
def test_hello_that_is_cut_anywhere_needs_more(hello: Hello):
    stream = hello.encode(multi_address=True)
    assert all(read_hello(stream[:size]) is None for size in range(len(stream)))


def test_ipv6_stands_in_brackets():
    stream = Hello(1, [("::1", 3888)]).encode(multi_address=False)
    assert stream[20:] == b"[::1]:3888"
    assert addresses_in("[fe80::1%eth0]:3888") == [("fe80::1%eth0", 3888)]


def test_oldest_hello_is_the_id_alone():
    assert read_hello(bytes.fromhex("0000000000000003 ffff")) == (Hello(3, []), 8)


@pytest.mark.parametrize("text", ["0.0.0.0:3888", "[::]:3888", "[0:0:0:0:0:0:0:0]:3888"])
def test_address_that_means_any_is_left_out(text: str):
    assert addresses_in(text) == []
    assert addresses_in(f"a:1|{text}|b:2") == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("version", [-1, -65534, -65537, -(2**63)])
def test_hello_of_another_version_is_a_decode_error(version: int):
    with pytest.raises(DecodeError, match=f"version {version}"):
        read_hello(pack(">q", version))


@pytest.mark.parametrize("length", [0, -1, 2049, 2**31 - 1, -(2**31)])
def test_address_length_that_is_not_allowed_is_refused_before_the_address_arrives(length: int):
    with pytest.raises(DecodeError, match=f"{length} bytes"):
        read_hello(pack(">qqi", -65536, 2, length))


def test_longest_address_text_is_accepted():
    text = "|".join(["a:1"] * 512)
    assert addresses_in(text + "0") == [("a", 1)] * 511 + [("a", 10)]
    with pytest.raises(DecodeError, match="2049 bytes"):
        addresses_in(text + "00")


@pytest.mark.parametrize("port", ["65536", "99999"])
def test_row_6_a_port_that_is_none_is_a_decode_error_and_nothing_worse(port: str):
    # apache-defects.md, row 6: there it ends the listener.
    with pytest.raises(DecodeError, match=port):
        addresses_in(f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a:",
        ":1",
        "a:b",
        "a:-1",
        "a:+1",
        "a: 1",
        "a:1 ",
        "a:1\n",
        "a:\u0661",
        "a:100000",
        "a:1:2",
        "::1:3888",
        "[::1]",
        "[::1]3888",
        "[]:1",
        "[a]:1",
        "[::1%]:1",
        "a:1|",
        "|a:1",
        "a:1||b:2",
        "a b:1",
        "a\0:1",
        "a/1.2.3.4:1",
        "a..b:1",
        ".a:1",
        "x" * 64 + ":1",
        "x" * 300 + ":1",
        b"\xff\xfe:1",
    ],
)
def test_text_that_is_no_address_is_a_decode_error(text: str | bytes):
    with pytest.raises(DecodeError, match="hello"):
        addresses_in(text)


@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode), st.sampled_from([-65536, -65535]))
@THOROUGH
def test_any_text_gives_addresses_or_a_decode_error(text: bytes, version: int):
    with contextlib.suppress(DecodeError):
        read_hello(hello_of(text, version))


@given(st.binary(max_size=60))
@THOROUGH
def test_any_bytes_are_a_hello_or_need_more_or_are_a_decode_error(junk: bytes):
    with contextlib.suppress(DecodeError):
        read_hello(junk)


@given(NOTIFICATIONS)
@THOROUGH
def test_notification_is_read_as_it_was_written(said: Notification):
    (body,) = NotificationReader().feed(said.encode())
    assert parse_notification(body) == said


def test_notification_without_a_configuration_is_written_with_an_empty_one():
    assert VOTE.encode() == frame(body_of())
    assert parse_notification(body_of()) == Notification(0, 2, VOTE.zxid, 4, 3, 2, b"")


def test_observers_vote_is_read_like_any_other():
    said = Notification(0, NOBODY, NOBODY, 1, NOBODY, config=b"")
    assert parse_notification(said.encode()[4:]) == said


@pytest.mark.parametrize("size", [0, 1, 27, *range(29, 40), 41, 43])
def test_notification_of_a_size_between_the_forms_is_dropped(size: int):
    assert parse_notification(body_of()[:size]) is None


def test_notification_of_28_bytes_has_its_epoch_in_the_zxid():
    assert parse_notification(body_of()[:28]) == Notification(0, 2, VOTE.zxid, 4, 3, version=0)
    negative = pack(">iqqq", 0, NOBODY, -1, 4)
    assert parse_notification(negative) == Notification(0, NOBODY, -1, 4, 0xFFFFFFFF, version=0)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_notification_of_40_bytes_has_version_0_whatever_it_says(version: int):
    assert parse_notification(body_of(version=version)[:40]) == Notification(0, 2, VOTE.zxid, 4, 3, version=0)


@pytest.mark.parametrize("version", [-1, 0, 1])
def test_notification_below_version_2_has_no_configuration(version: int):
    body = body_of(version=version, config=b"abc")
    assert parse_notification(body) == Notification(0, 2, VOTE.zxid, 4, 3, version)


def test_notification_of_a_later_version_is_read_as_far_as_it_is_known():
    body = body_of(version=3, config=b"abc") + b"later"
    assert parse_notification(body) == Notification(0, 2, VOTE.zxid, 4, 3, 3, b"abc")


@pytest.mark.parametrize("length", [-1, 4, 2**31 - 1, -(2**31)])
def test_notification_whose_configuration_does_not_fit_is_dropped(length: int):
    assert parse_notification(body_of()[:40] + pack(">i", length) + b"abc") is None


@given(BYTES | st.binary(min_size=36, max_size=60))
@THOROUGH
def test_any_body_is_a_notification_or_dropped(body: bytes):
    said = parse_notification(body)
    assert said is None or len(body) >= 28


@given(st.lists(NOTIFICATIONS, max_size=4), st.lists(st.integers(0, 400), max_size=10))
@THOROUGH
def test_any_split_of_the_stream_gives_the_same_notifications(sent: list[Notification], cuts: list[int]):
    stream = b"".join([said.encode() for said in sent])
    offsets = sorted({0, len(stream), *[cut for cut in cuts if cut < len(stream)]})
    reader = NotificationReader()
    bodies = [body for start, end in itertools.pairwise(offsets) for body in reader.feed(stream[start:end])]
    assert [parse_notification(body) for body in bodies] == sent


@pytest.mark.parametrize("length", [0, -1, FRAME_BYTES_MAX + 1, 2**31 - 1, -(2**31)])
def test_frame_length_that_is_not_allowed_is_a_decode_error_at_once(length: int):
    with pytest.raises(DecodeError, match=f"length {length}, allowed is"):
        NotificationReader().feed(pack(">i", length))


def test_longest_frame_is_accepted():
    body = bytes(FRAME_BYTES_MAX)
    assert NotificationReader().feed(frame(body)) == [body]
