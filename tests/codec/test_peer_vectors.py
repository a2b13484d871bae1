"""Every capture between servers is read, says what was captured with it, and is written back as it was."""

import json
from pathlib import Path

import pytest

from pyzk.codec import quorum
from pyzk.codec.election import Notification, NotificationReader, ServerState, parse_notification, read_hello
from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import OpCode
from pyzk.codec.quorum import Forwarded, LearnerInfo, Packet, PacketReader, PacketType
from pyzk.codec.record import Record
from pyzk.codec.txns import MultiTxn, Step, Txn, decode_txn
from pyzk.tree.walk import load, walk

PEER = Path(__file__).parent.parent / "vectors" / "peer.jsonl"
LINES = [json.loads(line) for line in PEER.read_text().splitlines()]
HELLOS = [line for line in LINES if line["name"].startswith("election.initial")]
NOTIFICATIONS = [line for line in LINES if line["name"].startswith("election.notification")]
PACKETS = [line for line in LINES if line["name"].startswith("qp.")]
STREAMS = [line for line in LINES if line["name"].startswith("stream.")]
TXNS = [line for line in PACKETS if "txn" in line["decoded"]]

FIELD_NAMES = {
    "paths2Delete": "paths",
    "timeOut": "timeout_ms",
    "ttl": "ttl_ms",
    "parentCVersion": "parent_cversion",
}
"""Where a txn's field has another name here."""


def each(lines: list[dict]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("line", lines, ids=lambda line: line["name"])


def unsigned(value: int) -> str:
    return hex(value & 0xFFFFFFFFFFFFFFFF)


def only_packet(line: dict) -> Packet:
    packets = PacketReader(bytes_max=0xFFFFF).feed(bytes.fromhex(line["hex"]))
    assert len(packets) == 1
    return packets[0]


def plain(value: object) -> object:
    """A value of a record as the captures print it."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Record):
        return {"perms": value.perms, "scheme": plain(value.scheme), "id": plain(value.id)}
    return value


def fields_of(record: Record, captured: dict) -> dict:
    """Those fields of a txn's record that the capture names."""
    if isinstance(record, MultiTxn):
        assert len(record.txns) == len(captured["txns"])
        return {"txns": list(map(sub_txn_of, record.steps(), captured["txns"]))}
    return {name: plain(getattr(record, FIELD_NAMES.get(name, name))) for name in captured}


def sub_txn_of(step: Step, captured: dict) -> dict:
    kind, record = step
    name = "setData" if kind == OpCode.SET_DATA else OpCode(kind).name.lower()
    return {"type": name, "txn": fields_of(record, captured["txn"])}


def check_txn(payload: bytes, captured: dict) -> Txn:
    txn = decode_txn(payload)
    header, expected = txn.header, captured["hdr"]
    assert unsigned(header.client_id) == expected["clientId"]
    assert unsigned(header.zxid) == expected["zxid"]
    assert (header.cxid, header.time_ms) == (expected["cxid"], expected["time"])
    assert expected["type"].startswith(f"{header.type}(")
    assert fields_of(txn.record, captured["txn"]) == captured["txn"]
    digest = txn.digest and {"version": txn.digest.version, "treeDigest": hex(txn.digest.tree_digest)}
    assert digest == captured["digest"]
    return txn


def check_request(packet: Packet, captured: dict) -> bytes:
    request = Forwarded.from_packet(packet)
    assert unsigned(request.session_id) == captured["sessionId"]
    assert request.cxid == captured["cxid"]
    assert captured["op"].startswith(f"{request.opcode}(")
    assert request.body.hex() == captured["body"]
    return request.encode()


def check_learner_info(packet: Packet, captured: dict) -> bytes:
    info = LearnerInfo.decode(packet.data)
    assert info is not None
    said = {"protocolVersion": hex(info.protocol_version), "configVersion": hex(info.config_version)}
    assert {"serverid": info.server_id, **said} == captured
    return quorum.packet(packet.type, packet.zxid, info.encode())


def check_touches(packet: Packet, captured: list) -> bytes:
    touches = quorum.unpack_touches(packet.data)
    assert [[hex(session_id), timeout_ms] for session_id, timeout_ms in touches.items()] == captured
    return quorum.packet(packet.type, packet.zxid, quorum.pack_touches(touches))


def check_question(packet: Packet, timeout_ms: int) -> bytes:
    question = quorum.unpack_revalidate(packet)
    assert question[1] == timeout_ms
    return quorum.pack_revalidate(*question)


def check_answer(packet: Packet, is_valid: bool) -> bytes:
    answer = quorum.unpack_revalidated(packet)
    assert answer[1] is is_valid
    return quorum.pack_revalidated(*answer)


def check_session(packet: Packet, captured: str) -> bytes:
    assert packet.data is not None
    assert hex(int.from_bytes(packet.data[:8])) == captured
    return packet.encode()


def check_epoch(packet: Packet, captured: int | str) -> bytes:
    epoch = quorum.unpack_epoch(packet.data)
    assert captured in {epoch, hex(epoch)}
    return quorum.packet(packet.type, packet.zxid, quorum.pack_epoch(epoch))


def check_config(packet: Packet, captured: str) -> bytes:
    assert packet.data == captured.encode()
    return quorum.packet(packet.type, packet.zxid, captured.encode())


def check_designated(packet: Packet, captured: int) -> bytes:
    assert quorum.unpack_designated(packet.data) == captured
    data = quorum.pack_designated(captured)
    if packet.type == PacketType.INFORMANDACTIVATE:
        designated, payload = quorum.unpack_inform_and_activate(packet.data)
        assert designated == captured
        data = quorum.pack_inform_and_activate(designated, payload)
    return quorum.packet(packet.type, packet.zxid, data)


def check_payload(packet: Packet, captured: dict) -> bytes:
    if packet.type != PacketType.INFORMANDACTIVATE:
        return quorum.packet(packet.type, packet.zxid, check_txn(packet.data, captured).encode())
    designated, payload = quorum.unpack_inform_and_activate(packet.data)
    again = check_txn(payload, captured).encode()
    return quorum.packet(packet.type, packet.zxid, quorum.pack_inform_and_activate(designated, again))


CHECKS = {
    "LearnerInfo": check_learner_info,
    "protocolVersion": check_epoch,
    "currentEpoch": check_epoch,
    "config": check_config,
    "touch": check_touches,
    "sessionId": check_session,
    "timeout": check_question,
    "valid": check_answer,
    "request": check_request,
    "txn": check_payload,
    "designatedLeader": check_designated,
}
"""How the data of a packet is read and written, by the name that the capture gives to it; each returns the packet."""


def test_the_captures_are_all_there():
    counts = [len(LINES), len(HELLOS), len(NOTIFICATIONS), len(PACKETS), len(STREAMS), len(TXNS)]
    assert counts == [67, 2, 6, 57, 2, 15], "say here when the captures grow"


@each(HELLOS)
def test_captured_hello_is_encoded_as_it_was_read(line: dict):
    stream, captured = bytes.fromhex(line["hex"]), line["decoded"]
    found = read_hello(stream)
    assert found is not None
    hello, size = found
    assert size == len(stream)
    assert hello.server_id == captured["sid"]
    assert "|".join([f"{host}:{port}" for host, port in hello.addresses]) == captured["addr"]
    assert hello.encode(multi_address=captured["protocolVersion"] == -65535) == stream


@each(NOTIFICATIONS)
def test_captured_notification_is_encoded_as_it_was_read(line: dict):
    stream, captured = bytes.fromhex(line["hex"]), line["decoded"]
    (body,) = NotificationReader().feed(stream)
    said = parse_notification(body)
    assert isinstance(said, Notification)
    assert f"{said.state}({ServerState(said.state).name})" == captured["state"]
    assert said.leader == captured["leader"]
    numbers = (unsigned(said.zxid), unsigned(said.round), unsigned(said.peer_epoch))
    assert numbers == (captured["zxid"], captured["electionEpoch"], captured["peerEpoch"])
    assert (said.version, said.config) == (captured["version"], captured["config"].encode())
    assert said.encode() == stream


@each(PACKETS)
def test_captured_packet_is_encoded_as_it_was_read(line: dict):
    packet, captured = only_packet(line), line["decoded"]
    assert f"{packet.type}({PacketType(packet.type).name})" == captured["type"]
    assert unsigned(packet.zxid) == captured["zxid"]
    assert (None if packet.data is None else len(packet.data)) == captured["dataLen"]
    ids = [{"scheme": scheme.decode(), "id": text.decode()} for scheme, text in packet.auth or ()]
    assert (None if packet.auth is None else ids) == captured["authinfo"]
    assert packet.encode().hex() == line["hex"]


@each(PACKETS)
def test_data_of_a_captured_packet_is_encoded_as_it_was_read(line: dict):
    packet, captured = only_packet(line), line["decoded"]
    named = captured.keys() - {"type", "zxid", "dataLen", "authinfo"}
    for name in named:
        assert CHECKS[name](packet, captured[name]).hex() == line["hex"]
    assert named or not packet.data


@each(STREAMS)
def test_captured_tree_behind_a_snap_is_encoded_as_it_was_read(line: dict):
    stream, captured = bytes.fromhex(line["hex"]), line["decoded"]
    reader = Reader(stream)
    tree = load(reader)
    assert [[hex(session_id), timeout_ms] for session_id, timeout_ms in tree.sessions.items()] == captured["sessions"]
    assert {str(index): plain(acl) for index, acl in tree.acls} == captured["acls"]
    assert [path.decode() for path in tree.nodes] == [path or "/" for path in captured["nodes"]]
    assert stream[reader.position :] == quorum.STREAM_SIGNATURE
    assert b"".join(walk(tree)) + quorum.STREAM_SIGNATURE == stream
