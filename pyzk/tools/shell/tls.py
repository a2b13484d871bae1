"""TLS from the properties of a Java client (`-client-configuration FILE`): PEM stores only."""

import ssl

from pyzk.errors import ConfigError
from pyzk.tools.shell.options import CommandError
from pyzk.tools.shell.session import read_file
from pyzk.zab.properties import parse_properties

PREFIX = "zookeeper."
JAVA_STORES = (".jks", ".p12", ".pfx", ".bcfks")


def client_context(path: str) -> ssl.SSLContext | None:
    """The context that a file of properties asks for; None without zookeeper.client.secure=true.

    Raises CommandError.
    """
    try:
        entries = parse_properties(read_file(path), path)
    except ConfigError as error:
        raise CommandError(str(error)) from error
    values = {entry.key.removeprefix(PREFIX): entry.value for entry in entries}
    if values.get("client.secure", "false").lower() != "true":
        return None
    context = ssl.create_default_context()
    context.check_hostname = values.get("ssl.hostnameVerification", "true").lower() == "true"
    trust, key = values.get("ssl.trustStore.location"), values.get("ssl.keyStore.location")
    for name, store in (("ssl.trustStore.location", trust), ("ssl.keyStore.location", key)):
        if store is not None and store.lower().endswith(JAVA_STORES):
            raise CommandError(
                f"{path}: {name}={store} is a Java key store; write a PEM file (openssl pkcs12 makes one)"
            )
    try:
        if trust is not None:
            context.load_verify_locations(trust)
        if key is not None:
            context.load_cert_chain(key, password=values.get("ssl.keyStore.password"))
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"{path}: the PEM files {trust} and {key} cannot be used: {error}") from error
    return context
