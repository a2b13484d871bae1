"""DIGEST-MD5: both sides prove that they know a password without sending it.

Only what ZooKeeper uses: no initial response, quality of protection `auth`, one realm. MD5 is weak by now; the
mechanism is here because clients and servers in the field speak it. Source: RFC 2831, docs/protocol/client-protocol.md
section 8, docs/protocol/election.md section 2.5.
"""

import hmac
import re
from collections.abc import Callable
from hashlib import md5

from pyzk.errors import SaslError

CLIENT_PROTOCOL, CLIENT_SERVER_NAME = "zookeeper", "zk-sasl-md5"
"""What clients of ZooKeeper call the service; the name of the server is its realm too."""
QUORUM_PROTOCOL, QUORUM_SERVER_NAME = "zookeeper-quorum", "zk-quorum-sasl-md5"
"""The same between servers."""
NONCE_COUNT = "00000001"
"""Each exchange has a nonce of its own, so it is always the first use of it."""
MAXIMUM_BUFFER = "65536"

_DIRECTIVE = re.compile(r'[ \t\r\n]*([A-Za-z0-9-]+)[ \t\r\n]*=[ \t\r\n]*("(?:[^"\\]|\\.)*"|[^",\s]*)[ \t\r\n]*(,|$)')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
# May occur several times in a challenge.
_REPEATABLE = frozenset({"realm"})


def parse_directives(token: bytes) -> dict[str, str]:
    """The `name=value` pairs of a token, of a repeated realm the first. Raises SaslError."""
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SaslError("the token is no text") from error
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _DIRECTIVE.match(text, position)
        if match is None:
            raise SaslError("the token is no list of name=value pairs")
        name, value, _ = match.groups()
        name = name.lower()
        if name in found and name not in _REPEATABLE:
            raise SaslError(f"{name} is there twice")
        found.setdefault(name, _ESCAPE.sub(r"\1", value[1:-1]) if value.startswith('"') else value)
        position = match.end()
    return found


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _octets(text: str) -> bytes:
    """A name or password as it is hashed: in ISO 8859-1 where that is possible (RFC 2831, section 2.1.2.1)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")


def _md5(data: bytes) -> bytes:
    return md5(data, usedforsecurity=False).digest()


def digest_response(directives: dict[str, str], password: str, *, of_server: bool = False) -> str:
    """The proof of knowing a password, in hexadecimal; the server's differs from the client's.

    Args:
        directives: username, realm, nonce, cnonce, nc, qop and digest-uri as the client has sent them.
        password: of that user.
        of_server: the proof that the server gives in answer (`rspauth`).
    """
    user, realm = directives["username"], directives.get("realm", "")
    secret = _md5(b":".join([_octets(user), _octets(realm), _octets(password)]))
    parts = [secret, directives["nonce"].encode(), directives["cnonce"].encode()]
    if directives.get("authzid"):
        parts.append(directives["authzid"].encode())
    first = _md5(b":".join(parts)).hex()
    method = "" if of_server else "AUTHENTICATE"
    second = _md5(f"{method}:{directives['digest-uri']}".encode()).hex()
    middle = ":".join([directives[name] for name in ("nonce", "nc", "cnonce", "qop")])
    return _md5(f"{first}:{middle}:{second}".encode()).hex()


class DigestServer:
    """The server's side.

    Args:
        passwords: gives the password of a user; None for one who is not known.
        nonce: fresh and not to be guessed.
        protocol: what the client must call the service.
        server_name: what it must call the server; the realm of its users too.
        authorize: makes of the user's name the identity.
    """

    __slots__ = ("_authorize", "_is_asked", "_is_over", "_nonce", "_passwords", "_server_name", "_uri", "identity")

    def __init__(
        self,
        passwords: Callable[[str], str | None],
        nonce: str,
        *,
        protocol: str = CLIENT_PROTOCOL,
        server_name: str = CLIENT_SERVER_NAME,
        authorize: Callable[[str], str] = str,
    ) -> None:
        self.identity: str | None = None
        self._passwords = passwords
        self._nonce = nonce
        self._server_name = server_name
        self._uri = f"{protocol}/{server_name}"
        self._authorize = authorize
        self._is_asked = self._is_over = False

    def respond(self, token: bytes) -> bytes:
        """The challenge, then our own proof in answer to the client's. Raises SaslError."""
        if self._is_over:
            raise SaslError("the exchange is over")
        if not self._is_asked:
            # Whatever the client sends first counts for nothing, as in Apache.
            self._is_asked = True
            return self._challenge()
        self._is_over = True
        return self._judge(parse_directives(token))

    def _challenge(self) -> bytes:
        realm, nonce = _quoted(self._server_name), _quoted(self._nonce)
        return f"realm={realm},nonce={nonce},charset=utf-8,algorithm=md5-sess".encode()

    def _judge(self, said: dict[str, str]) -> bytes:
        said = {"qop": "auth", "nc": NONCE_COUNT, "charset": "utf-8"} | said
        for name in ("username", "cnonce", "response"):
            if not said.get(name):
                raise SaslError(f"{name} is missing")
        expected = {
            "nonce": self._nonce,
            "nc": NONCE_COUNT,
            "realm": self._server_name,
            "qop": "auth",
            "charset": "utf-8",
        }
        for name, value in expected.items():
            if said.get(name) != value:
                raise SaslError(f"{name} is {said.get(name)!r} instead of {value!r}")
        if said.get("digest-uri", "").lower() != self._uri.lower():
            raise SaslError(f"digest-uri is {said.get('digest-uri')!r} instead of {self._uri!r}")
        user = said["username"]
        password = self._passwords(user)
        # Whether the user is known must not show in the time that the answer takes.
        proof = digest_response(said, password or "")
        is_right = hmac.compare_digest(proof.encode(), said["response"].encode())
        if password is None or not is_right:
            raise SaslError(f"user {user!r} is not known, or the password is wrong")
        self.identity = self._authorize(user)
        return b"rspauth=" + digest_response(said, password, of_server=True).encode()


class DigestClient:
    """The client's side; its arguments are those of the server's."""

    __slots__ = ("_expected", "_nonce", "_password", "_uri", "_user", "is_complete")

    def __init__(
        self,
        user: str,
        password: str,
        nonce: str,
        *,
        protocol: str = CLIENT_PROTOCOL,
        server_name: str = CLIENT_SERVER_NAME,
    ) -> None:
        self.is_complete = False
        self._user, self._password, self._nonce = user, password, nonce
        self._uri = f"{protocol}/{server_name}"
        self._expected = ""

    def prepare(self) -> None:
        """There is nothing to wait for."""

    def start(self) -> bytes:
        """The server has to speak."""
        return b""

    def respond(self, token: bytes | None) -> bytes | None:
        """Our proof in answer to the challenge; nothing in answer to the server's. Raises SaslError."""
        if token is None:
            raise SaslError("the server offers no SASL")
        said = parse_directives(token)
        if not self._expected:
            return self._prove(said)
        if not hmac.compare_digest(said.get("rspauth", "").encode(), self._expected.encode()):
            raise SaslError("the server does not know the password")
        self.is_complete = True
        return None

    def _prove(self, challenge: dict[str, str]) -> bytes:
        offered = {quality.strip() for quality in challenge.get("qop", "auth").split(",")}
        if not challenge.get("nonce") or challenge.get("algorithm") != "md5-sess" or "auth" not in offered:
            raise SaslError("the server's challenge is none of DIGEST-MD5 with qop auth")
        said = {
            "username": self._user,
            "realm": challenge.get("realm", ""),
            "nonce": challenge["nonce"],
            "nc": NONCE_COUNT,
            "cnonce": self._nonce,
            "digest-uri": self._uri,
            "qop": "auth",
        }
        self._expected = digest_response(said, self._password, of_server=True)
        quoted = {name: _quoted(said[name]) for name in ("username", "realm", "nonce", "cnonce", "digest-uri")}
        plain = {"nc": NONCE_COUNT, "maxbuf": MAXIMUM_BUFFER, "response": digest_response(said, self._password)}
        pairs = {"charset": "utf-8", **quoted, **plain, "qop": "auth"}
        return ",".join([f"{name}={value}" for name, value in pairs.items()]).encode()
