"""How sessions are opened: the servers, and what pyzk-cli has for TLS, SASL and digest identities."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from pyzk.client.aio import Client
from pyzk.tools.output import ToolError
from pyzk.tools.shell.properties import client_login, client_properties
from pyzk.tools.shell.tls import client_context


@dataclass(frozen=True, slots=True)
class Access:
    """What another process needs to open sessions too."""

    hosts: str
    timeout_ms: int
    client_configuration: str = ""
    user: str = ""
    password: str = field(default="", repr=False)


class Opener:
    """Opens sessions. Raises CommandError for a file of properties that cannot be used."""

    def __init__(self, access: Access) -> None:
        self.access = access
        properties = client_properties(access.client_configuration, os.environ)
        self.ssl = client_context(properties)
        self._login = client_login(properties)

    async def open(self) -> Client:
        """A session that is established. Raises ConnectionLostError, AuthFailedError."""
        access = self.access
        client = Client(access.hosts, timeout_ms=access.timeout_ms, ssl=self.ssl, login=self._login)
        await client.start()
        if access.user:
            await client.add_auth("digest", f"{access.user}:{access.password}".encode())
        return client


def read_password(path: str) -> str:
    """The first line of a file. Raises ToolError."""
    try:
        return Path(path).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, ValueError) as error:
        raise ToolError(f"--password-file {path} cannot be read: {error}") from error
