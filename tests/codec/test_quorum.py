import itertools
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyzk.codec import quorum
from pyzk.codec.quorum import (
    IDS_KEPT_BYTES_MAX,
    Forwarded,
    LearnerInfo,
    Packet,
    PacketReader,
    PacketType,
    packet,
    packets_of_txns,
    packets_of_zxids,
)
from pyzk.errors import DecodeError
from tests.codec.generate import BUFFER, BYTES, INT32, INT64, THOROUGH

LIMIT = 1000
# Some come again and again, as those of most clients do.
SAME = [(), ((b"ip", b"::1"),), ((b"ip", b"::1"), (b"", b"")), ((b"x", bytes(IDS_KEPT_BYTES_MAX)),)]
IDENTITIES = st.sampled_from(SAME) | st.lists(st.tuples(BYTES, BYTES), max_size=4).map(tuple)
PACKETS = st.builds(Packet, st.integers(1, 19), INT64, BUFFER, st.none() | IDENTITIES)
WITHOUT_SNAP = PACKETS.filter(lambda one: one.type != PacketType.SNAP)
REQUESTS = st.builds(Forwarded, INT64, INT32, INT32, BYTES, st.none() | IDENTITIES)
ACK = packet(PacketType.ACK, 7)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    offsets = sorted({0, len(stream), *[cut for cut in cuts if cut < len(stream)]})
    return [stream[start:end] for start, end in itertools.pairwise(offsets)]


def read_all(data: bytes) -> list[Packet]:
    return PacketReader(LIMIT).feed(data)


@given(PACKETS)
@THOROUGH
def test_packet_is_read_as_it_was_written(one: Packet):
    assert read_all(one.encode()) == [one]


@given(st.integers(1, 19), INT64, BUFFER)
@THOROUGH
def test_packet_made_in_one_step_is_the_same(kind: int, zxid: int, data: bytes | None):
    assert packet(kind, zxid, data) == Packet(kind, zxid, data).encode()


@given(st.integers(1, 19), st.lists(st.tuples(INT64, BYTES), max_size=4))
def test_packets_made_together_are_the_same(kind: int, entries: list[tuple[int, bytes]]):
    zxids = [zxid for zxid, _ in entries]
    assert packets_of_txns(kind, entries) == b"".join([packet(kind, zxid, data) for zxid, data in entries])
    assert packets_of_zxids(kind, zxids) == b"".join([packet(kind, zxid) for zxid in zxids])


@given(st.lists(WITHOUT_SNAP, max_size=5), st.lists(st.integers(0, 400), max_size=12))
@THOROUGH
def test_any_split_of_the_stream_gives_the_same_packets(sent: list[Packet], cuts: list[int]):
    reader = PacketReader(LIMIT)
    stream = b"".join([one.encode() for one in sent])
    assert [one for piece in pieces(stream, cuts) for one in reader.feed(piece)] == sent
    assert reader.feed(ACK) == [Packet(PacketType.ACK, 7)], "nothing is left over"


@given(st.lists(WITHOUT_SNAP, max_size=4))
@THOROUGH
def test_byte_by_byte_is_a_split_too(sent: list[Packet]):
    reader = PacketReader(LIMIT)
    stream = b"".join([one.encode() for one in sent])
    assert [one for byte in stream for one in reader.feed(bytes([byte]))] == sent


@given(st.lists(WITHOUT_SNAP, max_size=2), BYTES, st.lists(WITHOUT_SNAP, max_size=2), st.integers(0, 200))
@THOROUGH
def test_reader_stops_behind_a_snap_and_goes_on_behind_the_tree(
    before: list[Packet], tree: bytes, behind: list[Packet], cut: int
):
    snap = Packet(PacketType.SNAP, 5)
    head = b"".join([one.encode() for one in [*before, snap]])
    tail = b"".join([one.encode() for one in behind])
    reader = PacketReader(LIMIT)
    assert reader.feed(head + tree + tail[:cut]) == [*before, snap]
    assert reader.is_raw
    rest = reader.take_rest()
    assert rest == tree + tail[:cut]
    got = reader.resume(rest[len(tree) :])
    assert not reader.is_raw
    assert got + reader.feed(tail[cut:]) == behind


def test_raw_bytes_are_not_taken_for_packets():
    reader = PacketReader(LIMIT)
    reader.feed(packet(PacketType.SNAP, 5))
    with pytest.raises(AssertionError):
        reader.feed(ACK)
    assert reader.take_rest() == b""
    assert reader.resume(packet(PacketType.SNAP, 6) + b"tree") == [Packet(PacketType.SNAP, 6)]
    assert reader.take_rest() == b"tree"
    assert reader.take_rest() == b""


def test_only_a_reader_that_has_stopped_has_a_rest_and_goes_on():
    with pytest.raises(AssertionError):
        PacketReader(LIMIT).take_rest()
    with pytest.raises(AssertionError):
        PacketReader(LIMIT).resume(b"")


RUN = st.builds(
    lambda kind, first, count: [Packet(kind, first + step) for step in range(count)],
    st.sampled_from([PacketType.ACK, PacketType.COMMIT, PacketType.PING]),
    st.integers(-3, 5) | st.integers((1 << 32) - 3, (1 << 32) + 3),
    st.integers(1, 6),
)


MASK = 0xFFFFFFFF


def is_covered(one: Packet, by: Packet) -> bool:
    """Whether the second says all that the first does, one being the ACK or the COMMIT right behind the other."""
    is_plain = one.type == by.type in {PacketType.ACK, PacketType.COMMIT} and one.data is one.auth is by.data is by.auth
    return is_plain and by.data is None and by.zxid == one.zxid + 1 and 0 not in {one.zxid & MASK, by.zxid & MASK}


def without_runs(packets: list[Packet]) -> list[Packet]:
    return [one for one, by in itertools.pairwise([*packets, Packet(PacketType.PING, 0)]) if not is_covered(one, by)]


@given(st.lists(RUN | st.lists(WITHOUT_SNAP, min_size=1, max_size=2), max_size=5), BYTES)
@THOROUGH
def test_of_acks_and_of_commits_that_follow_each_other_the_last_stands_for_all(runs: list[list[Packet]], part: bytes):
    sent = [one for run in runs for one in run]
    unfinished = Packet(PacketType.PROPOSAL, 9, part).encode()
    reader = PacketReader(LIMIT, joins_runs=True)
    assert reader.feed(b"".join([one.encode() for one in sent]) + unfinished[:-1]) == without_runs(sent)
    assert reader.feed(unfinished[-1:]) == [Packet(PacketType.PROPOSAL, 9, part)]


def test_an_ack_of_newleader_is_never_joined():
    acks = packets_of_zxids(PacketType.ACK, [5 << 32, (5 << 32) + 1, (5 << 32) + 2])
    assert PacketReader(LIMIT, joins_runs=True).feed(acks) == [
        Packet(PacketType.ACK, 5 << 32),
        Packet(PacketType.ACK, (5 << 32) + 2),
    ]


def test_nothing_is_a_piece_too():
    reader = PacketReader(LIMIT)
    assert reader.feed(b"") == reader.feed(ACK[:3]) == reader.feed(b"") == []
    assert reader.feed(ACK[3:]) == [Packet(PacketType.ACK, 7)]


def test_empty_data_and_null_data_stay_apart():
    assert [one.data for one in read_all(packet(5, 1, b"") + packet(5, 1))] == [b"", None]


def test_no_ids_and_null_ids_stay_apart():
    assert [one.auth for one in read_all(Packet(1, 1, None, ()).encode() + packet(1, 1))] == [(), None]


def test_null_strings_of_an_id_read_as_empty_ones():
    stream = packet(1, -1)[:-4] + bytes.fromhex("00000001 ffffffff ffffffff")
    assert read_all(stream) == [Packet(1, -1, None, ((b"", b""),))]


@pytest.mark.parametrize("kind", [0, 20, -1, 0x16030100])
@pytest.mark.parametrize("size", [4, 16, 20])
def test_type_that_is_none_is_refused_as_soon_as_it_is_there(kind: int, size: int):
    with pytest.raises(DecodeError, match=f"type {kind}, "):
        read_all(packet(kind, 1)[:size])


REFUSED = ["fffffffe", "80000000", "000003e9", "7fffffff"]


@pytest.mark.parametrize("length", REFUSED)
def test_data_longer_than_the_limit_is_refused_before_it_arrives(length: str):
    stream = packet(2, 1)[:12] + bytes.fromhex(length)
    reader = PacketReader(LIMIT)
    reader.feed(stream[:13])
    with pytest.raises(DecodeError, match=rf"length {int.from_bytes(stream[12:], signed=True)} .* to 1000"):
        reader.feed(stream[13:])
    with pytest.raises(DecodeError, match="buffer"):
        read_all(stream + bytes(4))


@pytest.mark.parametrize("length", REFUSED)
def test_lengths_of_ids_above_the_limit_are_refused_before_they_arrive(length: str):
    head = packet(1, -1, b"x")[:-4]
    with pytest.raises(DecodeError, match=r"vector .* to 1000"):
        read_all(head + bytes.fromhex(length))
    with pytest.raises(DecodeError, match=r"string .* to 1000"):
        read_all(head + bytes.fromhex("00000002" + length))
    with pytest.raises(DecodeError, match=r"string .* to 1000"):
        read_all(head + bytes.fromhex("00000002" + "00000001aa" + length))


def test_ids_that_take_more_than_the_limit_in_all_are_refused_before_they_arrive():
    ids = Packet(PacketType.REQUEST, -1, b"", ((b"digest", b"x" * 200),) * 15).encode()
    with pytest.raises(DecodeError, match="ids in a packet take more than 2000 bytes"):
        read_all(ids[:2100])
    with pytest.raises(DecodeError, match="ids in a packet take more than 2000 bytes"):
        read_all(packet(PacketType.REQUEST, -1, b"")[:-4] + (900).to_bytes(4, "big"))


def test_longest_data_is_accepted():
    assert read_all(packet(2, 1, bytes(LIMIT))) == [Packet(2, 1, bytes(LIMIT))]


def test_absurd_lengths_cost_nothing():
    tracemalloc.start()
    for stream in (packet(2, 1)[:12] + b"\x7f\xff\xff\xff", packet(2, 1)[:16] + b"\x7f\xff\xff\xff"):
        with pytest.raises(DecodeError):
            read_all(stream)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 100_000


@pytest.mark.parametrize(
    "sent",
    [
        Packet(2, 1, bytes(1_000_000)),
        Packet(1, -1, b"", ((b"ip", bytes(1_000_000)),)),
        Packet(1, 1, b"", ((b"", b""),) * 125_000),
    ],
    ids=["data", "one-id", "many-ids"],
)
def test_long_packet_in_tiny_pieces_is_not_copied_again_with_each_of_them(sent: Packet):
    stream = memoryview(sent.encode())
    reader = PacketReader(1_000_000)
    started = time.process_time()
    received = [one for start in range(0, len(stream), 64) for one in reader.feed(bytes(stream[start : start + 64]))]
    # Sixteen thousand copies of half a megabyte on average would take seconds.
    assert time.process_time() - started < 1
    assert received == [sent]


@given(st.binary(max_size=80))
@THOROUGH
def test_any_bytes_are_packets_or_a_decode_error(junk: bytes):
    try:
        received = read_all(b"\0\0\0" + junk)
    except DecodeError:
        return
    assert all(1 <= one.type <= 19 for one in received)


@given(REQUESTS)
@THOROUGH
def test_forwarded_sentis_read_as_it_was_written(sent: Forwarded):
    (one,) = read_all(sent.encode())
    assert (one.type, one.zxid) == (PacketType.REQUEST, -1)
    assert Forwarded.from_packet(one) == sent


@given(INT64, INT32, INT64)
@THOROUGH
def test_learner_info_is_read_as_it_was_written(server_id: int, protocol_version: int, config_version: int):
    info = LearnerInfo(server_id, protocol_version, config_version)
    assert LearnerInfo.decode(info.encode()) == info


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (8, LearnerInfo(3, 1, 0)),
        (11, LearnerInfo(3, 1, 0)),
        (12, LearnerInfo(3, 0x10000, 0)),
        (19, LearnerInfo(3, 0x10000, 0)),
        (20, LearnerInfo(3, 0x10000, 9)),
        (25, LearnerInfo(3, 0x10000, 9)),
    ],
)
def test_learner_info_of_older_and_newer_learners_is_read_as_far_as_it_is_known(size: int, expected: LearnerInfo):
    assert LearnerInfo.decode((LearnerInfo(3, config_version=9).encode() + b"later")[:size]) == expected


@pytest.mark.parametrize("data", [None, b"", bytes(7)])
def test_learner_info_without_an_id_is_none(data: bytes | None):
    assert LearnerInfo.decode(data) is None


@given(st.dictionaries(INT64, INT32, max_size=5))
@THOROUGH
def test_touches_are_read_as_they_were_written(touches: dict[int, int]):
    assert quorum.unpack_touches(quorum.pack_touches(touches)) == touches


def test_null_touches_are_none():
    assert quorum.unpack_touches(None) == {}


def test_half_a_touch_is_a_decode_error():
    with pytest.raises(DecodeError, match="13 bytes"):
        quorum.unpack_touches(bytes(13))


@given(INT64, INT32, st.booleans())
@THOROUGH
def test_question_about_a_session_and_its_answer_are_read_as_they_were_written(
    session_id: int, timeout_ms: int, is_valid
):
    question, answer = read_all(
        quorum.pack_revalidate(session_id, timeout_ms) + quorum.pack_revalidated(session_id, is_valid)
    )
    assert quorum.unpack_revalidate(question) == (session_id, timeout_ms)
    assert quorum.unpack_revalidated(answer) == (session_id, is_valid)


@given(INT32, INT64, BYTES)
@THOROUGH
def test_epoch_and_designated_leader_are_read_as_they_were_written(epoch: int, designated: int, payload: bytes):
    assert quorum.unpack_epoch(quorum.pack_epoch(epoch)) == epoch
    assert quorum.unpack_designated(quorum.pack_designated(designated)) == designated
    data = quorum.pack_inform_and_activate(designated, payload)
    assert quorum.unpack_inform_and_activate(data) == (designated, payload)


@pytest.mark.parametrize(
    ("unpack", "size"),
    [
        (lambda data: Forwarded.from_packet(Packet(1, -1, data)), 16),
        (lambda data: quorum.unpack_revalidate(Packet(6, -1, data)), 12),
        (lambda data: quorum.unpack_revalidated(Packet(6, -1, data)), 9),
        (quorum.unpack_epoch, 4),
        (quorum.unpack_designated, 8),
        (quorum.unpack_inform_and_activate, 8),
    ],
)
def test_data_that_is_missing_or_too_short_is_a_decode_error(unpack, size: int):
    with pytest.raises(DecodeError, match="no bytes"):
        unpack(None)
    with pytest.raises(DecodeError, match=f"{size - 1} bytes of data, needed are {size}"):
        unpack(bytes(size - 1))
    unpack(bytes(size))


def test_signature_behind_a_tree_has_fourteen_bytes():
    assert quorum.STREAM_SIGNATURE == b"\0\0\0\x0aBenWasHere"
