"""What the servers of a run have beside the plain ones, as its extras say: settings, throttles, logins, audit."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from pyzk.errors import AuthFailedError
from pyzk.sasl.digest_md5 import DigestClient, DigestServer
from pyzk.service.audit import SUCCESS, Auditor, AuditRecord
from pyzk.service.authentication import PROVERS, SASL, ensemble_prover
from pyzk.service.outbox import Settings
from pyzk.service.provider import ForeignScheme, foreign_prover
from pyzk.service.throttle import ConnectionThrottle
from pyzk.tree.acl import SCHEMES, SUPER, digest_id
from pyzk.tree.request import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyzk.sasl.mechanism import ClientExchange, ServerExchange
    from pyzk.service.service import Service
    from pyzk.sim.checker import Checker
    from pyzk.sim.world import World
    from pyzk.tree.acl import AccessControl, Identity

SUPER_PASSWORD = b"super:secret"
SUPER_USERS = frozenset({b"user2"})
HOUSE = b"house"
"""An operator's own scheme."""
ENSEMBLE = b"ours"
PASSWORDS = {f"user{number}": f"secret{number}" for number in range(100)}


class HousePass:
    """An operator's own way to know people: by what they say they are, and it does not bear everything."""

    scheme = "house"
    is_authenticated = True

    def prove(self, proof: bytes, address: str) -> Iterable[str]:  # noqa: ARG002
        """`pass:N` is number N."""
        word, _, number = proof.decode().partition(":")
        if word == "nobody":
            raise AuthFailedError("nobody")
        return [number] if word == "pass" else [str(int(word))]

    def is_valid(self, acl_id: str) -> bool:
        """A number; it does not bear anything else."""
        return int(acl_id) >= 0

    def matches(self, identity: str, acl_id: str) -> bool:
        """The very same."""
        return int(identity) == int(acl_id)


def service_settings(world: World) -> Settings:
    """Of every server."""
    extras, tick_ms = world.extras, world.settings.tick_ms
    return Settings(
        tick_ms,
        2 * tick_ms,
        20 * tick_ms,
        outstanding_max=extras.outstanding_max,
        super_digest=digest_id(SUPER_PASSWORD),
        required_schemes=frozenset({SASL}) if extras.login == "required" else frozenset(),
        sasl_failures_allowed=extras.login == "sasl",
        super_users=SUPER_USERS,
        local_sessions=extras.local_sessions,
        local_sessions_upgrade=extras.local_sessions_upgrade,
        watch_bytes_max=20_000 if extras.has_strangers else Settings().watch_bytes_max,
        requests=extras.requests,
        session_weights=extras.weights,
    )


def make_rules(world: World, access: AccessControl) -> Rules:
    """What a leader's writes depend on."""
    return Rules(
        access,
        extended_types_enabled=True,
        enforce_quota=world.extras.has_quotas,
        reconfig_enabled=world.settings.reconfig_enabled,
    )


def make_throttle(world: World) -> ConnectionThrottle | None:
    """Of the connections of a server, if there is one."""
    rates = world.extras.rates
    return ConnectionThrottle(rates, Random(world.rng.getrandbits(32))) if rates is not None else None


def equip(world: World, service: Service) -> None:
    """Give a server what it has beside the plain ones."""
    extras = world.extras
    if extras.rare_share:
        house = HousePass()
        service.access.use({**SCHEMES, HOUSE: ForeignScheme(house, _bear)})
        service.provers = {
            **PROVERS,
            HOUSE: foreign_prover(house, _bear),
            b"ensemble": ensemble_prover(frozenset({ENSEMBLE})),
        }
    if extras.login:
        rng = Random(world.rng.getrandbits(32))
        service.new_exchange = lambda: _server_exchange(rng)
    if extras.is_audited:
        service.audit(Auditor(lambda record: _note(world.checker, record), "sim"))
    if extras.has_operator:
        service.count_namespaces()


def _bear(scheme: str, error: Exception) -> None:
    """What a provider cannot bear is its operator's business."""


def _note(checker: Checker, record: AuditRecord) -> None:
    record.text()
    if record.result == SUCCESS:
        checker.audited[int(record.session, 16)] += 1


def _server_exchange(rng: Random) -> ServerExchange:
    return DigestServer(PASSWORDS.get, f"{rng.getrandbits(64):x}")


def login_of(world: World, number: int, rng: Random) -> Callable[[str], ClientExchange] | None:
    """How a client logs in, sometimes with a wrong password; None if it need not."""
    if not world.extras.login:
        return None
    user = f"user{number}"
    password = "guessed" if rng.random() < 0.1 else PASSWORDS[user]
    return lambda host: DigestClient(user, password, f"{host}{rng.getrandbits(32):x}")


def login_identities(number: int) -> set[Identity]:
    """Who a client is when it has logged in."""
    user = b"user%d" % number
    return {(SASL, user), *([(SUPER, b"")] if user in SUPER_USERS else [])}


def identities_of(scheme: bytes, auth: bytes) -> set[Identity]:
    """Who somebody is that has shown these, if they are taken."""
    if scheme == HOUSE:
        word, _, number = auth.partition(b":")
        return {(HOUSE, number if word == b"pass" else word)}
    if scheme != b"digest":
        return set()
    return {(b"digest", digest_id(auth)), *([(SUPER, b"")] if auth == SUPER_PASSWORD else [])}
