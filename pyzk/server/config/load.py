"""Reads a configuration: file, -D flags, myid, dynamic file; checks what one key cannot tell alone.

Errors and their texts: docs/protocol/configuration.md section 9. What is worth a word but no refusal is returned as
warnings, because logging is set up after the configuration is known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pyzk.errors import ConfigError
from pyzk.server.config.fields_operations import ALL_WORDS_MARK, FOUR_LETTER_WORDS
from pyzk.server.config.fields_security import TlsSettings
from pyzk.server.config.identities import with_identities
from pyzk.server.config.kinds import NO_FALLBACK, TEXT, Setting, Status
from pyzk.server.config.providers import is_python, load_provider
from pyzk.server.config.settings import KNOWN_NAMES, TLS_GROUPS, Config, bare_name, find_setting
from pyzk.server.config.syntax import parse_jvm_flags
from pyzk.service.provider import AuthProvider
from pyzk.zab.entries import ConfigEntry, parse_long, refused
from pyzk.zab.membership import (
    check_dynamic_entries,
    check_membership,
    is_membership_key,
    parse_membership,
    version_of_name,
)
from pyzk.zab.properties import parse_properties
from pyzk.zab.servers import ServerSpec

_PROVIDERS = {
    "DigestAuthenticationProvider": "digest",
    "IPAuthenticationProvider": "ip",
    "SASLAuthenticationProvider": "sasl",
    "X509AuthenticationProvider": "x509",
    "EnsembleAuthenticationProvider": "ensemble",
}
_UNSET_BY_MINUS_ONE = {"minSessionTimeout", "maxSessionTimeout"}
# Without any file: a server to try things with, which nobody else can reach.
_WITHOUT_FILE = {"client_port": 2181, "client_port_address": "127.0.0.1", "admin_enabled": False}


def find_config(environ: Mapping[str, str]) -> str | None:
    """The file to read when none is named: $ZOOCFGDIR/zoo.cfg, /conf/zoo.cfg or ./conf/zoo.cfg, the first there is."""
    folders = [environ["ZOOCFGDIR"]] if environ.get("ZOOCFGDIR") else []
    candidates = (Path(folder, "zoo.cfg") for folder in (*folders, "/conf", "conf"))
    return next((str(path.absolute()) for path in candidates if path.is_file()), None)


def load_config(path: str | None, environ: Mapping[str, str]) -> tuple[Config, list[str]]:
    """The configuration of the file at `path` (None: no file) under the flags of JVMFLAGS and SERVER_JVMFLAGS.

    Returns:
        The configuration, and warnings for the log.

    Raises:
        ConfigError: the server must not start; the text begins with Apache's message.
    """
    return _Loader().load(path, environ)


@dataclass(slots=True)
class _Loader:
    """What has been found so far."""

    warnings: list[str] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    members: list[ConfigEntry] = field(default_factory=list)
    providers: set[str] = field(default_factory=set)
    foreign: dict[str, AuthProvider] = field(default_factory=dict)

    def load(self, path: str | None, environ: Mapping[str, str]) -> tuple[Config, list[str]]:
        flags = _last_of_each(_known_flags(parse_jvm_flags(environ)))
        if path is None:
            self.values |= _WITHOUT_FILE
            text, entries = "", list[ConfigEntry]()
        else:
            self.warn_if_relative("configuration file", path)
            text = _read(path).decode("latin-1")
            entries = parse_properties(text, path)
            self.warn_of_duplicates(entries)
        # Differs from Apache: a -D flag counts for every key, not for Java properties only; the file wins, as there.
        for entry in _last_of_each([*flags, *entries]):
            self.take(entry)
        if path is not None and not self.values.get("data_dir"):
            raise refused("dataDir", "", "dataDir is not set", f"{path}: write dataDir=DIRECTORY")
        values = {
            **_nested(self.values),
            "auth_providers": frozenset(self.providers),
            "foreign_providers": self.foreign,
        }
        config = Config(**values, path=path or "", text=text, sources=self.sources)  # type: ignore[arg-type]
        return self.finish(config), self.warnings

    def take(self, entry: ConfigEntry) -> None:
        """One key, the last line that sets it."""
        name = bare_name(entry.key)
        row = find_setting(entry.key)
        if is_membership_key(name):
            self.members.append(ConfigEntry(name, entry.value, entry.source))
        elif name.startswith("authProvider."):
            self.take_scheme(entry)
        elif row is None:
            self.warnings.append(_unknown(entry))
        elif row.kind is TEXT and not entry.value:
            self.warnings.append(f"{entry.source}: {entry.key} is empty and counts as not set")
        elif row.is_prefix and row.field:
            self.take_one_of(row, entry)
        else:
            self.take_value(row, entry)

    def take_value(self, row: Setting, entry: ConfigEntry) -> None:
        value = self.parse(row, entry)
        is_unset = row.name in _UNSET_BY_MINUS_ONE and value == -1
        if row.field and not is_unset:
            self.values[row.field] = value
            self.sources[row.field] = entry.source
        if row.status is Status.IGNORED:
            self.warnings.append(f"{entry.source}: {entry.key} is known and has no effect here")
        elif row.status is Status.REFUSED and value:
            message = f"{entry.key} is not supported"
            raise refused(entry.key, entry.value, message, f"{entry.source}: pyzk cannot protect what this asks for")

    def take_one_of(self, row: Setting, entry: ConfigEntry) -> None:
        """One key of a family: the field has the values by what follows the prefix."""
        name = bare_name(entry.key).removeprefix(row.name)
        known = cast("dict[str, object]", self.values.get(row.field, {}))
        self.values[row.field] = {**known, name: self.parse(row, entry)}
        self.sources[row.field] = entry.source

    def parse(self, row: Setting, entry: ConfigEntry) -> object:
        if row.kind is None:
            return entry.value
        try:
            return row.parse(entry.value, entry.source)
        except ConfigError as error:
            if row.fallback is NO_FALLBACK:
                raise
            self.warnings.append(f"{error}; it counts as {row.fallback}")
            return row.fallback

    def take_scheme(self, entry: ConfigEntry) -> None:
        """authProvider.X=CLASS."""
        provider = entry.value.rpartition(".")[2]
        if provider in _PROVIDERS:
            self.providers.add(_PROVIDERS[provider])
        elif is_python(entry.value):
            loaded = load_provider(entry)
            self.foreign[loaded.scheme] = loaded
        else:
            self.warnings.append(f"{entry.source}: {entry.key}={entry.value} is no known scheme and is skipped")

    def finish(self, config: Config) -> Config:
        """Checks and completes what depends on several keys or on other files."""
        _check_keys(config)
        for name in ("dataDir", "dataLogDir"):
            row = find_setting(name)
            assert row is not None, name
            if row.field in config.sources:
                self.warn_if_relative(name, str(row.value_in(config)))
        config = self.with_words(config)
        config = with_identities(config, self.warnings)
        config = self.with_membership(config)
        config = config.evolve(server_id=_read_server_id(config.data_dir))
        if config.is_distributed:
            _check_distributed(config)
        return self.with_own_entry(config)

    def with_words(self, config: Config) -> Config:
        words = config.four_letter_whitelist
        for word in sorted(words - FOUR_LETTER_WORDS - {ALL_WORDS_MARK}):
            self.warnings.append(
                f"4lw.commands.whitelist: there is no word {word}{_suggestion(word, FOUR_LETTER_WORDS)}"
            )
        always = {"srvr", "isro"} if config.read_only_mode_enabled else {"srvr"}
        everything = FOUR_LETTER_WORDS if ALL_WORDS_MARK in words else frozenset[str]()
        return config.evolve(four_letter_whitelist=words | always | everything)

    def with_membership(self, config: Config) -> Config:
        path = config.dynamic_config_file
        if path is None:
            entries, version = self.members, 0
        else:
            for entry in self.members:
                message = f"parameter: {entry.key} must be in a separate dynamic config file"
                raise refused(entry.key, entry.value, message, f"{entry.source}: move it to {path}")
            self.warn_if_relative("dynamicConfigFile", path)
            entries, version = parse_properties(_read(path).decode("latin-1"), path), version_of_name(Path(path).name)
            check_dynamic_entries(entries)
        membership = parse_membership(entries, multi_address_enabled=config.multi_address_enabled, version=version)
        self.warnings += check_membership(membership, standalone_enabled=config.standalone_enabled)
        return config.evolve(membership=membership)

    def with_own_entry(self, config: Config) -> Config:
        """Role and client address out of this server's own line."""
        own = _own_entry(config)
        if own is None:
            return self.checked_port(config)
        if own.role != config.peer_type and "peer_type" in config.sources:
            self.warnings.append(
                f"Peer type from servers list ({own.role.upper()}) doesn't match peerType "
                f"({config.peer_type.upper()}). Defaulting to servers list."
            )
        config = config.evolve(peer_type=own.role)
        if own.client is not None:
            _check_client_address(config, own.client)
            config = config.evolve(client_port_address=own.client[0], client_port=own.client[1])
        return self.checked_port(config)

    def checked_port(self, config: Config) -> Config:
        if config.client_port is None and config.secure_client_port is None:
            self.warnings.append("clientPort is not set: this server listens for no clients")
        return config

    def warn_if_relative(self, name: str, path: str) -> None:
        if not Path(path).is_absolute() and not path.startswith(("./", "../")):
            self.warnings.append(f"{path} is relative. Prepend ./ to indicate that you're sure! ({name})")

    def warn_of_duplicates(self, entries: list[ConfigEntry]) -> None:
        seen: dict[str, ConfigEntry] = {}
        for entry in entries:
            name = _identity(entry)
            if name in seen:
                self.warnings.append(f"{entry.source}: {entry.key} replaces the line at {seen[name].source}")
            seen[name] = entry


def _nested(values: Mapping[str, object]) -> dict[str, object]:
    """Fields by name, those of a part (`client_tls.protocol`) put together."""
    parts: dict[str, dict[str, object]] = {part: {} for _, part in TLS_GROUPS.values()}
    fields: dict[str, object] = {}
    for name, value in values.items():
        part, dot, inner = name.partition(".")
        (parts[part] if dot else fields)[inner if dot else name] = value
    return {**fields, **{part: TlsSettings(**inner) for part, inner in parts.items()}}  # type: ignore[arg-type]


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise refused("configuration file", path, f"{path} file is missing", "name a file that exists") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise refused("configuration file", path, f"Error processing {path}", f"it cannot be read: {error}") from error


def _known_flags(flags: Iterable[ConfigEntry]) -> list[ConfigEntry]:
    """Flags that speak to ZooKeeper: a name without its prefix is one only when it is a setting."""
    return [flag for flag in flags if flag.key.startswith("zookeeper.") or find_setting(flag.key) is not None]


def _identity(entry: ConfigEntry) -> str:
    row = find_setting(entry.key)
    return row.name if row is not None and not row.is_prefix else bare_name(entry.key)


def _last_of_each(entries: Iterable[ConfigEntry]) -> list[ConfigEntry]:
    return list({_identity(entry): entry for entry in entries}.values())


def _unknown(entry: ConfigEntry) -> str:
    suggestion = _suggestion(bare_name(entry.key), KNOWN_NAMES)
    return f"{entry.source}: {entry.key} is no known setting and has no effect{suggestion}"


def _suggestion(word: str, known: Iterable[str]) -> str:
    """Case is the commonest slip, so names are compared without it."""
    import difflib  # noqa: PLC0415 - nothing is misspelt most of the time

    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.75)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""


def _check_keys(config: Config) -> None:
    if config.tick_time_ms == 0:
        raise refused("tickTime", 0, "tickTime is not set", "write a number of milliseconds, for example tickTime=2000")
    if config.min_session_timeout_ms > config.max_session_timeout_ms:
        message = "minSessionTimeout must not be larger than maxSessionTimeout"
        remedy = f"maxSessionTimeout is {config.max_session_timeout_ms} ms (20 ticks unless set)"
        raise refused("minSessionTimeout", config.min_session_timeout_ms, message, remedy)
    if config.client_port is None and config.client_port_address is not None:
        message = "clientPortAddress is set but clientPort is not set"
        raise refused("clientPortAddress", config.client_port_address, message, "write clientPort=2181 too")
    _check_tls(config)


def _check_tls(config: Config) -> None:
    """Apache starts without a key store, and then every handshake fails."""
    if config.secure_client_port is None and config.secure_client_port_address is not None:
        message = "secureClientPortAddress is set but secureClientPort is not set"
        raise refused(
            "secureClientPortAddress", config.secure_client_port_address, message, "write secureClientPort=2281"
        )
    wanted = (
        ("ssl.", config.client_tls, config.has_client_tls),
        ("ssl.quorum.", config.quorum_tls, config.has_quorum_tls or config.has_admin_tls),
    )
    for prefix, settings, is_wanted in wanted:
        if is_wanted and settings.key_store_location is None:
            message = f"Keystore is required for SSL server: {prefix}keyStore.location"
            raise refused(
                f"{prefix}keyStore.location", "", message, "name a file with key and certificate; pyzk certs makes one"
            )
        if settings.crl and settings.crl_file is None:
            message = f"{prefix}crl=true, and there are no lists of revoked certificates"
            raise refused(f"{prefix}crl", "true", message, f"write {prefix}crlFile=FILE: lists are not fetched")


def _check_distributed(config: Config) -> None:
    for name, value in (("initLimit", config.init_limit_ticks), ("syncLimit", config.sync_limit_ticks)):
        if value == 0:
            raise refused(name, 0, f"{name} is not set", f"write a number of ticks, for example {name}=5")
    if config.server_id is None:
        remedy = f"write this server's number to {Path(config.data_dir, 'myid')}"
        raise refused("myid", "", "myid file is missing", remedy)
    if config.membership.find(config.server_id) is None:
        known = ", ".join(str(server.server_id) for server in config.servers)
        message = f"My id {config.server_id} not in the peer list"
        remedy = f"{Path(config.data_dir, 'myid')}: the list has {known}; add server.{config.server_id} or mend myid"
        raise refused("myid", config.server_id, message, remedy)


def _read_server_id(data_dir: str) -> int | None:
    """The first line of dataDir/myid, not trimmed: Apache refuses a trailing blank, so its files have none."""
    path = Path(data_dir, "myid")
    try:
        if not path.is_file():
            return None
    except OSError as error:
        message = f"dataDir is no directory: {error.strerror}"
        raise refused("dataDir", data_dir, message, "write the path of a directory") from error
    lines = _read(str(path)).decode("utf-8", "replace").splitlines()
    text = lines[0] if lines else ""
    try:
        return parse_long(text)
    except ValueError as error:
        message = f"serverid {text} is not a number"
        raise refused("myid", text, message, f"{path}: write digits and nothing else") from error


def _own_entry(config: Config) -> ServerSpec | None:
    """This server's line; a lone server needs no myid to find it."""
    if config.server_id is None and len(config.servers) == 1:
        return config.servers[0]
    return config.membership.find(config.server_id)


def _check_client_address(config: Config, own: tuple[str, int]) -> None:
    """The clientPort and the client part of the server's own line must not say different things."""
    if config.client_port is None:
        return
    address = config.client_port_address
    is_same_host = address is None or address == own[0]
    if config.client_port != own[1] or not is_same_host:
        static = f"{address or '0.0.0.0/0.0.0.0'}:{config.client_port}"
        message = (
            f"client address for this server (id = {config.server_id}) in static config file is {static} "
            f"is different from client address found in dynamic file: /{own[0]}:{own[1]}"
        )
        raise refused("clientPort", config.client_port, message, "remove clientPort, or make both the same")
