"""Deliberate mistakes in the production code, each of which the simulator has to find: `scripts/mutants` makes them.

A mutant is a small text replaced by another one. It counts as caught when an invariant of a checker is broken, not when
the changed code itself objects.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Mutant:
    """A mistake.

    Attributes:
        name: what is wrong now.
        changes: (file, text, text in its place), each to be found once.
        seeds_max: within so many seeds it has to be found.
    """

    name: str
    changes: list[tuple[str, str, str]]
    seeds_max: int = 50


def mutant(name: str, file: str, text: str, other: str, seeds_max: int = 50) -> Mutant:
    """One with a single change."""
    return Mutant(name, [(file, text, other)], seeds_max)


FIRE = """\
    if service.watches.any:
        for change in applied.changes:
            _fire(service, change, header.zxid)
"""
REPLY = """\
    after = AFTER.get(header.type)
    if after is not None:
        after(service, proposal, now)
    elif proposal.origin:
        _answer(service, proposal, applied, now)
"""
LEARNING, LEADING, SERVING = "zab/learning.py", "zab/leading.py", "zab/serving.py"
NOBODY_LOOKS = [
    ("storage/member.py", "        if last_zxid != zxid and (zxid & catchup.COUNTER", "        if zxid < 0 and (zxid"),
    (LEARNING, "            if history.last_zxid > zxid:\n", "            if zxid < 0:\n"),
    (LEARNING, "        if history.last_zxid != zxid and not begins_epoch(zxid):\n", "        if zxid < 0:\n"),
]
MUTANTS = [
    Mutant(
        "a follower acknowledges before the fsync",
        [
            (LEARNING, "while waiting and waiting[0][0] <= state.done_token:", "while waiting:"),
            (
                LEARNING,
                "            self._unacknowledged.append((token, entries))\n",
                "            self._unacknowledged.append((token, entries))\n            self.acknowledge()\n",
            ),
        ],
    ),
    mutant(
        "the leader's own log counts before the fsync",
        "zab/proposals.py",
        "        self.state.append(entries)\n",
        "        self.state.append(entries)\n        self.acknowledge(self.state.server_id, self.last_zxid, now)\n",
    ),
    Mutant(
        "NEWLEADER is acknowledged before what came by sync is durable",
        [
            (
                LEARNING,
                "        yield lambda: state.is_settled\n        if not state.history.is_durable and state.keeps_log:",
                "        yield lambda: True\n        if False:",
            ),
            (
                LEARNING,
                "        if state.history.is_durable:\n            # A log",
                "        if True:\n            # A log",
            ),
            (
                LEARNING,
                "            yield lambda: state.done_token >= token\n        state.send(self.link, packet(",
                "        state.send(self.link, packet(",
            ),
        ],
    ),
    mutant(
        "currentEpoch is written before what came by sync",
        LEARNING,
        "        plan: Packet = yield NEXT\n",
        "        state.save_epoch(CURRENT, self.epoch)\n        plan: Packet = yield NEXT\n",
        100,
    ),
    mutant(
        "currentEpoch is written behind the ACK of NEWLEADER",
        LEARNING,
        "            yield lambda: state.done_token >= token\n        state.send(self.link, packet(PacketType.ACK,",
        "        state.send(self.link, packet(PacketType.ACK,",
    ),
    mutant(
        "an epoch is promised before that is durable",
        LEARNING,
        "            yield lambda: state.done_token >= token\n        last_zxid, current",
        "            yield lambda: True\n        last_zxid, current",
    ),
    mutant(
        "an older epoch than the promised one is followed",
        LEARNING,
        "if self.epoch < state.accepted_epoch and not self.is_observer:",
        "if False:",
        300,
    ),
    mutant(
        "an epoch that was promised to somebody else is promised again",
        LEARNING,
        "state.current_epoch if is_new else -1",
        "state.current_epoch",
        300,
    ),
    mutant(
        "an epoch is used again",
        LEADING,
        "        self._wanted_epoch = max(self._wanted_epoch, accepted_epoch + 1)\n",
        "        self._wanted_epoch = max(self._wanted_epoch - 1, accepted_epoch, 1)\n",
    ),
    mutant(
        "quorums are short by one",
        "zab/quorum.py",
        "2 * len(self.voters.intersection(servers)) > len(self.voters)",
        "2 * (len(self.voters.intersection(servers)) + 1) > len(self.voters)",
    ),
    mutant(
        "votes are compared without their zxid",
        "zab/votes.py",
        "(new.peer_epoch, new.zxid, new.leader) > (old.peer_epoch, old.zxid, old.leader)",
        "(new.peer_epoch, new.leader) > (old.peer_epoch, old.leader)",
        100,
    ),
    mutant(
        "the committed log has a hole",
        "zab/history.py",
        "            self.window.extend(committed)\n",
        "            self.window.extend(committed[-1:])\n",
        100,
    ),
    mutant(
        "what a learner committed while it was brought up is not in its committed log (ZOOKEEPER-4925)",
        LEARNING,
        "            self.mastering = Mastering(self, self._heard_at)\n        self.deliver()\n",
        "            self.mastering = Mastering(self, self._heard_at)\n        self.deliver()\n"
        "        state.history.window = type(state.history.window)(\n"
        "            list(state.history.window)[:-1], state.history.window.maxlen\n        )\n",
        100,
    ),
    mutant(
        "acks of a link that is gone count on",
        "zab/broadcast.py",
        "        self.acknowledged.pop(server_id, None)\n",
        "        del server_id\n",
        300,
    ),
    mutant(
        "proposals go only to those who have acknowledged NEWLEADER",
        "zab/proposals.py",
        "if learner.forwards and not learner.is_observer:",
        "if learner.is_synced and not learner.is_observer:",
    ),
    mutant(
        "COMMITs go only to those who are up to date",
        "zab/proposals.py",
        "            elif learner.forwards:\n",
        "            elif learner.is_established:\n",
        300,
    ),
    Mutant(
        # Four places look for what is left behind; each of them would be enough.
        "TRUNC cuts nothing, and nobody looks",
        [
            (
                "storage/history.py",
                "def truncate_logs(",
                "def truncate_logs(*_: object) -> None:\n    pass\n\n\ndef unused(",
            ),
            *NOBODY_LOOKS,
        ],
        200,
    ),
    Mutant(
        "TRUNC leaves a newer snapshot, and nobody looks",
        [
            (
                "storage/database.py",
                "    removed = remove_above(disk, places.snapshots, zxid)\n    truncate_logs",
                "    removed: list[str] = []\n    truncate_logs",
            ),
            *NOBODY_LOOKS,
        ],
        300,
    ),
    mutant(
        "TRUNC takes the only snapshot",
        "storage/member.py",
        "        if is_above and min(found) > zxid:\n",
        "        if False:\n",
        1000,
    ),
    mutant(
        "a tree is sent as if its tail were committed",
        SERVING,
        "        found.forward_after = state.history.committed_zxid\n        found.entries = master.behind_tree()\n",
        "        found.forward_after = state.history.last_zxid\n        found.entries = []\n",
        100,
    ),
    mutant(
        "a tree is sent with what changes meanwhile",
        "tree/walk.py",
        "        if path not in self._kept:\n",
        "        if path not in self._kept and path not in self._tree.nodes:\n",
        100,
    ),
    mutant(
        "a server whose disk was lost votes",
        "storage/member.py",
        "        if traces:\n",
        "        if traces and not self:\n",
    ),
    mutant(
        "what a killed process left in the page cache is not made durable",
        "storage/database.py",
        "    _make_durable(disk, places)\n",
        "",
        300,
    ),
    mutant(
        "a sync is answered without a quorum",
        "zab/syncs.py",
        "if committed_zxid < first.after_zxid or first.round > self._confirmed:",
        "if committed_zxid < first.after_zxid:",
        100,
    ),
    mutant(
        "a sync is confirmed by answers to older pings",
        "zab/syncs.py",
        "        self._answered[server_id] = pings.popleft()\n",
        "        pings.popleft()\n        self._answered[server_id] = self._round\n",
        300,
    ),
    mutant(
        "a watch fires behind the reply",
        "service/delivery.py",
        FIRE + REPLY,
        REPLY + FIRE,
    ),
    mutant(
        "watches that were missed while away are not told",
        "service/watching.py",
        "    elif INT64.unpack_from(stat, offset)[0] > relative_zxid:\n",
        "    elif INT64.unpack_from(stat, offset)[0] > relative_zxid + (1 << 62):\n",
    ),
    mutant(
        "the client's xid is forwarded as cxid",
        "service/forwarding.py",
        "cxid = NO_CXID if is_create_session else self._next_cxid()",
        "cxid = NO_CXID if is_create_session else request.cxid",
        300,
    ),
    mutant(
        "a read does not wait for the writes of its session",
        "service/intake.py",
        "        if not state.queue:\n            return read(",
        "        if True:\n            return read(",
    ),
    mutant(
        "a server takes a client that has seen more than it has",
        "service/handshake.py",
        "if request.last_zxid_seen > service.tree.last_zxid:",
        "if request.last_zxid_seen > service.tree.last_zxid + (1 << 40):",
        200,
    ),
    mutant(
        "ephemerals outlive their session",
        "tree/prepare.py",
        "    paths = overlay.ephemerals_of(request.session_id)\n",
        "    paths = overlay.ephemerals_of(request.session_id)[:1]\n",
    ),
    mutant(
        "the leader does not hear which sessions live at its followers",
        "service/desk.py",
        "            self._tracker.touch(session_id, timeout_ms, now)\n\n    def learner_left",
        "            self._tracker.touch(session_id, timeout_ms, now - 1e9)\n\n    def learner_left",
    ),
    mutant(
        "a multi that fails leaves what it has prepared",
        "tree/prepare.py",
        "            overlay.roll_back()\n            return _failed_multi(",
        "            return _failed_multi(",
    ),
    mutant(
        "a persistent watch is used up",
        "service/watches.py",
        "self._data = _Table(_DATA | _PERSISTENT | _RECURSIVE, _DATA)",
        "self._data = _Table(_DATA | _PERSISTENT | _RECURSIVE, _DATA | _PERSISTENT)",
    ),
    mutant(
        "persistent watches are not set again after a reconnect",
        "service/watching.py",
        "    for path in recursive:\n        service.watches.add_recursive(state.id, path)\n",
        "",
    ),
    mutant(
        "watches tell strangers",
        "service/delivery.py",
        "    return service.access.permits(acl, Perms.READ, state.identities)",
        "    return True",
        300,
    ),
    mutant(
        "writes do not look at ACLs",
        "tree/request.py",
        "    if state.acl is not None and not rules.access.permits(state.acl, perms, request.identities):",
        "    if False:",
        200,
    ),
    mutant(
        "a read-only server takes clients that do not want one",
        "service/handshake.py",
        "    if service.role.is_read_only and not request.read_only:\n",
        "    if service.role.is_read_only and not service:\n",
        300,
    ),
    mutant(
        "a read-only server calls sessions expired that it does not know",
        "service/roles.py",
        "            local.create(session_id, state.timeout_ms, now)\n",
        "            handshake.refuse(self.service, state)\n            return\n",
        300,
    ),
    mutant(
        "containers are let go with what is in them",
        "service/containers.py",
        "    return isinstance(node, bytes) or not node.children",
        "    return True",
    ),
    mutant(
        "a TTL znode goes before its time",
        "service/containers.py",
        "wall_ms - mtime > owner_of(node) - OWNER_TTL",
        "wall_ms - mtime > (owner_of(node) - OWNER_TTL) // 2",
        100,
    ),
]
