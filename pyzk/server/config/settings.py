"""`Config`: everything that an operator can set, as plain typed values, and the table of all keys."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from pyzk.server.config.fields_clients import (
    AccessSettings,
    ConnectionThrottleSettings,
    LimitSettings,
    PortSettings,
    SessionSettings,
)
from pyzk.server.config.fields_ensemble import AgreementSettings, LinkSettings, MembershipSettings
from pyzk.server.config.fields_identity import AuthenticationSettings, QuorumAuthenticationSettings, SaslSettings
from pyzk.server.config.fields_operations import PROVIDERS, AdminSettings, MetricsSettings, ReportSettings
from pyzk.server.config.fields_security import SecurePortSettings, TlsSettings
from pyzk.server.config.fields_storage import ContainerSettings, DirectorySettings, LogSettings, SnapshotSettings
from pyzk.server.config.groups import Settings, settings_of
from pyzk.server.config.kinds import Setting
from pyzk.server.config.without_effect import WITHOUT_EFFECT
from pyzk.zab.membership import Membership
from pyzk.zab.servers import ServerSpec

if TYPE_CHECKING:
    from pyzk.sasl.jaas import LoginModule
    from pyzk.service.provider import AuthProvider

GROUPS: dict[str, type[Settings]] = {
    "Directories": DirectorySettings,
    "Client ports": PortSettings,
    "Sessions": SessionSettings,
    "Log": LogSettings,
    "Snapshots and purge": SnapshotSettings,
    "Containers and TTL znodes": ContainerSettings,
    "Access": AccessSettings,
    "Authentication": AuthenticationSettings,
    "SASL": SaslSettings,
    "Ports with TLS": SecurePortSettings,
    "Limits and request throttle": LimitSettings,
    "Connection throttle": ConnectionThrottleSettings,
    "Membership": MembershipSettings,
    "Links between servers": LinkSettings,
    "Authentication between servers": QuorumAuthenticationSettings,
    "Agreement": AgreementSettings,
    "Operations": AdminSettings,
    "Metrics": MetricsSettings,
    "Server log and audit log": ReportSettings,
}
TLS_GROUPS = {"TLS of the client ports": ("ssl.", "client_tls"), "TLS between servers": ("ssl.quorum.", "quorum_tls")}
"""Title to the prefix of the keys, and the field of `Config` that holds their values."""


class Config(
    DirectorySettings,
    PortSettings,
    SessionSettings,
    LogSettings,
    SnapshotSettings,
    ContainerSettings,
    AccessSettings,
    AuthenticationSettings,
    SaslSettings,
    SecurePortSettings,
    LimitSettings,
    ConnectionThrottleSettings,
    MembershipSettings,
    LinkSettings,
    QuorumAuthenticationSettings,
    AgreementSettings,
    AdminSettings,
    MetricsSettings,
    ReportSettings,
):
    """The configuration of one server. Never changes after start; a reconfiguration makes a new one.

    Args:
        server_id: the number in dataDir/myid; None without one.
        membership: the members of the ensemble.
        auth_providers: the schemes that authProvider.X has brought in.
        foreign_providers: the operator's own, by scheme.
        jaas: the sections of the JAAS file.
        path: of the configuration file; empty without one.
        text: the whole configuration file, for the admin command initial_configuration; empty without a file.
        sources: field name to where it was set (`conf/zoo.cfg:3`); a field that is not there has its default.
        client_tls, quorum_tls: certificates and their checks.
    """

    client_tls: TlsSettings = TlsSettings()
    quorum_tls: TlsSettings = TlsSettings()
    server_id: int | None = None
    membership: Membership = Membership()
    auth_providers: frozenset[str] = frozenset()
    foreign_providers: "Mapping[str, AuthProvider]" = MappingProxyType({})
    jaas: "Mapping[str, LoginModule]" = MappingProxyType({})
    path: str = ""
    text: str = ""
    sources: Mapping[str, str] = MappingProxyType({})

    @property
    def servers(self) -> tuple[ServerSpec, ...]:
        """All members, in the order of their ids."""
        return self.membership.servers

    @property
    def has_prometheus(self) -> bool:
        """Whether there is a port for Prometheus."""
        return PROVIDERS[self.metrics_provider] == "prometheus"

    @property
    def has_client_tls(self) -> bool:
        """Whether a client port speaks TLS."""
        return self.secure_client_port is not None or self.client_port_unification

    @property
    def has_quorum_tls(self) -> bool:
        """Whether the ports for other servers may."""
        return self.ssl_quorum or self.quorum_port_unification

    @property
    def has_admin_tls(self) -> bool:
        """Whether the admin port may."""
        return self.admin_port_unification or self.admin_force_https

    @property
    def has_x509(self) -> bool:
        """Whether ACLs may name clients by their certificates: with TLS for clients, as in Apache."""
        return self.has_client_tls or "x509" in self.auth_providers

    @property
    def is_distributed(self) -> bool:
        """False: this server runs standalone, whatever else is set."""
        voter_count = len(self.membership.voters)
        return voter_count > 1 or (voter_count == 1 and not self.standalone_enabled)


def groups() -> Iterator[tuple[str, list[Setting]]]:
    """Title and rows of each group of settings that `Config` has fields for."""
    for title, settings_class in GROUPS.items():
        yield title, settings_of(settings_class)
    for title, (prefix, part) in TLS_GROUPS.items():
        yield title, settings_of(TlsSettings, prefix, part)


def all_settings() -> Iterator[Setting]:
    """The table: one row for each key (or family of keys) that is known."""
    for _, rows in groups():
        yield from rows
    yield from WITHOUT_EFFECT


_ROWS = {name: row for row in all_settings() for name in (row.name, *row.also) if not row.is_prefix}
_FAMILIES = tuple(row for row in all_settings() if row.is_prefix)
# Keys with a number in them, and how they are written in a suggestion.
NUMBERED_KEYS = ("server.N", "group.N", "weight.N", "authProvider.N")
KNOWN_NAMES = (*_ROWS, *NUMBERED_KEYS)


def bare_name(key: str) -> str:
    """The key without `zookeeper.`: both spellings are the same setting."""
    return key.removeprefix("zookeeper.")


def find_setting(key: str) -> Setting | None:
    """The row of a key, in any of its spellings."""
    name = bare_name(key)
    return _ROWS.get(name) or next((row for row in _FAMILIES if name.startswith(row.name)), None)
