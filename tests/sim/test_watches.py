"""What must be told of watches: which events are believed, and which are missed."""

from collections import Counter

import pytest

from pyzk.client.effects import Notification
from pyzk.client.watches import WatchKind
from pyzk.codec.opcodes import EventType, OpCode
from pyzk.codec.records import ACL
from pyzk.codec.txns import CreateTxn, DeleteTxn, SetDataTxn, Txn, TxnHeader
from pyzk.sim.sequence import BrokenInvariantError, TxnSequence
from pyzk.sim.watches import Watch, Watches
from pyzk.zab.membership import parse_text

ANYBODY, NOBODY = [ACL(31, b"world", b"anyone")], [ACL(31, b"digest", b"nobody:x")]
CREATED, DELETED = EventType.NODE_CREATED, EventType.NODE_DELETED
DATA, CHILDREN = EventType.NODE_DATA_CHANGED, EventType.NODE_CHILDREN_CHANGED


class Story:
    """Committed txns, and one session with a watch."""

    def __init__(self):
        self.sequence = TxnSequence(Counter(), parse_text("server.1=10.0.0.1:2888:3888:participant"))
        self.may_read = True
        self.watches = Watches(self.sequence, "client", lambda *_: self.may_read)

    def commit(self, kind, record):
        zxid = (1 << 32) + len(self.sequence.committed) + 1
        self.sequence.propose(zxid, Txn(TxnHeader(1, 0, zxid, 0, kind), record).encode(), self.sequence.last)
        self.sequence.commit(zxid, [1], "server 1")
        return zxid

    def create(self, path, acl=ANYBODY):
        return self.commit(OpCode.CREATE, CreateTxn(path, b"", acl, ephemeral=False))

    def write(self, path, version):
        return self.commit(OpCode.SET_DATA, SetDataTxn(path, b"", version))

    def delete(self, path):
        return self.commit(OpCode.DELETE, DeleteTxn(path))

    def watch(self, kind, path):
        watch = Watch(kind, path)
        self.watches.add(watch, self.place)
        return watch

    @property
    def place(self):
        return len(self.sequence.committed)

    def tell(self, watch, kind, path, zxid):
        self.watches.fired(watch, Notification(kind, path, zxid))


@pytest.fixture
def story():
    return Story()


def test_a_persistent_watch_is_told_of_each_change_of_its_znode_and_its_children(story):
    watch = story.watch(WatchKind.PERSISTENT, b"/a")
    made, child = story.create(b"/a"), story.create(b"/a/b")
    written, gone = story.write(b"/a", 1), story.delete(b"/a/b")
    for kind, zxid in ((CREATED, made), (CHILDREN, child), (DATA, written), (CHILDREN, gone)):
        story.tell(watch, kind, b"/a", zxid)
    story.watches.shown(story.place)


def test_a_recursive_watch_is_told_of_all_that_is_below_but_of_no_lists(story):
    watch = story.watch(WatchKind.RECURSIVE, b"/a")
    made, child, gone = story.create(b"/a"), story.create(b"/a/b"), story.delete(b"/a/b")
    for kind, path, zxid in ((CREATED, b"/a", made), (CREATED, b"/a/b", child), (DELETED, b"/a/b", gone)):
        story.tell(watch, kind, path, zxid)
    story.watches.shown(story.place)
    with pytest.raises(BrokenInvariantError, match="fires for a change"):
        story.tell(watch, CHILDREN, b"/a", gone)


def test_an_event_that_is_left_out_is_missed_by_the_next_one_and_by_the_next_reply(story):
    watch = story.watch(WatchKind.PERSISTENT, b"/a")
    story.create(b"/a")
    written = story.write(b"/a", 1)
    with pytest.raises(BrokenInvariantError, match="told of each change, in order"):
        story.tell(watch, DATA, b"/a", written)
    with pytest.raises(BrokenInvariantError, match="told of each change before the reply"):
        story.watches.shown(story.place)


def test_an_event_that_comes_twice_is_not_believed(story):
    watch = story.watch(WatchKind.PERSISTENT, b"/a")
    made = story.create(b"/a")
    story.tell(watch, CREATED, b"/a", made)
    with pytest.raises(BrokenInvariantError, match="fires for a change"):
        story.tell(watch, CREATED, b"/a", made)


def test_between_a_lost_connection_and_the_next_reply_a_persistent_watch_may_miss_changes(story):
    watch = story.watch(WatchKind.PERSISTENT, b"/a")
    story.watches.disconnected()
    story.create(b"/a")
    written = story.write(b"/a", 1)
    story.tell(watch, DATA, b"/a", written)
    story.watches.shown(story.place)
    story.delete(b"/a")
    with pytest.raises(BrokenInvariantError, match="before the reply"):
        story.watches.shown(story.place)


def test_nobody_is_told_of_what_he_may_not_read(story):
    watch = story.watch(WatchKind.RECURSIVE, b"/a")
    made = story.create(b"/a")
    story.tell(watch, CREATED, b"/a", made)
    hidden = story.create(b"/a/b", NOBODY)
    story.watches.shown(story.place)
    story.may_read = False
    with pytest.raises(BrokenInvariantError, match="ACLs keep strangers out"):
        story.tell(watch, CREATED, b"/a/b", hidden)


def test_a_one_shot_watch_that_is_used_up_in_secret_is_not_missed(story):
    story.create(b"/a")
    watch = story.watch(WatchKind.EXIST, b"/a/b")
    story.create(b"/a/b", NOBODY)
    story.watches.shown(story.place)
    gone = story.delete(b"/a/b")
    story.tell(watch, DELETED, b"/a/b", gone)
    assert not story.watches.has(WatchKind.EXIST, b"/a/b")


def test_a_one_shot_watch_fires_once_before_the_reply(story):
    watch = story.watch(WatchKind.EXIST, b"/a")
    made = story.create(b"/a")
    with pytest.raises(BrokenInvariantError, match="before the reply that shows the change"):
        story.watches.shown(story.place)
    story.tell(watch, CREATED, b"/a", made)
    with pytest.raises(BrokenInvariantError, match="fires once"):
        story.tell(watch, CREATED, b"/a", made)
