"""A plain setData, alone or in a multi, is read and delivered in one step, with what the general way makes of it."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import OpCode
from pyzk.codec.record import Record
from pyzk.codec.records import RequestHeader
from pyzk.codec.requests import MultiRequest, PathVersionRequest, SetDataRequest
from pyzk.errors import DecodeError, MarshallingError, RequestError
from pyzk.service.door import read_plain_set_data, read_request
from tests.service.harness import Client, World

PATHS = [b"/a", b"/b", b"/a/x", b"/zookeeper/quota/zookeeper_stats"]
HEADER = RequestHeader(7, OpCode.SET_DATA).encode()
BODIES = st.builds(
    SetDataRequest,
    st.one_of(st.none(), st.sampled_from([*PATHS, b"", b"/zookeeper/quota/a/zookeeper_stats"]), st.binary(max_size=20)),
    st.one_of(st.none(), st.binary(max_size=30)),
    st.integers(-(2**31), 2**31 - 1),
).map(SetDataRequest.encode)


def read_closely(frame: bytes) -> object:
    try:
        return read_request(OpCode.SET_DATA, Reader(frame, len(HEADER), string_max=1000))
    except RequestError as error:
        return error.code


@given(BODIES, st.binary(max_size=5))
def test_whole_requests_are_read_alike(body: bytes, behind: bytes) -> None:
    frame = HEADER + body + behind
    assert read_plain_set_data(frame, len(HEADER)) in (None, read_closely(frame))


@given(BODIES, st.data())
def test_damaged_requests_are_read_alike(body: bytes, data: st.DataObject) -> None:
    damaged = bytearray(body)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    frame = HEADER + damaged[: data.draw(st.integers(0, len(body)))]
    assert read_plain_set_data(frame, len(HEADER)) in (None, read_closely(frame))


def test_most_requests_need_no_close_look() -> None:
    frame = HEADER + SetDataRequest(b"/a", b"x", -1).encode()
    assert read_plain_set_data(frame, len(HEADER)) == read_closely(frame) == SetDataRequest(b"/a", b"x", -1)
    assert read_plain_set_data(frame[:-1], len(HEADER)) is None
    assert read_closely(frame[:-1]) == MarshallingError.code


OPS = st.lists(
    st.one_of(
        st.builds(
            SetDataRequest, st.sampled_from([b"/a", b"/", None]), st.sampled_from([b"x", b"", None]), st.just(-1)
        ),
        st.builds(PathVersionRequest, st.just(b"/a"), st.integers(0, 1)),
    ),
    max_size=6,
)


def multi_of(records: Sequence[Record]) -> bytes:
    return MultiRequest(
        [(int(OpCode.SET_DATA if isinstance(record, SetDataRequest) else OpCode.CHECK), record) for record in records]
    ).encode()


def read_multi(body: bytes, string_max: int) -> object:
    reader = Reader(body, string_max=string_max)
    try:
        return MultiRequest.decode(reader), reader.position
    except DecodeError:
        return DecodeError


@given(OPS.map(multi_of), st.data())
def test_multis_are_read_alike(body: bytes, data: st.DataObject) -> None:
    damaged = bytearray(body)
    for _ in range(data.draw(st.integers(0, 2))):
        damaged[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = bytes(damaged[: data.draw(st.one_of(st.just(len(body)), st.integers(0, len(body))))])
    # What could hold a string that is too long is looked at closely; with this limit no string here is.
    assert read_multi(body, len(body)) == read_multi(body, len(body) - 1)


Step = tuple[str, bytes, bytes, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("multi"), st.sampled_from(PATHS), st.binary(max_size=40), st.integers(-1, 2)),
        st.tuples(st.just("multi with a check"), st.sampled_from(PATHS), st.binary(max_size=40), st.integers(-1, 2)),
        st.tuples(st.just("set"), st.sampled_from(PATHS), st.binary(max_size=40), st.integers(-1, 2)),
        st.tuples(st.just("create"), st.sampled_from(PATHS), st.binary(max_size=5), st.integers(0, 1)),
        st.tuples(st.just("delete"), st.sampled_from(PATHS), st.just(b""), st.just(-1)),
    ),
    max_size=8,
)


def encode(client: Client, kind: str, path: bytes, data: bytes, number: int) -> bytes:
    if kind == "set":
        return client.set_data(path, data, number)
    if kind.startswith("multi"):
        check = [(int(OpCode.CHECK), PathVersionRequest(b"/b", -1))] * (kind == "multi with a check")
        sets = [(int(OpCode.SET_DATA), SetDataRequest(each, data, number)) for each in (path, b"/b", path)]
        return client.request(OpCode.MULTI, MultiRequest([*check, *sets]))
    return client.create(path, data, number) if kind == "create" else client.delete(path)


def state_of(world: World) -> tuple[object, ...]:
    tree = world.tree
    return tree.digest, tree.data_bytes, tree.last_zxid, repr(tree.nodes)


@given(st.lists(STEPS, max_size=6))
def test_writes_leave_the_same_where_somebody_watches_and_where_nobody_does(batches: list[list[Step]]) -> None:
    plain, watched = World(), World()
    onlooker = watched.client()
    plain.client()
    onlooker.send(onlooker.exists(b"/elsewhere", watch=True))
    for world in (plain, watched):
        writer = world.client()
        writer.send(writer.create(b"/a"), writer.create(b"/b", b"first"))
        for batch in batches:  # each is proposed before any of it is delivered
            writer.send(*[encode(writer, *step) for step in batch])
    assert plain.clients[2].replies == watched.clients[2].replies
    assert state_of(plain) == state_of(watched)
    assert plain.service.outstanding == watched.service.outstanding == 0
