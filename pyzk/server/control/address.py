"""Where `status` asks: the client port, looked for in the configuration as zkServer.sh looks for it, with its words."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from pyzk.zab.properties import parse_properties

DEFAULT_HOST = "localhost"
Say = Callable[[str], None]


class Address(NamedTuple):
    """Where a server listens for clients."""

    host: str
    port: str
    is_tls: bool = False

    def __str__(self) -> str:
        return f"Client port found: {self.port}. Client address: {self.host}. Client SSL: {str(self.is_tls).lower()}."


def read_values(path: str) -> dict[str, str]:
    """The keys of a configuration file, the last of each. Raises OSError or ConfigError."""
    text = Path(path).read_bytes().decode("latin-1")
    return {entry.key: entry.value for entry in parse_properties(text, path)}


def find_address(values: Mapping[str, str], say: Say) -> Address | None:
    """The port for clients, or else the one with TLS; what was looked for in vain is said."""
    address = _plain(values, say) or _in_server_lines(values, say)
    if address is not None:
        return address
    say("Client port not found. Looking for secureClientPort in the static config.")
    if values.get("secureClientPort"):
        host = values.get("secureClientPortAddress") or DEFAULT_HOST
        return Address(host, values["secureClientPort"], is_tls=True)
    say("Unable to find either secure or unsecure client port in any configs. Terminating.")
    return None


def _plain(values: Mapping[str, str], say: Say) -> Address | None:  # noqa: ARG001 - a place to look, like the other
    port = values.get("clientPort", "")
    return Address(values.get("clientPortAddress") or DEFAULT_HOST, port) if port.isdecimal() else None


def _in_server_lines(values: Mapping[str, str], say: Say) -> Address | None:
    """Behind the semicolon of this server's own line, in the file or in the dynamic one."""
    try:
        server_id = Path(values.get("dataDir", ""), "myid").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        server_id = ""
    if not server_id.isdecimal():
        say("myid could not be determined, will not able to locate clientPort in the server configs.")
        return None
    key = f"server.{server_id}"
    if ";" not in values.get(key, ""):
        say("Client port not found in static config file. Looking in dynamic config file.")
        values = _dynamic(values.get("dynamicConfigFile", ""))
    host, _, port = values.get(key, "").partition(";")[2].rpartition(":")
    if not port:
        say("Client port not found in the server configs")
        return None
    return Address(host.strip("[]") or DEFAULT_HOST, port)


def _dynamic(path: str) -> Mapping[str, str]:
    try:
        return read_values(path)
    except OSError:
        return {}
