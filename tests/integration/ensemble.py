"""Ensembles of real processes on loopback, whose members are each pyzk's server or one of Apache's.

    with Ensemble(folder, ["java38", "pyzk", "java39"]) as ensemble:   # sids 1, 2 and 3
        ensemble.start(first=3)                                        # 3 leads: equal logs, the highest sid
        ensemble.replace(1, "pyzk")                                    # on the same dataDir

A zoo.cfg is the same whatever kind reads it, and is written once: with reconfig a server rewrites its own.
"""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from kazoo.client import KazooClient

from tests.integration.processes import (
    NotServingError,
    ServerProcess,
    eventually,
    four_letter_word,
    free_port,
    release,
)
from tests.integration.trees import Tree, differences, dump, files_of, has_gap
from tests.interop.apache import java_command

KINDS = ("pyzk", "java38", "java39")
TICK_S = 0.5
SYNC_LIMIT_TICKS = 8
SYNC_LIMIT_S = SYNC_LIMIT_TICKS * TICK_S
FORM_TIMEOUT_S = 60.0
SETTINGS: Mapping[str, object] = {
    "tickTime": int(TICK_S * 1000),
    "initLimit": 30,
    "syncLimit": SYNC_LIMIT_TICKS,
    # Clients keep their sessions for as long as a JVM takes to come back on two cores.
    "maxSessionTimeout": 60000,
    "preAllocSize": 64,
}
# kazoo's own waits between two attempts grow to a minute, and a client that is told to stop waits to the end of one.
KEEP_TRYING = {"max_tries": -1, "delay": 0.05, "max_delay": 0.3}
# What Apache's servers read from a system property before they read the members.
PROPERTIES = ("multiAddress.enabled",)
# Lets the clients of the tests reconfigure, and makes the servers keep their members in dynamic files.
DYNAMIC = {"reconfigEnabled": "true", "skipACL": "yes"}


SYNC_THREAD_ENDS = re.compile(r"thread : SyncThread:\d+\n.*NullPointerException.*learner\.sock")


class Member(ServerProcess):
    """One server of an ensemble. `kind` says whose program the next start takes."""

    def __init__(
        self,
        folder: Path,
        sid: int,
        kind: str,
        host: str = "127.0.0.1",
        role: str = "participant",
        ports: tuple[int, int, int] | None = None,
    ) -> None:
        self.sid = sid
        self.kind = kind
        self.host = host
        self.role = role
        self.peer_hosts: Sequence[str] = (host,)
        port, self.quorum_port, self.election_port = ports or (free_port(), free_port(), free_port())
        self.prefix: tuple[str, ...] = ()
        self.java_flags: tuple[str, ...] = ()
        super().__init__(folder, port)
        self.oracle_path = folder / "oracle"
        (self.data_dir / "myid").write_text(f"{sid}\n")

    def __repr__(self) -> str:
        return f"server {self.sid} ({self.kind})"

    def command(self) -> list[str]:
        if self.kind == "pyzk":
            program = [str(Path(sys.executable).parent / "pyzk-server"), "--config"]
        else:
            program = java_command({"java38": "3.8", "java39": "3.9"}[self.kind], self.java_flags)
        return [*self.prefix, *program, str(self.config_path)]

    @property
    def hosts(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def addresses(self) -> str:
        places = [f"{host}:{self.quorum_port}:{self.election_port}" for host in self.peer_hosts]
        return f"{'|'.join(places)}:{self.role}"

    def word(self, word: str) -> str:
        return four_letter_word(self.port, word, 2.0, self.host)

    def srvr(self, name: str) -> str:
        """The value of one line of the word srvr, empty when the server does not serve."""
        lines = (line.partition(": ") for line in self.word("srvr").splitlines())
        return next((value for key, _, value in lines if key == name), "")

    @property
    def mode(self) -> str:
        return self.srvr("Mode")

    def pause(self) -> None:
        """SIGSTOP: the process is there, its ports answer, and nothing moves."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        # The signal has been sent; until all threads stand still, one of them may go on.
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def logged(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


class Ensemble:
    """Servers 1 to n of the given kinds. Leaving the `with` block kills what still runs.

    Args:
        folder: each server's files and log are in server-N below it.
        kinds: of each server, one of KINDS.
        settings: further lines of every zoo.cfg.
        observers: the sids that do not vote.
        dynamic: the members are a dynamic configuration, and reconfig is allowed to everybody.
        hosts: the address of each sid; loopback if left out.
        peer_hosts: the addresses of each sid for the other servers, if they are others.
        oracles: each server has an oracle, which forbids it to lead alone (Member.oracle_path).
    """

    def __init__(
        self,
        folder: Path,
        kinds: Sequence[str],
        settings: Mapping[str, object] | None = None,
        observers: Collection[int] = (),
        *,
        dynamic: bool = False,
        hosts: Mapping[int, str] | None = None,
        peer_hosts: Mapping[int, Sequence[str]] | None = None,
        oracles: bool = False,
    ) -> None:
        self.folder = folder
        self.dynamic = dynamic
        self.oracles = oracles
        self.settings = {**SETTINGS, **(DYNAMIC if dynamic else {}), **(settings or {})}
        self.members: dict[int, Member] = {}
        for sid, kind in enumerate(kinds, start=1):
            role = "observer" if sid in observers else "participant"
            host = (hosts or {}).get(sid, "127.0.0.1")
            self.members[sid] = Member(folder / f"server-{sid}", sid, kind, host, role)
            self.members[sid].peer_hosts = (peer_hosts or {}).get(sid, (host,))
        for sid in self.members:
            self.configure(sid)

    def configure(self, sid: int) -> None:
        """Write the member's zoo.cfg with the members that are known now."""
        member = self.members[sid]
        member.java_flags = tuple(
            f"-Dzookeeper.{key}={self.settings[key]}" for key in PROPERTIES if key in self.settings
        )
        lines: dict[str, object] = {"clientPortAddress": member.host, **self.settings}
        if self.dynamic:
            lines |= {"clientPort": None, "clientPortAddress": None}
        if member.role == "observer":
            lines["peerType"] = "observer"
        if self.oracles:
            lines["oraclePath"] = member.oracle_path
            member.oracle_path.write_text("0")
        for other in self.members.values():
            lines[f"server.{other.sid}"] = self.server_line(other.sid)
        member.configure(lines)

    def server_line(self, sid: int) -> str:
        """What stands behind `server.N=`."""
        member = self.members[sid]
        return f"{member.addresses};{member.hosts}" if self.dynamic else member.addresses

    def add(self, kind: str, role: str = "participant") -> Member:
        """A further server that knows the others; they learn of it by a reconfig."""
        sid = max(self.members) + 1
        self.members[sid] = Member(self.folder / f"server-{sid}", sid, kind, role=role)
        self.configure(sid)
        return self.members[sid]

    def __getitem__(self, sid: int) -> Member:
        return self.members[sid]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(*self.members)
        for member in self.members.values():
            release(member.port, member.quorum_port, member.election_port)

    @property
    def running(self) -> list[int]:
        return [sid for sid, member in self.members.items() if member.running]

    def hosts(self, *sids: int) -> str:
        """The connect string of these servers, of all without arguments."""
        return ",".join(self.members[sid].hosts for sid in sids or self.members)

    def start(self, *sids: int, first: int | None = None) -> None:
        """Start these servers (all without arguments) and wait until each of them serves.

        `first` is started before the others, and they follow only once it answers: with the highest sid of equal
        logs it leads.
        """
        sids = sids or tuple(self.members)
        if first is not None:
            self.members[first].launch()
            eventually(lambda: self.members[first].word("srvr"), f"an answer of {self.members[first]}", FORM_TIMEOUT_S)
        for sid in sids:
            if sid != first:
                self.members[sid].launch()
        self.wait_until_serving(*sids)

    def wait_until_serving(self, *sids: int, timeout_s: float = FORM_TIMEOUT_S) -> None:
        """Raises NotServingError with the ends of the logs when one of the servers ends or does not serve in time."""
        sids = sids or tuple(self.running)
        try:
            eventually(lambda: all(self._serves(sid) for sid in sids), f"servers {sids} serve", timeout_s)
        except NotServingError as error:
            tails = "\n".join(f"-- {self.members[sid]}:\n{self.members[sid].log_tail()}" for sid in sids)
            raise NotServingError(f"{error}\n{tails}") from None

    def _serves(self, sid: int) -> bool:
        member = self.members[sid]
        if not member.running:
            raise NotServingError(f"{member} has ended")
        return member.mode in {"leader", "follower", "observer"}

    def stop(self, *sids: int) -> None:
        """SIGTERM, and wait for the end."""
        for sid in sids:
            self.members[sid].stop()

    def kill(self, *sids: int) -> None:
        """SIGKILL all of them at once, then wait for each."""
        for sid in sids:
            process = self.members[sid].process
            if process is not None:
                process.kill()
        for sid in sids:
            self.members[sid].kill()

    def pause_all_but(self, sid: int) -> None:
        for other in self.running:
            if other != sid:
                self.members[other].pause()

    def replace(self, sid: int, kind: str) -> None:
        """Stop a server and start another kind on its files; returns once that one serves."""
        self.stop(sid)
        self.members[sid].kind = kind
        self.start(sid)

    def leader(self) -> int:
        """The sid of the server that says it leads; waits until there is one."""
        leaders: list[int] = []

        def found() -> bool:
            leaders[:] = [sid for sid in self.running if self.members[sid].mode == "leader"]
            return bool(leaders)

        eventually(found, "a server leads", FORM_TIMEOUT_S)
        return leaders[0]

    def client(self, *sids: int, timeout_s: float = 30.0, **options: object) -> KazooClient:
        """A started client of these servers only; the caller stops it (see `talking`)."""
        options = {"randomize_hosts": False, "connection_retry": KEEP_TRYING, **options}
        client = KazooClient(self.hosts(*sids), timeout=timeout_s, **options)
        client.start(timeout=FORM_TIMEOUT_S)
        return client

    @contextlib.contextmanager
    def talking(self, *sids: int, **options: object) -> Iterable[KazooClient]:
        """A client of these servers for the length of a `with`."""
        client = self.client(*sids, **options)
        try:
            yield client
        finally:
            client.stop()
            client.close()

    def write_through_each(self, path: str) -> None:
        """A write through every server that runs: each of them has a leader, whatever it says of itself."""
        for sid in self.running:
            with self.talking(sid) as client:
                client.retry(client.ensure_path, f"{path}/{sid}")

    def wait_until_level(self, *sids: int) -> None:
        """Until these servers (those that run) have applied the same last txn."""
        sids = sids or tuple(self.running)

        def level() -> bool:
            zxids = {self.members[sid].srvr("Zxid") for sid in sids}
            return len(zxids) == 1 and "" not in zxids

        eventually(level, f"servers {sids} are at one zxid", FORM_TIMEOUT_S)

    def trees(self, *sids: int) -> dict[int, Tree]:
        """The whole tree through each of these servers alone."""
        found = {}
        for sid in sids or self.running:
            with self.talking(sid) as client:
                found[sid] = dump(client)
        return found

    def unlike(self, *, reading: bool = True) -> list[str]:
        """What differs between the servers, empty if nothing does: trees, digests at each 128th txn, then the files.

        All servers run before and none afterwards. A tree of 100,000 znodes takes a minute and more to read through
        each server; without `reading` digests and files have to do.
        """
        self.wait_until_level()
        members = [
            member
            for member in map(self.members.__getitem__, self.running)
            if not (sync_thread_died(member.kind, member.logged()) and has_dropped_txns(member.data_dir))
        ]
        found = self._compare(self.trees(*[member.sid for member in members])) if reading else []
        self.wait_until_level()
        judged = [member for member in members if not mistrusts_itself(member.kind, member.logged())]
        digests = {member.sid: digest_log(member.word("hash")) for member in judged}
        found += self._compare({sid: self._common(digests, sid) for sid in digests})
        self.stop(*self.running)
        files = {member.sid: files_of(member.data_dir) for member in members}
        return found + unlike_files({member.sid: member.kind for member in members}, files)

    @staticmethod
    def _common(digests: Mapping[int, dict[str, str]], sid: int) -> dict[str, str]:
        """Those of the txns that every server has a digest of: a server forgets them when it starts."""
        shared = set.intersection(*(set(log) for log in digests.values()))
        return {zxid: digest for zxid, digest in digests[sid].items() if zxid in shared}

    def _compare(self, contents: Mapping[int, Mapping[str, object]]) -> list[str]:
        found: list[str] = []
        if not contents:
            return found
        first, *others = contents
        for other in others:
            names = (repr(self.members[first]), repr(self.members[other]))
            found += differences(contents[first], contents[other], names)
        return found


def digest_log(answer: str) -> dict[str, str]:
    """Digest by zxid from the answer to the word hash: a line `zxid: digest` for each 128th txn."""
    return {zxid: digest for zxid, colon, digest in (line.partition(": ") for line in answer.splitlines()) if colon}


def mistrusts_itself(kind: str, logged: str) -> bool:
    """Whether a server says that its digests are not those of its leader, as servers of 3.8.0 may.

    A follower of 3.8.0 that tries again and again to be brought up applies the txns of each attempt; its digests are
    others then, though its tree, its files and all that follows are right. Seen beside a leader of 3.8.0.
    """
    if kind != "java38" or "First digest mismatch" not in logged:
        return False
    print("    remark: a server of 3.8.0 says that its digests are not those of its leader", flush=True)
    return True


def sync_thread_died(kind: str, logged: str) -> bool:
    """Whether the thread of a follower of 3.8.0 that writes the log has ended as its leader went, and left txns behind.

    It would acknowledge what it has written, meets a connection that is gone already, and ends by a null pointer
    (SendAckRequestProcessor.flush; ZOOKEEPER-4409, mended in 3.9.3). The txns in its queue are in the tree and never in
    the log; as the server votes with those of its tree, the next leader does not send them again, and after a restart
    its tree lacks them too.
    """
    return kind == "java38" and SYNC_THREAD_ENDS.search(logged) is not None


def has_dropped_txns(data_directory: Path) -> bool:
    """Whether that has left a hole in the log: then nothing that the server has is compared, and a remark is made."""
    if not has_gap(data_directory):
        return False
    print("    remark: a follower of 3.8.0 has dropped txns as its leader went: its log has a hole", flush=True)
    return True


def unlike_files(kinds: Mapping[int, str], files: Mapping[int, tuple[int, int]]) -> list[str]:
    """What differs between the files of stopped servers: last zxid and digest by sid (`files_of`)."""
    # The close of a session changes nothing, and the last one may come after the first server has stopped.
    if len({digest for _, digest in files.values()}) <= 1:
        return []
    shown = {sid: f"zxid 0x{zxid:x} digest 0x{digest:x}" for sid, (zxid, digest) in files.items()}
    # A follower of 3.8.0 that loses its leader drops what it has applied and not yet logged: seen with txns at the end
    # of an epoch that its tree had and its log lacked, while all other servers had them in both.
    if len({digest for sid, (_, digest) in files.items() if kinds[sid] != "java38"}) <= 1:
        print(f"    remark: the files of a server of 3.8.0 lack txns: {shown}", flush=True)
        return []
    return [f"the files differ: {shown}"]
