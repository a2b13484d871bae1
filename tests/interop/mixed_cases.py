"""What an ensemble of several kinds has to get right, a function a case; tests/interop/mixed.py says with which kinds.

Each function starts an ensemble in the arena's folder, does something to it, and returns what was wrong, in sentences.
In the two-sided cases `leads` and `learns` are kinds.
"""

import asyncio
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError
from kazoo.protocol.states import KazooState

from pyzk.client.aio import Client
from pyzk.codec.opcodes import CreateMode
from pyzk.errors import ConnectionLostError
from tests.integration.ensemble import SETTINGS, Ensemble, Member
from tests.integration.load import Load
from tests.integration.namespaces import Network
from tests.integration.processes import eventually, free_port, release
from tests.integration.trees import dump
from tests.server.tls.certificates import Authority

# Enough for every worker of a load to have done each kind of write several times.
WRITES = 200
# More than the 500 txns that a leader keeps in memory for learners.
MANY = 700
WAIT_S = 40.0
# What the logs say when a learner is brought up to date, on the leader's side or on the learner's.
SAYS = {
    "DIFF": r"Sending DIFF zxid|Getting a diff from|\"how\": \"DIFF\"",
    "SNAP": r"Sending snapshot last zxid|Getting a snapshot from|\"how\": \"SNAP\"",
    "TRUNC": r"Sending TRUNC zxid|Truncating log to get in sync|\"how\": \"TRUNC\"",
}


@dataclass(slots=True)
class Arena:
    """A folder of the case's own, and the seed of its load."""

    folder: Path
    seed: int

    def ensemble(self, kinds: Sequence[str], settings: dict[str, object] | None = None, **options: Any) -> Ensemble:
        return Ensemble(self.folder, kinds, settings, **options)

    def load(self, ensemble: Ensemble, *sids: int, **options: Any) -> Load:
        return Load(ensemble.hosts(*sids), self.seed, **options)


def reckoning(ensemble: Ensemble, load: Load) -> list[str]:
    """The books of a load that has ended against the tree, the end of its ephemerals, and all servers alike."""
    with ensemble.talking(ensemble.leader()) as client:
        broken = load.verify(dump(client))
    return broken + load.farewell() + ensemble.unlike()


def expect(holds: object, what: str) -> list[str]:
    return [] if holds else [what]


# Leading and following


def failover(arena: Arena, kinds: Sequence[str]) -> list[str]:
    """The last server leads, is killed under load, and comes back."""
    with arena.ensemble(kinds) as ensemble:
        last = len(kinds)
        ensemble.start(first=last)
        broken = expect(ensemble.leader() == last, f"server {ensemble.leader()} leads instead of {last}")
        with arena.load(ensemble) as load:
            load.wait_for(WRITES)
            ensemble.kill(last)
            load.wait_for(WRITES)
            ensemble.start(last)
            load.wait_for(WRITES)
        return broken + reckoning(ensemble, load)


def follower_restarts(arena: Arena, leads: str, learns: str) -> list[str]:
    """Followers are killed and stopped, one after the other, and the leader stays."""
    with arena.ensemble([learns, learns, leads]) as ensemble:
        ensemble.start(first=3)
        with arena.load(ensemble) as load:
            for sid, end in ((1, ensemble.kill), (2, ensemble.stop)):
                load.wait_for(WRITES)
                end(sid)
                load.wait_for(WRITES)
                ensemble.start(sid)
        broken = expect(ensemble.leader() == 3, "the leader has changed")
        return broken + reckoning(ensemble, load)


def observer(arena: Arena, leads: str, learns: str) -> list[str]:
    """Two voters of one kind, an observer of another: clients write through it, it is killed and catches up."""
    with arena.ensemble([leads, leads, learns], observers=[3]) as ensemble:
        ensemble.start(first=2)
        broken = expect(ensemble[3].mode == "observer", f"its mode is {ensemble[3].mode}")
        with arena.load(ensemble, 3) as load:
            load.wait_for(WRITES)
            with ensemble.talking(1, 2) as client:
                ensemble.kill(3)
                write(client, "/away", WRITES)
            ensemble.start(3)
            load.wait_for(WRITES)
        return broken + reckoning(ensemble, load)


def write(client: KazooClient, top: str, count: int) -> None:
    """`count` znodes, pipelined."""
    client.ensure_path(top)
    for asked in [client.create_async(f"{top}/{number}", b"x" * 50) for number in range(count)]:
        asked.get(timeout=WAIT_S)


def two_networks(arena: Arena, leads: str, learns: str) -> list[str]:
    """Every server has an address on two networks, of which one goes down under load, and then the other."""
    settings: dict[str, object] = {"multiAddress.enabled": "true"}
    with Network(3, peer_networks=2) as network:
        places = {"hosts": network.hosts, "peer_hosts": network.peer_hosts}
        with arena.ensemble([learns, learns, leads], settings, **places) as ensemble:
            network.enter(ensemble)
            ensemble.start(first=3)
            with arena.load(ensemble) as load:
                for lost in (1, 2):
                    load.wait_for(WRITES)
                    network.silence(lost)
                    ensemble.write_through_each(f"/without-{lost}")
                    load.wait_for(WRITES)
                    network.restore(lost)
                load.wait_for(WRITES)
            print(f"    {leads} leads, {learns}: {load.summary()}", flush=True)
            return reckoning(ensemble, load)


def oracle(arena: Arena, leads: str, learns: str) -> list[str]:
    """Two voters, of which either goes on alone as long as its oracle says so, and what it has written stays."""
    with arena.ensemble([learns, leads], oracles=True) as ensemble:
        ensemble.start(first=2)
        broken = expect(ensemble.leader() == 2, f"server {ensemble.leader()} leads instead of 2")
        for away, left in ((1, 2), (2, 1)):
            broken += goes_on_alone(ensemble, away, left)
        return broken + ensemble.unlike()


def goes_on_alone(ensemble: Ensemble, away: int, left: int) -> list[str]:
    """One of two is killed; the other one serves while its oracle says 1, and no longer; then both serve again."""
    alone = ensemble[left]
    ensemble.kill(away)
    eventually(lambda: not alone.mode, f"{alone} does not serve without the other", WAIT_S)
    alone.oracle_path.write_text("1")
    ensemble.wait_until_serving(left)
    broken = expect(alone.mode == "leader", f"the mode of {alone} is {alone.mode}")
    with ensemble.talking(left) as client:
        write(client, f"/alone-{left}", 20)
        alone.oracle_path.write_text("0")
        eventually(lambda: not alone.mode, f"{alone} obeys its oracle", WAIT_S)
        alone.oracle_path.write_text("1")
        client.retry(client.create, f"/again-{left}")
        client.sync("/")
    ensemble.start(away)
    alone.oracle_path.write_text("0")
    with ensemble.talking(away) as client:
        client.sync("/")
        for path in (f"/alone-{left}/19", f"/again-{left}"):
            broken += expect(client.exists(path), f"{ensemble[away]} lacks {path}")
    return broken


# Synchronisation: servers 2 and 3 lead, server 1 of the other kind was away


def diff(arena: Arena, leads: str, learns: str) -> list[str]:
    """Away for a few txns."""
    with arena.ensemble([learns, leads, leads]) as ensemble:
        return caught_up(ensemble, away=WRITES, expected="DIFF")


def snap(arena: Arena, leads: str, learns: str) -> list[str]:
    """Away for more txns than the leader keeps, which does not look into its files."""
    with arena.ensemble([learns, leads, leads], {"snapshotSizeFactor": -1}) as ensemble:
        return caught_up(ensemble, away=MANY, expected="SNAP")


def log_diff(arena: Arena, leads: str, learns: str) -> list[str]:
    """Away for more txns than the leader keeps in memory: from the files."""
    with arena.ensemble([learns, leads, leads], {"snapshotSizeFactor": 1000000}) as ensemble:
        return caught_up(ensemble, away=MANY, expected="DIFF")


def empty(arena: Arena, leads: str, learns: str) -> list[str]:
    """A server that has never been there joins under load."""
    with arena.ensemble([learns, leads, leads]) as ensemble:
        ensemble.start(2, 3, first=3)
        with arena.load(ensemble, 2, 3) as load:
            load.wait_for(MANY)
            ensemble.start(1)
            load.wait_for(WRITES)
        return reckoning(ensemble, load)


def caught_up(ensemble: Ensemble, away: int, expected: str) -> list[str]:
    ensemble.start(first=3)
    with ensemble.talking(2, 3) as client:
        write(client, "/before", WRITES)
        ensemble.wait_until_level()
        ensemble.stop(1)
        write(client, "/away", away)
        known = {sid: len(member.logged()) for sid, member in ensemble.members.items()}
        ensemble.start(1)
        broken = took(ensemble, known, expected)
        write(client, "/after", WRITES)
    return broken + ensemble.unlike()


def took(ensemble: Ensemble, known: dict[int, int], expected: str) -> list[str]:
    """Whether the servers' logs, from what was `known` on (characters by sid), tell of this way to be in step."""
    said = "".join(member.logged()[known[member.sid] :] for member in ensemble.members.values())
    found = [way for way, words in SAYS.items() if re.search(words, said)]
    return expect(expected in found, f"{expected} was expected, the logs tell of {found}")


def trunc(arena: Arena, leads: str, learns: str) -> list[str]:
    """An old leader comes back with a txn that only it has, before and after the new one has written."""
    with arena.ensemble([leads, leads, learns]) as ensemble:
        broken = []
        for number, written in enumerate((0, 10)):
            ensemble.start(first=3)
            broken += expect(ensemble.leader() == 3, f"server {ensemble.leader()} leads instead of 3")
            with ensemble.talking(3) as client:
                write(client, f"/before-{number}", 20)
                ensemble.wait_until_level()
                ensemble.pause_all_but(3)
                client.create_async(f"/lost-{number}", b"never committed")
                eventually(lambda: in_log(ensemble[3], f"/lost-{number}"), "the leader has logged it", WAIT_S)  # noqa: B023
                ensemble.kill(1, 2, 3)
                broken += comes_back(ensemble, number, written)
                write(client, f"/then-{number}", 1)
            ensemble.wait_until_level()
            for sid, tree in ensemble.trees().items():
                broken += expect(f"/lost-{number}" not in tree, f"server {sid} shows what was never committed")
                broken += expect(f"/before-{number}/19" in tree, f"server {sid} has lost what was committed")
            broken += ensemble.unlike()
        return broken


def comes_back(ensemble: Ensemble, number: int, written: int) -> list[str]:
    """Server 3 joins the others, which have never seen its last txn; they have `written` some of their own."""
    ensemble.start(1, 2)
    if written:
        with ensemble.talking(1, 2) as client:
            write(client, f"/after-{number}", written)
    known = {sid: len(member.logged()) for sid, member in ensemble.members.items()}
    ensemble.start(3)
    return [] if written else took(ensemble, known, "TRUNC")


def in_log(member: Member, path: str) -> bool:
    """Whether a txn about this path has reached the member's files."""
    logs = (member.data_dir / "version-2").glob("log.*")
    return any(path.encode() in log.read_bytes() for log in logs)


# Clients


def client_failover(arena: Arena, leads: str, learns: str) -> list[str]:
    """A client with watches and an ephemeral loses its server, in either direction, and nothing else."""
    with arena.ensemble([learns, leads, leads]) as ensemble:
        ensemble.start(first=3)
        return asyncio.run(moving(ensemble)) + ensemble.unlike()


async def moving(ensemble: Ensemble) -> list[str]:
    async with Client(ensemble.hosts(1, 2), timeout_ms=30000) as client, Client(ensemble.hosts(3)) as other:
        session_id = client.session_id
        await client.create("/mine", mode=CreateMode.EPHEMERAL)
        await client.create("/seen")
        async with client.watch("/seen", recursive=True) as events:
            for turn in range(2):
                holder = next(sid for sid in (1, 2) if f"0x{session_id:x}" in ensemble[sid].word("cons"))
                await asyncio.to_thread(ensemble.kill, holder)
                await synced(client)  # on the other server by now
                await other.create(f"/seen/{turn}")
                while (event := await asyncio.wait_for(anext(events), WAIT_S)).path != f"/seen/{turn}":
                    assert event.path in {"", "/seen"}, event
                await asyncio.to_thread(ensemble.start, holder)
        broken = expect(client.session_id == session_id, "the session has changed")
        broken += expect(await other.get_ephemerals("/") == [], "another session owns an ephemeral")
        stat = await other.exists("/mine")
        broken += expect(stat is not None and stat.ephemeral_owner == session_id, f"the ephemeral is {stat}")
        await client.close()
        await other.sync()
        return broken + expect(await other.exists("/mine") is None, "the ephemeral is there after its session")


async def synced(client: Client) -> None:
    """Sync, again if the connection was lost on the way."""
    while True:
        try:
            await client.sync()
        except ConnectionLostError:
            continue
        return


def local_sessions(arena: Arena, leads: str, learns: str) -> list[str]:
    """A local session costs no txn; the first ephemeral makes it global, and then it can move."""
    settings = {"localSessionsEnabled": "true", "localSessionsUpgradingEnabled": "true"}
    with arena.ensemble([learns, leads, leads], settings) as ensemble:
        ensemble.start(first=3)
        with ensemble.talking(3) as client:
            write(client, "/first", 1)
        ensemble.wait_until_level()
        zxid = ensemble[3].srvr("Zxid")
        with ensemble.talking(1, 2) as upgraded, ensemble.talking(1, 2) as local:
            broken = expect(ensemble[3].srvr("Zxid") == zxid, "a local session has cost a txn")
            lost: list[str] = []
            local.add_listener(lambda state: lost.append(state) if state == KazooState.LOST else None)
            session_id = upgraded.client_id[0]
            local.create("/by-local", b"")
            upgraded.create("/by-upgraded", b"", ephemeral=True)
            ensemble.kill(1)
            eventually(lambda: lost, "the local session has ended with its server", WAIT_S)
            upgraded.retry(upgraded.sync, "/")
            broken += expect(upgraded.client_id[0] == session_id, "the upgraded session has changed")
            broken += expect(upgraded.exists("/by-upgraded"), "the ephemeral has gone")
            broken += expect(upgraded.exists("/by-local"), "a write of the local session has gone")
            ensemble.start(1)
        with ensemble.talking(3) as client:
            broken += expect(client.exists("/by-upgraded") is None, "the ephemeral is there after its session")
        return broken + ensemble.unlike()


# Members


def reconfig(arena: Arena, leads: str, learns: str) -> list[str]:
    """One joins, one leaves, one becomes an observer and a voter again, and at last the leader leaves, under load."""
    with arena.ensemble([learns, leads, leads], dynamic=True) as ensemble:
        ensemble.start(first=3)
        with arena.load(ensemble, 2, 3, workers=2) as load, ensemble.talking(2) as client:
            broken = refused(client)
            joiner = ensemble.add(learns)
            ensemble.start(joiner.sid)
            change = changing(ensemble, client)
            load.wait_for(WRITES)
            broken += change(joining=f"server.4={ensemble.server_line(4)}", voters={1, 2, 3, 4})
            broken += change(leaving="1", voters={2, 3, 4})
            ensemble.stop(1)
            broken += change(joining=f"server.2={ensemble.server_line(2)}".replace("participant", "observer"))
            eventually(lambda: ensemble[2].mode == "observer", "server 2 observes", WAIT_S)
            broken += change(joining=f"server.2={ensemble.server_line(2)}", voters={2, 3, 4})
            load.wait_for(WRITES)
            broken += change(leaving="3", voters={2, 4})
            eventually(lambda: {ensemble[2].mode, ensemble[4].mode} == {"leader", "follower"}, "2 and 4 go on", WAIT_S)
            ensemble.stop(3)
            load.wait_for(WRITES)
        configs = {sid: config_of(ensemble, sid) for sid in (2, 4)}
        broken += expect(configs[2] == configs[4], f"the servers have different configurations: {configs}")
        return broken + reckoning(ensemble, load)


def refused(client: KazooClient) -> list[str]:
    try:
        client.reconfig(None, "1", None, from_config=1)
    except BadVersionError:
        return []
    return ["a reconfig from another configuration was not refused"]


def changing(ensemble: Ensemble, client: KazooClient) -> Callable[..., list[str]]:
    """A function that asks for one change and says what is wrong with the configuration afterwards."""

    def change(joining: str | None = None, leaving: str | None = None, voters: set[int] | None = None) -> list[str]:
        client.retry(client.reconfig, joining, leaving, None)
        sids = voters or set()
        text = client.retry(client.get, "/zookeeper/config")[0].decode()
        found = {int(sid) for sid in re.findall(r"server\.(\d+)=\S+:participant", text)}
        if sids:
            ensemble.wait_until_serving(*sids)
        return expect(not sids or found == sids, f"voters {found} instead of {sids}")

    return change


def config_of(ensemble: Ensemble, sid: int) -> str:
    with ensemble.talking(sid) as client:
        lines: list[str] = client.get("/zookeeper/config")[0].decode().splitlines()
    return "\n".join(sorted(lines))


def observer_master(arena: Arena, leads: str, learns: str) -> list[str]:
    """Server 1 follows and has an observer of the leader's kind; then the observer is the one of the other kind."""
    broken = []
    for name, kinds in (("master", [learns, leads, leads]), ("observer", [leads, leads, learns])):
        broken += observed(Arena(arena.folder / name, arena.seed), kinds)
    return broken


def observed(arena: Arena, kinds: Sequence[str]) -> list[str]:
    # All followers take the same port for observers, so each server needs an address of its own.
    hosts = {sid: f"127.0.0.{10 + sid}" for sid in (1, 2, 3)}
    port = free_port()
    settings = {"observerMasterPort": port}
    with arena.ensemble(kinds, settings, observers=[3], hosts=hosts) as ensemble:
        ensemble.start(first=2)
        with arena.load(ensemble, 3) as load:
            load.wait_for(WRITES)
            observers = re.search(r"zk_synced_observers\s+(\d+)", ensemble[2].word("mntr"))
            broken = expect(observers and observers[1] == "0", "the observer has gone to the leader")
        broken += reckoning(ensemble, load)
    release(port)
    return broken


# Replacement


def rolling(arena: Arena, old: str, new: str) -> list[str]:
    """Under load the servers of a live ensemble are replaced one at a time, and back again."""
    with arena.ensemble([old, old, old]) as ensemble:
        ensemble.start(first=3)
        with arena.load(ensemble) as load:
            for kind in (new, old):
                for sid in (1, 2, 3):
                    load.wait_for(WRITES)
                    ensemble.replace(sid, kind)
            load.wait_for(WRITES)
        print(f"    {old} to {new} and back: {load.summary()}", flush=True)
        return reckoning(ensemble, load)


# Servers that authenticate themselves to each other


QUORUM_JAAS = """\
QuorumServer {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_zk="%s";
};
QuorumLearner {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    username="zk" password="%s";
};
"""
SASL_STEPS: tuple[dict[str, object], ...] = (
    {"quorum.auth.enableSasl": "true"},
    {"quorum.auth.enableSasl": "true", "quorum.auth.learnerRequireSasl": "true"},
    {
        "quorum.auth.enableSasl": "true",
        "quorum.auth.learnerRequireSasl": "true",
        "quorum.auth.serverRequireSasl": "true",
    },
)


def give_password(member: Member, password: str) -> None:
    """Write the JAAS file of a server, for whatever program reads it."""
    path = member.folder / "jaas.conf"
    path.write_text(QUORUM_JAAS % (password, password))
    # Apache's 3.9 knows no DIGEST-MD5 unless it is told so.
    member.java_flags = (f"-Djava.security.auth.login.config={path}", "-Dzookeeper.fips-mode=false")
    text = member.config_path.read_text()
    member.config_path.write_text(f"{text}java.security.auth.login.config={path}\n")


def quorum_sasl(arena: Arena, leads: str, learns: str) -> list[str]:
    """All must prove who they are: a leader is killed, and a server with a wrong password stays outside."""
    with arena.ensemble([learns, leads, leads], SASL_STEPS[-1]) as ensemble:
        for member in ensemble.members.values():
            give_password(member, "secret")
        ensemble.start(first=3)
        with arena.load(ensemble) as load:
            load.wait_for(WRITES)
            ensemble.kill(3)
            load.wait_for(WRITES)
            ensemble.start(3)
            load.wait_for(WRITES)
            ensemble.stop(1)
            ensemble.configure(1)
            give_password(ensemble[1], "wrong")
            ensemble[1].launch()
            eventually(lambda: refused_login(ensemble), "the login of server 1 is refused", WAIT_S)
            broken = expect(ensemble[1].mode not in {"leader", "follower"}, "a server with a wrong password is let in")
            ensemble.stop(1)
            ensemble.configure(1)
            give_password(ensemble[1], "secret")
            ensemble.start(1)
            load.wait_for(WRITES)
        return broken + reckoning(ensemble, load)


def refused_login(ensemble: Ensemble) -> bool:
    return any(
        re.search("the password is wrong|Failed to authenticate|refused our login", member.logged())
        for member in ensemble.members.values()
    )


def quorum_sasl_rolls_in(arena: Arena, leads: str, learns: str) -> list[str]:
    """From open doors to doors that open by proof only, one server at a time; and back."""
    with arena.ensemble([learns, leads, leads]) as ensemble:
        ensemble.start(first=3)
        with arena.load(ensemble) as load:
            load.wait_for(WRITES)
            for step in (*SASL_STEPS, *SASL_STEPS[-2::-1]):
                for sid, member in ensemble.members.items():
                    ensemble.stop(sid)
                    ensemble.settings = {**SETTINGS, **step}
                    ensemble.configure(sid)
                    give_password(member, "secret")
                    ensemble.start(sid)
                load.wait_for(WRITES)
        return reckoning(ensemble, load)


# TLS

SWITCHES: tuple[dict[str, object], ...] = (
    {"portUnification": "true"},
    {"sslQuorum": "true"},
    {"portUnification": "false"},
    {"portUnification": "true"},
    {"sslQuorum": "false"},
    {"portUnification": "false"},
)


def tls(arena: Arena, leads: str, learns: str) -> list[str]:
    """Under load the links between the servers go from plain to TLS and back, one server at a time."""
    authority = Authority(arena.folder / "certificates")
    files = authority.settings(authority.issue("server", "127.0.0.1"), "ssl.quorum.")
    with arena.ensemble([learns, leads, leads], {**files, "sslQuorum": "false"}) as ensemble:
        ensemble.start(first=3)
        plain: list[int] = []
        with arena.load(ensemble) as load:
            for switch in SWITCHES:
                ensemble.settings |= switch
                for sid in ensemble.members:
                    load.wait_for(WRITES // 4)
                    ensemble.stop(sid)
                    ensemble.configure(sid)
                    ensemble.start(sid)
                if switch is SWITCHES[2]:
                    plain = [sid for sid in ensemble.members if takes_plain(ensemble, sid)]
            load.wait_for(WRITES)
        print(f"    {leads} and {learns} to TLS and back: {load.summary()}", flush=True)
        return expect(not plain, f"servers {plain} take plain links") + reckoning(ensemble, load)


def takes_plain(ensemble: Ensemble, sid: int) -> bool:
    """Whether a server listens to a plain hello on its election port: it does not close the connection."""
    member = ensemble[sid]
    with socket.create_connection((member.host, member.election_port), WAIT_S) as plain:
        plain.sendall(b"\xff\xff\xff\xff\xff\xff\x00\x00")
        plain.settimeout(1.0)
        try:
            return plain.recv(1) != b""
        except TimeoutError:
            return True
        except ConnectionError:
            return False
