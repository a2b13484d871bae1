"""The twenty everyday calls through kazoo: data, versions, sequences, ACLs, transactions, quotas."""

import re

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import (
    BadVersionError,
    InvalidACLError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    QuotaExceededError,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.security import ANYONE_ID_UNSAFE, CREATOR_ALL_ACL, READ_ACL_UNSAFE, make_acl, make_digest_acl

from tests.integration.conftest import Connect, MakeServer
from tests.integration.processes import ServerProcess


def test_a_created_node_is_read_back(client: KazooClient) -> None:
    path, created = client.create("/node", b"data", include_data=True)
    data, stat = client.get("/node")
    assert (path, data) == ("/node", b"data")
    assert stat == created
    assert (stat.version, stat.cversion, stat.aversion, stat.dataLength, stat.numChildren) == (0, 0, 0, 4, 0)
    assert stat.czxid == stat.mzxid == stat.pzxid
    assert stat.ctime == stat.mtime


def test_a_node_may_have_no_data_and_any_name(client: KazooClient) -> None:
    client.create("/空/é", b"", makepath=True)
    assert client.get("/空/é")[0] == b""
    assert client.get_children("/空") == ["é"]


def test_creating_fails_where_it_must(client: KazooClient) -> None:
    client.create("/node")
    client.create("/ephemeral", ephemeral=True)
    with pytest.raises(NodeExistsError):
        client.create("/node")
    with pytest.raises(NoNodeError):
        client.create("/missing/child")
    with pytest.raises(NoChildrenForEphemeralsError):
        client.create("/ephemeral/child")


def test_set_and_delete_check_versions(client: KazooClient) -> None:
    client.create("/node", b"0")
    assert client.set("/node", b"1").version == 1
    assert client.set("/node", b"2", version=1).version == 2
    with pytest.raises(BadVersionError):
        client.set("/node", b"3", version=1)
    with pytest.raises(BadVersionError):
        client.delete("/node", version=1)
    client.delete("/node", version=2)
    assert client.exists("/node") is None


def test_a_parent_counts_its_children(client: KazooClient) -> None:
    client.create("/parent")
    for name in ("a", "b", "c"):
        client.create(f"/parent/{name}")
    client.delete("/parent/b")
    children, stat = client.get_children("/parent", include_data=True)
    assert sorted(children) == ["a", "c"]
    assert (stat.numChildren, stat.cversion, stat.version) == (2, 4, 0)
    with pytest.raises(NotEmptyError):
        client.delete("/parent")
    client.delete("/parent", recursive=True)


def test_sequence_numbers_count_every_child_ever_created(client: KazooClient) -> None:
    client.create("/queue")
    assert client.create("/queue/n-", sequence=True) == "/queue/n-0000000000"
    client.create("/queue/other")
    assert client.create("/queue/n-", sequence=True) == "/queue/n-0000000002"
    client.delete("/queue/n-0000000002")
    assert client.create("/queue/", sequence=True, ephemeral=True) == "/queue/0000000003"


def test_a_transaction_is_all_or_nothing(client: KazooClient) -> None:
    client.create("/t", b"0")
    good = client.transaction()
    good.create("/t/a")
    good.set_data("/t", b"1", version=0)
    good.check("/t", version=1)
    good.delete("/t/a")
    created, stat, checked, deleted = good.commit()
    assert (created, stat.version, checked, deleted) == ("/t/a", 1, True, True)

    bad = client.transaction()
    bad.create("/t/a")
    bad.check("/t", version=99)
    bad.delete("/t")
    results = bad.commit()
    assert [type(result) for result in results] == [RolledBackError, BadVersionError, RuntimeInconsistency]
    assert client.get_children("/t") == []


def test_acls_keep_strangers_out(client: KazooClient, shared_server: ServerProcess, connect: Connect) -> None:
    alice = connect(shared_server, chroot=client.chroot, auth_data=[("digest", "alice:secret")])
    alice.create("/hers", b"private", acl=CREATOR_ALL_ACL)
    with pytest.raises(NoAuthError):
        client.get("/hers")
    with pytest.raises(NoAuthError):
        client.create("/hers/child")
    alice.set_acls("/hers", [make_digest_acl("alice", "secret", all=True), *READ_ACL_UNSAFE])
    assert client.get("/hers")[0] == b"private"
    with pytest.raises(NoAuthError):
        client.set("/hers", b"")
    client.add_auth("digest", "alice:secret")
    client.set("/hers", b"shared")
    assert client.get_acls("/hers")[1].aversion == 1


def test_acls_know_networks(client: KazooClient) -> None:
    client.create("/here", b"", acl=[make_acl("ip", "127.0.0.0/8", all=True)])
    client.create("/elsewhere", b"", acl=[make_acl("ip", "10.0.0.0/8", all=True)])
    assert client.get("/here")[0] == b""
    with pytest.raises(NoAuthError):
        client.get("/elsewhere")


@pytest.mark.parametrize("acl", [[make_acl("nonsense", "id", all=True)], CREATOR_ALL_ACL])
def test_senseless_acls_are_refused(client: KazooClient, acl: list[object]) -> None:
    with pytest.raises(InvalidACLError):
        client.create("/node", b"", acl=acl)


def test_the_default_acl_lets_anyone_in(client: KazooClient) -> None:
    client.create("/node")
    acls, _ = client.get_acls("/node")
    assert [(acl.perms, acl.id) for acl in acls] == [(31, ANYONE_ID_UNSAFE)]


def test_a_quota_refuses_what_exceeds_it(make_server: MakeServer, connect: Connect) -> None:
    client = connect(make_server(enforceQuota="true"))
    client.create("/limited")
    client.create("/zookeeper/quota/limited", b"")
    client.create("/zookeeper/quota/limited/zookeeper_limits", b"count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=3")
    client.create("/zookeeper/quota/limited/zookeeper_stats", b"")
    client.create("/limited/a", b"x" * 10)
    client.create("/limited/b", b"")
    with pytest.raises(QuotaExceededError):
        client.create("/limited/c", b"")
    client.delete("/limited/b")
    with pytest.raises(QuotaExceededError):
        client.set("/limited/a", b"x" * 21)
    client.set("/limited/a", b"x" * 20)
    stats = client.get("/zookeeper/quota/limited/zookeeper_stats")[0].decode()
    assert re.match(r"count=2,bytes=20\b", stats)


def test_sync_answers_with_its_path(client: KazooClient) -> None:
    client.create("/node")
    assert client.sync("/node") == "/node"


def test_ephemerals_of_a_session_end_with_it(
    client: KazooClient, shared_server: ServerProcess, connect: Connect
) -> None:
    other = connect(shared_server, chroot=client.chroot)
    other.create("/a/b", ephemeral=True, makepath=True)
    other.create("/c-", ephemeral=True, sequence=True)
    assert client.exists("/a/b").ephemeralOwner == other.client_id[0]
    other.stop()
    assert client.exists("/a/b") is None
    assert client.get_children("/") == ["a"]
