"""What a server answers to clients that authenticate by SASL, well or not: pyzk's answers are those of Apache's."""

import re
import subprocess
from contextlib import ExitStack

import pytest

from pyzk.codec.replies import WhoAmIReply
from tests.integration.processes import PyzkServer, ServerProcess
from tests.integration.sasl import AUTH, JAAS, PROVIDER, WHO_AM_I, challenge_of, proof, sasl_frame
from tests.integration.wire import Wire, create_frame, get_frame, request_frame, string
from tests.interop.apache import JVM_FLAGS, VERSIONS, ApacheServer, UnavailableError, class_path, need

pytestmark = pytest.mark.interop

GOOD = proof()
PROOFS = {
    "good": GOOD,
    "without qop": proof(qop=None),
    "with authzid": proof(authzid="alice"),
    "another case of the uri": proof(digest_uri="ZooKeeper/ZK-sasl-md5"),
    "another realm": proof(realm="elsewhere"),
    "no realm": proof(realm=None),
    "another nonce": proof(nonce="abc"),
    "no nonce": proof(nonce=None),
    "second use of the nonce": proof(nc="00000002"),
    "no count": proof(nc=None),
    "no cnonce": proof(cnonce=None),
    "no uri": proof(digest_uri=None),
    "another uri": proof(digest_uri="zookeeper/elsewhere"),
    "another quality": proof(qop="auth-int"),
    "no user": proof(username=None),
    "unknown user": proof(username="eve"),
    "no response": proof(response=None),
    "wrong response": proof(response="0" * 32),
    "another charset": proof(charset="latin-1"),
    "no pairs": lambda _: b"nonsense",
    "empty": lambda _: b"",
}
# docs/protocol/apache-defects.md, row 21.
OURS = {"3.8": {"unknown user"}, "3.9": set()}
MODES = {
    "plain": {},
    "failures allowed": {"allowSaslFailedClients": "true"},
    "required": {"sessionRequireClientSASLAuth": "true"},
    "required, failures allowed": {"sessionRequireClientSASLAuth": "true", "allowSaslFailedClients": "true"},
    "digest or sasl": {"enforce.auth.enabled": "true", "enforce.auth.schemes": "digest,sasl"},
    "address will do": {"enforce.auth.enabled": "true", "enforce.auth.schemes": "ip"},
}


def shown(request: bytes, reply: bytes) -> str:
    """A reply without what varies by nature: zxids, nonces, the order of identities."""
    if request[8:12] == WHO_AM_I.to_bytes(4, "big") and len(reply) > 16:
        return repr(sorted(WhoAmIReply.from_bytes(reply[16:]).identities, key=repr))
    text = re.sub(rb'nonce="[^"]*"', b'nonce="..."', reply[16:])
    text = re.sub(rb"rspauth=[0-9a-f]{32}", b"rspauth=...", text)
    return f"{reply[:4].hex()} {reply[12:16].hex()} {text!r}" if reply else "closed"


def say(wire: Wire, *requests: bytes) -> list[str]:
    replies = []
    for request in requests:
        try:
            wire.socket.sendall(request)
            replies.append(shown(request, wire.receive()))
        except OSError:
            replies.append("closed")
    return replies


def authenticate(server: ServerProcess, prove) -> list[str]:
    with Wire(server.port) as wire:
        token = prove(challenge_of(wire))
        identities = request_frame(3, WHO_AM_I)
        return say(wire, sasl_frame(2, token), identities, sasl_frame(4, token), identities)


def conversations(server: ServerProcess) -> dict[str, list[str]]:
    """Replies to all that these tests ask, by what was asked."""
    found = {name: authenticate(server, prove) for name, prove in PROOFS.items()}
    for name in (b"bob", b"b b", b"a@b@c", b"zk/host@REALM", b"a/b/c@REALM", b"a/b/c", b"", b"super"):
        entry = b"\0\0\0\1\0\0\0\x1f" + string(b"sasl") + string(name)
        create = request_frame(1, 1, string(b"/acl-%d" % len(found)) + string(b"") + entry + b"\0\0\0\0")
        with Wire(server.port) as wire:
            found[f"an ACL for {name!r}"] = say(wire, create)
    first = {
        "first token": sasl_frame(1, b"token"),
        "null token": sasl_frame(1, None),
        "ping": request_frame(-2, 11),
        "create": create_frame(1, b"/c"),
        "read": get_frame(1, b"/"),
        "close": request_frame(1, -11),
        "unknown opcode": request_frame(1, 999),
        "auth digest": request_frame(-4, AUTH, b"\0\0\0\0" + string(b"digest") + string(b"u:p")),
        "auth sasl": request_frame(-4, AUTH, b"\0\0\0\0" + string(b"sasl") + string(b"u:p")),
    }
    for name, request in first.items():
        with Wire(server.port) as wire:
            found[name] = say(wire, request, request_frame(2, WHO_AM_I))
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", MODES)
def test_clients_are_answered_as_by_apache(version, mode, tmp_path):
    jaas = tmp_path / "jaas.conf"
    jaas.write_text(JAAS)
    flag = f"-Djava.security.auth.login.config={jaas}"
    settings = {**PROVIDER, **MODES[mode]}
    with ExitStack() as running:
        try:
            apache = ApacheServer(tmp_path / "apache", version, (flag,), settings=settings)
        except UnavailableError as missing:
            pytest.skip(str(missing))
        ours = PyzkServer(tmp_path / "pyzk", settings={**settings, "java.security.auth.login.config": jaas})
        theirs = conversations(running.enter_context(apache))
        answers = conversations(running.enter_context(ours))
    for name, replies in theirs.items():
        assert name in OURS[version] or answers[name] == replies, name
    assert answers["unknown user"] == answers["wrong response"]


@pytest.mark.parametrize("version", VERSIONS)
def test_javas_client_logs_in_on_pyzk(version, tmp_path):
    jaas = tmp_path / "jaas.conf"
    client = 'Client {\n DigestLoginModule required username="bob" password="%s";\n};\n'
    client = client.replace("Digest", "org.apache.zookeeper.server.auth.Digest")
    settings = {**PROVIDER, "java.security.auth.login.config": jaas, "sessionRequireClientSASLAuth": "true"}

    def say(password: str, *words: str) -> str:
        jaas.write_text(JAAS + client % password)
        # Since 3.8.2 Java's client leaves DIGEST-MD5 out unless it is told otherwise.
        flags = [f"-Djava.security.auth.login.config={jaas}", "-Dzookeeper.fips-mode=false"]
        command = [need("java"), *JVM_FLAGS, *flags, "-cp", class_path(version), "org.apache.zookeeper.ZooKeeperMain"]
        command += ["-server", server.hosts, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    try:
        class_path(version)
        need("java")
    except UnavailableError as missing:
        pytest.skip(str(missing))
    jaas.write_text(JAAS)
    with PyzkServer(tmp_path / "pyzk", settings=settings) as server:
        assert "Created /mine" in say("bobsecret", "create", "/mine", "", "auth::cdrwa")
        assert "'sasl,'bob\n: cdrwa" in say("bobsecret", "getAcl", "/mine")
        assert "AuthFailed" in say("wrong", "getAcl", "/mine")
