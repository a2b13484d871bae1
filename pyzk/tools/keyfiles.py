"""What `pyzk config check` finds in the files with keys and certificates that a configuration names."""

import datetime as dt
import stat
from collections.abc import Iterator
from pathlib import Path

from pyzk.errors import KeyStoreError
from pyzk.server.config import Config
from pyzk.server.config.fields_security import TlsSettings

EXPIRES_SOON = dt.timedelta(days=30)


def check_files(config: Config) -> None:
    """Read them as a server would at its start. Raises ConfigError."""
    # Who has no TLS does not wait for what reads certificates.
    from pyzk.server.tls.contexts import Contexts  # noqa: PLC0415

    for settings, prefix in _in_use(config):
        Contexts(settings, prefix).load()


def of_files(config: Config) -> Iterator[str]:
    """What is insecure about them, one sentence each."""
    if config.path and config.text and _has_password(config) and _is_open(Path(config.path)):
        yield f"{config.path} holds passwords, and others may read it: chmod 600"
    for settings, prefix in _in_use(config):
        location = settings.key_store_location
        assert location is not None, "the configuration is refused without a key store"
        if _is_open(Path(location)):
            yield f"{prefix}keyStore.location={location} can be read by others: chmod 600"
        yield from _dates(settings, location, prefix)


def _in_use(config: Config) -> Iterator[tuple[TlsSettings, str]]:
    if config.has_client_tls:
        yield config.client_tls, "ssl."
    if config.has_quorum_tls or config.has_admin_tls:
        yield config.quorum_tls, "ssl.quorum."


def _has_password(config: Config) -> bool:
    return any("password" in name for name in config.sources)


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _dates(settings: TlsSettings, location: str, prefix: str) -> Iterator[str]:
    from pyzk.server.tls.contexts import store_password  # noqa: PLC0415 - as above
    from pyzk.server.tls.stores import read_store  # noqa: PLC0415

    try:
        certificate = read_store(location, store_password(settings)).chain[0]
    except (KeyStoreError, OSError):
        return  # it was read a moment ago
    left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    if left < dt.timedelta(0):
        yield f"{prefix}keyStore.location={location}: its certificate has expired"
    elif left < EXPIRES_SOON:
        yield f"{prefix}keyStore.location={location}: its certificate expires in {left.days} days"
