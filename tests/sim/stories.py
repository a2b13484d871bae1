"""Scenarios as text: commands to a simulated ensemble, and behind each the trace that it must leave.

A file of tests/scenarios is a sequence of

    command arguments
    ----
    lines of the trace

with a blank line behind. `pytest tests/sim/test_stories.py --rewrite` writes the traces anew: commit a changed one only
if you understand why it is another. Lines that begin with # are comments.
"""

from dataclasses import dataclass, field

from pyzk.codec.election import NOBODY, ServerState, parse_notification
from pyzk.codec.framing import FrameBuffer, frame
from pyzk.codec.opcodes import CreateMode, OpCode
from pyzk.codec.quorum import PacketReader, PacketType
from pyzk.codec.records import ACL, ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader
from pyzk.codec.requests import CreateRequest, PathWatchRequest
from pyzk.codec.txns import CreateTxn, SetDataTxn, Txn, TxnHeader
from pyzk.errors import DecodeError
from pyzk.sim.faults import Faults
from pyzk.sim.plan import Plan, membership_lines
from pyzk.sim.sequence import BrokenInvariantError, require
from pyzk.sim.world import World
from pyzk.tree.node import acl_index_of_leaf, data_of
from pyzk.zab import effects as do
from pyzk.zab import events
from pyzk.zab.membership import parse_text
from pyzk.zab.settings import AgreementSettings

ALL = ("packets", "disk", "roles")
SILENT = {PacketType.PING}


class ToldWorld(World):
    """A world that tells what happens in lines without times, as far as it is wanted.

    Attributes:
        lines: since they were last taken.
        shown: which kinds of lines are wanted.
    """

    def __init__(self, plan):
        self.lines = []
        self.shown = set(ALL)
        self._ports = {}
        self._work = {}
        super().__init__(plan)
        self.network.split_chance = 0.0
        self.network.delay_seconds = self.network.usual_delay_seconds = 0.001, 0.001

    def say(self, kind, server_id, text):
        if kind in self.shown:
            self.lines.append(f"{server_id} {text}")

    def trace(self, server_id, what, subject=""):
        if what in {"<", ">"}:
            teller = TELLERS.get(type(subject))
            if teller is not None:
                teller(self, server_id, subject)
        elif server_id:
            self.say("roles", server_id, f"{what} {subject}".rstrip())

    def process(self, server_id):
        return server_id, self.hosts[server_id].boot

    def dials(self, server_id, effect):
        self._ports[*self.process(server_id), effect.link] = effect.port

    def is_called(self, server_id, event):
        self._ports[*self.process(server_id), event.link] = event.port

    def sends(self, server_id, effect):
        end = *self.process(server_id), effect.link
        direction = self.network.direction(end)
        if direction is None:
            return
        is_election = self._ports.get(end) == events.Port.ELECTION
        for text in notifications(effect.data) if is_election else packets(effect.data):
            self.say("packets", server_id, f"-> {direction.receiver[0]} {text}")

    def sends_tree(self, server_id, effect):
        receiver = self.network.direction((*self.process(server_id), effect.link)).receiver[0]
        self.say("packets", server_id, f"-> {receiver} tree 0x{self.hosts[server_id].tree.last_zxid:x}")

    def asks(self, server_id, effect):
        text = describe(effect)
        self._work[*self.process(server_id), effect.token] = text
        self.say("disk", server_id, f"asks   {text}")

    def has_done(self, server_id, event):
        text = self._work.get((*self.process(server_id), event.token))
        if text is not None:
            self.say("disk", server_id, f"has    {text}")

    def failed(self, server_id, event):
        self.say("disk", server_id, f"failed {self._work.get((*self.process(server_id), event.token))}")

    def delivers(self, server_id, effect):
        self.say("roles", server_id, f"applies {zxids(effect.entries)}")

    def opens(self, server_id, effect):
        role = "leader" if effect.is_leader else "observer" if effect.is_observer else "follower"
        self.say("roles", server_id, f"serves as {role} at 0x{effect.zxid:x}")

    def closes(self, server_id, effect):
        self.say("roles", server_id, f"serves no more: {effect.reason}")


TELLERS = {
    do.Dial: ToldWorld.dials,
    do.Send: ToldWorld.sends,
    do.SendTree: ToldWorld.sends_tree,
    do.Append: ToldWorld.asks,
    do.SaveEpoch: ToldWorld.asks,
    do.Truncate: ToldWorld.asks,
    do.Install: ToldWorld.asks,
    do.Heal: ToldWorld.asks,
    do.Doubt: ToldWorld.asks,
    do.Deliver: ToldWorld.delivers,
    do.Opened: ToldWorld.opens,
    do.Closed: ToldWorld.closes,
    events.Accepted: ToldWorld.is_called,
    events.Done: ToldWorld.has_done,
    events.Reloaded: ToldWorld.has_done,
    events.Unwritten: ToldWorld.failed,
}


def zxids(entries):
    return " ".join(f"0x{zxid:x}" for zxid, _ in entries)


def describe(effect):
    if isinstance(effect, do.Append):
        return f"Append {zxids(effect.entries)}"
    if isinstance(effect, do.SaveEpoch):
        return f"{effect.name} {effect.epoch}"
    if isinstance(effect, do.Truncate):
        return f"Truncate 0x{effect.zxid:x}"
    if isinstance(effect, do.Install):
        return f"Install 0x{effect.tree.last_zxid:x}"
    return type(effect).__name__


def notifications(data):
    """What is said on an election link: the hello stands alone, as servers send it."""
    if data.startswith(b"\xff\xff\xff\xff\xff\xff"):
        return ["hello"]
    found = [parse_notification(body) for body in FrameBuffer(None).feed(data)]
    return [
        f"{ServerState(one.state).name}({'nobody' if one.leader == NOBODY else one.leader}, 0x{max(0, one.zxid):x}, "
        f"round {one.round}, epoch {max(-1, one.peer_epoch)})"
        for one in found
    ]


def packets(data):
    """Packets on a quorum link; what is none belongs to a tree."""
    try:
        found = PacketReader(1 << 22).feed(data)
    except DecodeError:
        return []
    return [
        f"{PacketType(one.type).name} 0x{one.zxid:x}" if one.zxid >= 0 else PacketType(one.type).name
        for one in found
        if one.type not in SILENT
    ]


class ReadOnlyClient:
    """A connection to one simulated server, on which requests are asked one by one."""

    def __init__(self, world, server_id):
        self._world, self._host = world, world.member_hosts[server_id]
        self._connection = world.new_connection()
        self._frames, self._heard = FrameBuffer(None), []
        self._host.connect(self._connection, self)

    def ask(self, request):
        """The frame that comes back; None if the connection is closed instead."""
        self._host.hear_client(self._connection, frame(request))
        self._world.run(0.01)
        return self._heard.pop() if self._heard else None

    def hears(self, _, data):
        self._heard += self._frames.feed(data)

    def closed(self, _):
        self._heard.clear()

    def session_on(self, _):
        return 0


READ_AND_WRITE = [
    (OpCode.EXISTS, PathWatchRequest(b"/", watch=False)),
    (OpCode.CREATE, CreateRequest(b"/written", b"", [ACL(31, b"world", b"anyone")], CreateMode.PERSISTENT)),
]


@dataclass
class Step:
    """A command with the comment before it and the trace behind it."""

    comment: list[str] = field(default_factory=list)
    command: str = ""
    expected: list[str] = field(default_factory=list)


def parse(text):
    steps, step, is_trace = [], Step(), False
    for line in text.splitlines():
        if is_trace and line:
            step.expected.append(line)
        elif is_trace:
            steps.append(step)
            step, is_trace = Step(), False
        elif line == "----":
            is_trace = True
        elif line.startswith("#") or (not line and not step.command):
            step.comment.append(line)
        elif line:
            step.command = line
    return [*steps, step] if step.command else steps


def write(steps):
    blocks = ["\n".join([*step.comment, step.command, "----", *step.expected]) for step in steps]
    return "\n\n".join(blocks) + "\n"


class Teller:
    """Carries out the commands of one file."""

    def __init__(self):
        self.world = None

    def run(self, line):
        """The trace that a command leaves."""
        name, *words = line.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        arguments = [word for word in words if "=" not in word]
        try:
            answer = getattr(self, "do_" + name.replace("-", "_"))(*arguments, **options)
        except BrokenInvariantError as error:
            answer = f"BROKEN: {error}"
        lines, self.world.lines = self.world.lines, []
        return [*lines, *([answer] if answer else [])] or ["nothing"]

    def _hosts(self, ids):
        if ids == ("all",):
            return list(self.world.hosts.values())
        return [self.world.hosts[int(word)] for word in ids]

    # The ensemble.

    def do_ensemble(self, voters="3", observers="0", seed="1", show="roles", clients="0", read_only="0", **settings):
        numbers = {name: float(value) if "." in value else int(value) for name, value in settings.items()}
        membership = "\n".join(membership_lines(int(voters), int(observers)))
        numbers.update({name: bool(value) for name, value in numbers.items() if name.endswith("_enabled")})
        agreement = AgreementSettings(**{"tick_ms": 500, **numbers})
        plan = Plan(int(seed), 0.0, membership, agreement, int(clients), disk_seconds=(0.001, 0.001), clock_drift=0)
        plan.read_only_enabled = bool(int(read_only))
        self.world = ToldWorld(plan)
        return self.do_show(show)

    def do_show(self, kinds="packets,disk,roles"):
        self.world.shown = set(kinds.split(",")) - {"nothing"}

    # Time.

    def do_run(self, seconds):
        self.world.run(float(seconds))

    def do_settle(self, seconds="60"):
        self.world.settle(float(seconds))

    def do_until(self, *words):
        """Let time go on until a line with these words has been told, and no more than a millisecond longer."""
        wanted, end = " ".join(words), self.world.now + 60
        while not any(wanted in line for line in self.world.lines):
            require(self.world.now < end, f"{wanted!r} is told")
            self.world.run(0.001)

    # Servers.

    def do_start(self, *ids):
        self.world.start(*[int(word) for word in ids if word != "all"])

    def do_power_off(self, *ids):
        for host in self._hosts(ids):
            host.crash(has_no_power=True)

    def do_kill(self, *ids):
        for host in self._hosts(ids):
            host.crash(has_no_power=False)

    def do_dies(self, server_id, when, effect):
        """`dies 1 before Install`, `dies 1 behind currentEpoch`."""
        self.world.hosts[int(server_id)].dies_at = effect, {"before": False, "behind": True}[when]

    def do_freeze(self, server_id):
        self.world.hosts[int(server_id)].freeze()

    def do_thaw(self, server_id):
        self.world.hosts[int(server_id)].thaw()

    def do_slow_disk(self, server_id, seconds):
        self.world.hosts[int(server_id)].machine.delay_seconds = float(seconds), float(seconds)

    def do_lose_disk(self, server_id):
        Faults(self.world, Plan(0, 0.0, "", AgreementSettings(), 0)).lose_data(self.world.hosts[int(server_id)])

    def do_promise(self, server_id, epoch):
        """A server that is down has promised an epoch in a time that nobody remembers."""
        self.world.hosts[int(server_id)].machine.files.save_epoch("acceptedEpoch", int(epoch))
        self.world.checker.logs[int(server_id)].accepted = int(epoch)

    def do_snapshot(self, server_id, seconds="0.01"):
        """Begin one; let so much time pass."""
        self.world.hosts[int(server_id)].machine.take_snapshot()
        self.world.run(float(seconds))

    # Network.

    def do_cut_off(self, *ids):
        self.world.cut_off(*[int(word) for word in ids])

    def do_block(self, sender, receiver):
        self.world.network.block(int(sender), int(receiver))

    def do_heal(self):
        self.world.network.heal()

    # Txns.

    def do_commit(self, count="1"):
        self.world.commit(int(count))

    def do_propose(self, server_id, count="1"):
        self.world.hosts[int(server_id)].propose(int(count))

    def do_create(self, server_id, path, user="anyone"):
        """A client of the leader makes a znode, which that user alone may touch."""
        acl = [ACL(31, b"world" if user == "anyone" else b"digest", user.encode())]
        self._propose(server_id, OpCode.CREATE, lambda _: CreateTxn(path.encode(), b"", acl, ephemeral=False))

    def do_reconfig(self, server_id, member, role):
        """A client of the leader gives a member another role."""
        before = self.world.checker.sequence.configuration

        def record(zxid):
            replaced = f"server.{member}=", "version"
            lines = [line for line in before.text().splitlines() if not line.startswith(replaced)]
            line = f"server.{member}=10.0.0.{member}:2888:3888:{role}"
            text = parse_text("\n".join([*lines, line, f"version={zxid:x}"])).text()
            return SetDataTxn(b"/zookeeper/config", text.encode(), -1)

        self._propose(server_id, OpCode.RECONFIG, record)

    def _propose(self, server_id, opcode, record):
        host = self.world.hosts[int(server_id)]
        last = host.peer.role.proposals.given_zxid
        zxid = last + 1
        entries = [(zxid, Txn(TxnHeader(1, 0, zxid, zxid, opcode), record(zxid)).encode())]
        self.world.checker.proposed(host, entries, last)
        host.receive(events.Propose(entries))

    def do_counter(self, server_id, zxid):
        """The next txn of a leader has a zxid behind this one."""
        self.world.hosts[int(server_id)].peer.role.proposals.last_zxid = int(zxid, 16)

    def do_sync(self, server_id):
        self.world.hosts[int(server_id)].sync()

    def do_read_only_client(self, server_id):
        """A client that wants no more than reads asks one server for the session, for a read, and for a write."""
        client = ReadOnlyClient(self.world, int(server_id))
        connected = client.ask(ConnectRequest(0, 0, 10_000, 0, bytes(16), read_only=True).encode())
        if not connected:
            return "no answer"
        answers = [f"read-only {bool(ConnectResponse.from_bytes(connected).read_only)}"]
        for xid, (opcode, record) in enumerate(READ_AND_WRITE, 1):
            reply = client.ask(RequestHeader(xid, opcode).encode() + record.encode())
            answers.append(f"{opcode.name} {ReplyHeader.from_bytes(reply).err}")
        return ", ".join(answers)

    # Looking.

    def do_servers(self):
        """One line per server: role, epochs, log, tree, snapshots."""
        world = self.world
        lines = []
        for server_id, host in world.hosts.items():
            log = world.checker.logs[server_id]
            names = [name for name in host.disk.names("/data/version-2") if name.startswith("snapshot")]
            zxids = f"log 0x{log.durable_end:x} tree 0x{log.applied:x}"
            doubt = ["in doubt"] if host.is_up and host.state.doubt else []
            state = f"{server_id} {host.role_letter} epochs {log.accepted}/{log.current} {zxids}"
            lines.append(" ".join([state, *names, *doubt]))
        return "\n".join(lines)

    def _running(self):
        return [(server_id, host) for server_id, host in self.world.hosts.items() if host.is_up]

    def do_configs(self):
        """One line per server: versions of the configuration that is in force, in its file, and in its tree."""
        lines = []
        for server_id, host in self._running():
            in_tree = parse_text(data_of(host.tree.nodes[b"/zookeeper/config"]).decode() or "version=0")
            used = [host.state.membership.version, host.membership.version, in_tree.version]
            lines.append(f"{server_id} in force 0x{used[0]:x} file 0x{used[1]:x} tree 0x{used[2]:x}")
        return "\n".join(lines)

    def do_acl(self, path):
        """What each server has of the ACL of a znode."""
        lines = []
        for server_id, host in self._running():
            acl = host.tree.acls.get(acl_index_of_leaf(host.tree.nodes[path.encode()]))
            lines.append(f"{server_id} {' '.join(f'{one.scheme.decode()}:{one.id.decode()}' for one in acl)}")
        return "\n".join(lines)

    def do_tally(self, *words):
        return f"{' '.join(words)}: {self.world.tally[' '.join(words)]}"

    def do_finish(self):
        """Mend everything, start everybody, write, compare."""
        world = self.world
        world.shown = set()
        world.network.mend()
        for host in world.hosts.values():
            host.dies_at = None
            host.machine.delay_seconds = host.machine.usual_delay_seconds
        world.start()
        world.settle()
        world.commit(3)
        world.checker.finished()
        return f"all {len(world.hosts)} servers hold the same {len(world.checker.sequence.committed)} txns"
