"""TLS from the properties of a Java client: `zookeeper.client.secure`, and the `ssl.` keys that a server has too."""

import ssl
from collections.abc import Mapping

from pyzk.errors import ConfigError
from pyzk.tools.shell.options import CommandError

PREFIX = "ssl."


def client_context(properties: Mapping[str, str]) -> ssl.SSLContext | None:
    """The context that properties ask for, as `client_properties` has them; None without client.secure=true.

    Raises CommandError.
    """
    if properties.get("client.secure", "false").lower() != "true":
        return None
    # Who has no TLS does not wait for what reads certificates.
    from pyzk.server.config.fields_security import TlsSettings  # noqa: PLC0415
    from pyzk.server.config.groups import settings_of  # noqa: PLC0415
    from pyzk.server.tls.contexts import Contexts  # noqa: PLC0415

    rows = {row.name: row for row in settings_of(TlsSettings, PREFIX)}
    try:
        values = {rows[key].field: rows[key].parse(text, key) for key, text in properties.items() if key in rows}
        return Contexts(TlsSettings(**values), PREFIX).client_context()  # type: ignore[arg-type]
    except ConfigError as error:
        raise CommandError(str(error)) from error
