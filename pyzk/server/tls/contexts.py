"""Contexts of TLS out of the settings, and new ones when the files have changed.

A context in use is never altered: handshakes that come take the new one, connections that are there stay.
Source: docs/protocol/configuration.md section 7.
"""

import asyncio
import os
import secrets
import ssl
import tempfile
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.serialization import Encoding

from pyzk.errors import ConfigError, KeyStoreError
from pyzk.server.config.fields_security import TlsSettings
from pyzk.server.tls import ciphers
from pyzk.server.tls.stores import Store, read_store, sealed_pem

log = structlog.get_logger()

WATCH_SECONDS = 1.0
"""How often the files are looked at."""
CLIENT_AUTH = {"none": ssl.CERT_NONE, "want": ssl.CERT_OPTIONAL, "need": ssl.CERT_REQUIRED}


class Contexts:
    """The contexts of one kind of links: clients', or those between servers.

    Args:
        settings: where the files are, and what is checked.
        prefix: of their keys in zoo.cfg, for errors.

    Attributes:
        accepting: for those who connect.
        dialing: for those that are dialed; None where nobody is.
    """

    def __init__(self, settings: TlsSettings, prefix: str, *, dials: bool = False) -> None:
        self.settings = settings
        self.prefix = prefix
        self._dials = dials
        self._seen: tuple[object, ...] = ()
        self.accepting: ssl.SSLContext
        self.dialing: ssl.SSLContext | None = None

    def load(self) -> None:
        """Read the files. Raises ConfigError, and then all is as it was."""
        self._seen = self._state_of_files()
        key, trust = self._read("keyStore"), self._read("trustStore")
        assert key is not None, "the configuration is refused without a key store"
        accepting = self._make(ssl.PROTOCOL_TLS_SERVER, key, trust)
        accepting.verify_mode = CLIENT_AUTH[self.settings.client_auth]
        if self._dials:
            self.dialing = self._make(ssl.PROTOCOL_TLS_CLIENT, key, trust)
        self.accepting = accepting

    def client_context(self) -> ssl.SSLContext:
        """What a client needs: with a certificate or without one, and with the host checked. Raises ConfigError."""
        context = self._make(ssl.PROTOCOL_TLS_CLIENT, self._read("keyStore"), self._read("trustStore"))
        context.check_hostname = self.settings.hostname_verification
        return context

    def _make(self, protocol: int, key: Store | None, trust: Store | None) -> ssl.SSLContext:
        settings = self.settings
        context = ssl.SSLContext(protocol)
        # Hosts are compared by `names.py`: OpenSSL knows neither the server list nor who has dialed.
        context.check_hostname = False
        versions = sorted(ciphers.VERSIONS[name] for name in ciphers.versions_of(settings))
        context.minimum_version, context.maximum_version = versions[0], versions[-1]
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
        # As Java: whoever is in the trust store is trusted, whether somebody vouches for him or not.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self._choose_ciphers(context)
        if key is not None:
            self._load_key(context, key)
        self._load_trust(context, trust)
        if settings.crl:
            self._load_revoked(context)
        return context

    def _choose_ciphers(self, context: ssl.SSLContext) -> None:
        suites = self.settings.cipher_suites
        if not suites:
            context.set_ciphers(ciphers.DEFAULT)
            return
        try:
            unknown = ciphers.choose(context, suites)
        except ssl.SSLError as error:
            raise self._refusal("ciphersuites", ",".join(suites), "OpenSSL has none of them") from error
        if unknown:
            log.warning("cipher_suites_unknown", setting=f"{self.prefix}ciphersuites", suites=unknown)

    def _load_key(self, context: ssl.SSLContext, key: Store) -> None:
        """OpenSSL takes a key from a file only; there it is under a password that nobody is told."""
        location, password = self.settings.key_store_location, secrets.token_hex()
        try:
            with tempfile.NamedTemporaryFile(suffix=".pem") as file:
                file.write(sealed_pem(key, password.encode()))
                file.flush()
                context.load_cert_chain(file.name, password=password)
        except (KeyStoreError, ssl.SSLError) as error:
            raise self._refusal("keyStore.location", location, f"{location}: {error}") from error

    def _load_trust(self, context: ssl.SSLContext, trust: Store | None) -> None:
        if trust is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
            return
        certificates = trust.trusted or trust.chain
        if not certificates:
            location = self.settings.trust_store_location
            raise self._refusal("trustStore.location", location, f"{location} holds no certificate")
        encoded = {certificate.public_bytes(Encoding.DER) for certificate in certificates}
        context.load_verify_locations(cadata=b"".join(encoded))

    def _load_revoked(self, context: ssl.SSLContext) -> None:
        location = self.settings.crl_file
        try:
            context.load_verify_locations(location)
        except (OSError, ssl.SSLError) as error:
            raise self._refusal("crlFile", location, f"{location} cannot be used: {error}") from error
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF

    def _read(self, kind: str) -> Store | None:
        """The key store or the trust store; None if there is none."""
        settings = self.settings
        if kind == "keyStore":
            location, password = settings.key_store_location, settings.key_store_password
            password_path, type_name = settings.key_store_password_path, settings.key_store_type
        else:
            location, password = settings.trust_store_location, settings.trust_store_password
            password_path, type_name = settings.trust_store_password_path, settings.trust_store_type
        if location is None:
            return None
        if type_name == "bcfks":
            raise self._refusal(f"{kind}.type", type_name, "BCFKS is not read: write a PEM or PKCS12 file")
        try:
            return read_store(location, password if password_path is None else _first_line(password_path))
        except OSError as error:
            raise self._refusal(f"{kind}.passwordPath", password_path, f"it cannot be read: {error}") from error
        except KeyStoreError as error:
            raise self._refusal(f"{kind}.location", location, str(error)) from error

    def _refusal(self, name: str, value: object, remedy: str) -> ConfigError:
        return ConfigError(self.prefix + name, value, f"{self.prefix}{name}: {remedy}")

    # Files that change.

    def _state_of_files(self) -> tuple[object, ...]:
        settings = self.settings
        paths = (
            *(settings.key_store_location, settings.key_store_password_path),
            *(settings.trust_store_location, settings.trust_store_password_path, settings.crl_file),
        )
        return tuple(_state_of(path) for path in paths if path is not None)

    async def reload(self) -> None:
        """Read the files again, in a thread; if they cannot be used, all stays as it is."""
        try:
            await asyncio.to_thread(self.load)
        except ConfigError as error:
            log.error("certificates_not_reloaded", error=str(error))  # noqa: TRY400 - its message says it all
        else:
            log.info("certificates_reloaded", key_store=self.settings.key_store_location)

    async def watch(self) -> None:
        """Read the files again whenever they change, for ever."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._state_of_files() != self._seen:
                await self.reload()


def store_password(settings: TlsSettings) -> str:
    """Of the key store. Raises OSError."""
    path = settings.key_store_password_path
    return settings.key_store_password if path is None else _first_line(path)


def _first_line(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")


def _state_of(path: str) -> tuple[int, int, int] | None:
    """What tells one version of a file from the next."""
    try:
        state = os.stat(path)  # noqa: PTH116 - once a second, and no Path is needed
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino
