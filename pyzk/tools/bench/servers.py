"""Who the load is put on: what each server of the connection string says of itself."""

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from ssl import SSLContext

from pyzk.client.hosts import Address, parse_hosts
from pyzk.tools.top.words import NOT_LISTED, NOT_SERVING, ask

VERSION_LINE = "Zookeeper version: "
MODE_LINE = "Mode: "


@dataclass(frozen=True, slots=True)
class Server:
    """A server: `mode` and `version` as srvr has them, or why there is none."""

    address: str
    mode: str = ""
    version: str = ""
    problem: str = ""
    is_here: bool = False
    """On the machine of the generator, whose cores it shares."""


async def ask_servers(hosts: str, ssl: SSLContext | None) -> Sequence[Server]:
    """Ask all servers at once."""
    return await asyncio.gather(*(_ask(address, ssl) for address in parse_hosts(hosts)[0]))


async def _ask(address: Address, ssl: SSLContext | None) -> Server:
    host, port = address
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        answer = await ask(address, "srvr", ssl)
    except TimeoutError:
        return Server(name, problem="does not answer srvr in time", is_here=_is_here(host))
    except OSError as error:
        return Server(name, problem=error.strerror or str(error), is_here=_is_here(host))
    return read_srvr(name, answer, is_here=_is_here(host))


def read_srvr(name: str, answer: str, *, is_here: bool = False) -> Server:
    """Mode and version from the answer to srvr."""
    if NOT_LISTED in answer:
        return Server(name, problem="srvr is not in its 4lw.commands.whitelist", is_here=is_here)
    if NOT_SERVING in answer:
        return Server(name, problem="not serving: no quorum, or it is starting", is_here=is_here)
    lines = answer.splitlines()
    version = next((line.removeprefix(VERSION_LINE) for line in lines if line.startswith(VERSION_LINE)), "")
    mode = next((line.removeprefix(MODE_LINE) for line in lines if line.startswith(MODE_LINE)), "")
    problem = "" if mode else "srvr is not understood: is it a ZooKeeper server?"
    return Server(name, mode, version.partition(",")[0], problem, is_here)


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
