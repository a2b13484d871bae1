"""What Java's client takes from its properties: a file (`-client-configuration FILE`), or -D flags in the environment.

The keys of SASL are Java's: java.security.auth.login.config, zookeeper.sasl.client, zookeeper.sasl.clientconfig.
"""

from collections.abc import Mapping

from pyzk.client.aio_login import CLIENT_SECTION, Login, jaas_login
from pyzk.errors import ConfigError, SaslError
from pyzk.tools.shell.options import CommandError
from pyzk.tools.shell.session import read_file

PREFIX = "zookeeper."
FLAG_VARIABLES = ("CLIENT_JVMFLAGS", "JVMFLAGS")


def client_properties(path: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Values by key without `zookeeper.`; the file wins. Raises CommandError."""
    if not path and not any(environ.get(variable) for variable in FLAG_VARIABLES):
        return {}
    # Who has none of these does not wait for the settings of a server.
    from pyzk.server.config.syntax import parse_jvm_flags  # noqa: PLC0415
    from pyzk.zab.properties import parse_properties  # noqa: PLC0415

    try:
        flags = parse_jvm_flags(environ, FLAG_VARIABLES)
        entries = parse_properties(read_file(path), path) if path else []
    except ConfigError as error:
        raise CommandError(str(error)) from error
    return {entry.key.removeprefix(PREFIX): entry.value for entry in [*flags, *entries]}


def client_login(values: Mapping[str, str]) -> Login | None:
    """How to log in by SASL; None without a JAAS file, or where SASL is switched off. Raises CommandError."""
    path = values.get("java.security.auth.login.config")
    if path is None or values.get("sasl.client", "true").lower() != "true":
        return None
    try:
        return jaas_login(path, values.get("sasl.clientconfig", CLIENT_SECTION))
    except SaslError as error:
        raise CommandError(str(error)) from error
