"""Hypothesis strategies for every record of the codec, derived from the kinds of its fields."""

from hypothesis import settings
from hypothesis import strategies as st

from pyzk.codec import record, records, replies, requests, txns

FAST = settings(max_examples=15, deadline=None, print_blob=True)
"""Budget of a property that is checked for each of many records."""
THOROUGH = settings(max_examples=200, deadline=None, print_blob=True)
"""Budget of a property that is checked once."""

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
BYTES = st.binary(max_size=20)
BUFFER = st.none() | BYTES
ZNODE_PATH = st.lists(st.sampled_from([b"a", b"b", b"\xc3\xa9"]), max_size=3).map(lambda names: b"/" + b"/".join(names))
STAT = st.builds(records.Stat, *[INT64] * 4, *[INT32] * 3, INT64, *[INT32] * 2, INT64)
ACL_LISTS = st.none() | st.lists(st.builds(records.ACL, INT32, BUFFER, BUFFER), max_size=3)
STRING_LISTS = st.none() | st.lists(BUFFER, max_size=3)
CLIENT_INFOS = st.none() | st.lists(st.builds(records.ClientInfo, BUFFER, BUFFER), max_size=3)

BY_FIELD = {
    record.INT: INT32,
    record.LONG: INT64,
    record.BOOL: st.booleans(),
    record.BUFFER: BUFFER,
    records.ACLS: ACL_LISTS,
    records.STRINGS: STRING_LISTS,
    replies.STAT: STAT,
    replies.WhoAmIReply.FIELDS[0]: CLIENT_INFOS,
    txns.PATH: ZNODE_PATH,
    txns.PATHS: st.lists(ZNODE_PATH, max_size=3),
    txns.SubTxn.FIELDS[1]: BYTES,
}


def of_fields(kind: type[record.Record]) -> st.SearchStrategy[record.Record]:
    """Records of a kind that lists all its fields."""
    return st.builds(kind, *[BY_FIELD[field] for field in kind.FIELDS])


def multi(kind: type[record.Record], table: dict[int, type[record.Record]]) -> st.SearchStrategy[record.Record]:
    """Multis (of requests or replies) whose parts come from `table`."""
    parts = [st.tuples(st.just(int(opcode)), of_fields(part)) for opcode, part in table.items()]
    return st.builds(kind, st.lists(st.one_of(parts), max_size=4))


CLOSE_SESSION_TXNS = st.builds(txns.CloseSessionTxn, st.none() | BY_FIELD[txns.PATHS])


def sub_txns() -> st.SearchStrategy[txns.SubTxn]:
    """Ops of a multi txn."""
    parts = [
        of_fields(kind).map(lambda record, opcode=opcode: txns.SubTxn(int(opcode), record.encode()))
        for opcode, kind in txns.SUB_TXNS.items()
    ]
    return st.one_of(parts)


SPECIAL = {
    requests.MultiRequest: multi(requests.MultiRequest, requests.MULTI_REQUESTS),
    replies.MultiReply: multi(replies.MultiReply, replies.MULTI_REPLIES),
    txns.CloseSessionTxn: CLOSE_SESSION_TXNS,
    txns.MultiTxn: st.builds(txns.MultiTxn, st.lists(sub_txns(), max_size=4)),
    txns.TxnDigest: st.builds(txns.TxnDigest, INT32, st.integers(0, 2**64 - 1)),
    records.ConnectRequest: st.builds(
        records.ConnectRequest, INT32, INT64, INT32, INT64, BUFFER, st.none() | st.booleans()
    ),
    records.ConnectResponse: st.builds(records.ConnectResponse, INT32, INT32, INT64, BUFFER, st.none() | st.booleans()),
}


def of_kind(kind: type[record.Record]) -> st.SearchStrategy[record.Record]:
    """Records of any kind."""
    return SPECIAL[kind] if kind in SPECIAL else of_fields(kind)


SHARED_KINDS = [
    records.ACL,
    records.Stat,
    records.RequestHeader,
    records.ReplyHeader,
    records.WatcherEvent,
    records.ClientInfo,
    records.ConnectRequest,
    records.ConnectResponse,
    requests.MultiHeader,
    txns.TxnHeader,
    txns.TxnDigest,
    txns.SubTxn,
]
ALL_KINDS = list(
    dict.fromkeys(
        [*SHARED_KINDS, *requests.REQUESTS.values(), *replies.REPLIES.values(), replies.ErrorReply, *txns.TXNS.values()]
    )
)


def whole_txns() -> st.SearchStrategy[txns.Txn]:
    """Txns with their header and, mostly, a digest; a closeSession without its list has none."""
    return st.one_of([_txns_of_type(opcode, kind) for opcode, kind in txns.TXNS.items()])


def _txns_of_type(opcode: int, kind: type[record.Record]) -> st.SearchStrategy[txns.Txn]:
    def build(numbers, record, digest):
        header = txns.TxnHeader(*numbers, int(opcode))
        return txns.Txn(header, record, digest if record.encode() else None)

    digest = st.none() | st.builds(txns.TxnDigest, st.just(txns.DIGEST_VERSION), st.integers(0, 2**64 - 1))
    return st.builds(build, st.tuples(INT64, INT32, INT64, INT64), of_kind(kind), digest)
