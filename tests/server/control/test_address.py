"""Where `status` asks, and what it says while it looks (docs/protocol/operations.md section 5)."""

from pathlib import Path

from pyzk.server.control.address import Address, find_address, read_values

WITHOUT_ID = "myid could not be determined, will not able to locate clientPort in the server configs."
IN_DYNAMIC_FILE = "Client port not found in static config file. Looking in dynamic config file."
NO_SERVER_LINE = "Client port not found in the server configs"
LOOKS_FOR_TLS = "Client port not found. Looking for secureClientPort in the static config."
NOTHING = "Unable to find either secure or unsecure client port in any configs. Terminating."


def search(**values: str) -> tuple[Address | None, list[str]]:
    said: list[str] = []
    return find_address({key.replace("_", "."): value for key, value in values.items()}, said.append), said


def folder_of(server: int, path: Path) -> str:
    (path / "myid").write_text(f"{server}\n")
    return str(path)


def test_the_client_port_comes_first() -> None:
    assert search(clientPort="2181", secureClientPort="2281") == (Address("localhost", "2181"), [])
    assert search(clientPort="2181", clientPortAddress="10.0.0.1") == (Address("10.0.0.1", "2181"), [])


def test_then_the_server_s_own_line(tmp_path: Path) -> None:
    data = folder_of(2, tmp_path)
    assert search(dataDir=data, server_2="h:1:2;2182", server_1="h:1:2;2181") == (Address("localhost", "2182"), [])
    assert search(dataDir=data, server_2="h:1:2:observer;10.0.0.1:2182") == (Address("10.0.0.1", "2182"), [])
    assert search(dataDir=data, server_2="h:1:2;[::1]:2182") == (Address("::1", "2182"), [])


def test_then_its_line_in_the_dynamic_file(tmp_path: Path) -> None:
    dynamic = tmp_path / "zoo.cfg.dynamic"
    dynamic.write_text("server.1=h:1:2:participant;0.0.0.0:2183\n")
    found = search(dataDir=folder_of(1, tmp_path), dynamicConfigFile=str(dynamic))
    assert found == (Address("0.0.0.0", "2183"), [IN_DYNAMIC_FILE])


def test_then_the_port_with_tls(tmp_path: Path) -> None:
    assert search(secureClientPort="2281") == (
        Address("localhost", "2281", is_tls=True),
        [WITHOUT_ID, LOOKS_FOR_TLS],
    )
    address, said = search(dataDir=folder_of(1, tmp_path), secureClientPort="2281", secureClientPortAddress="::1")
    assert address == Address("::1", "2281", is_tls=True)
    assert said == [IN_DYNAMIC_FILE, NO_SERVER_LINE, LOOKS_FOR_TLS]
    assert str(address) == "Client port found: 2281. Client address: ::1. Client SSL: true."


def test_nothing_is_said_to_be_nothing() -> None:
    assert search() == (None, [WITHOUT_ID, LOOKS_FOR_TLS, NOTHING])


def test_keys_are_read_as_the_server_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "zoo.cfg"
    path.write_text("# comment\n  clientPort : 2181\nclientPort=2182\ndataDir=/a\\\n  b\n")
    assert read_values(str(path)) == {"clientPort": "2182", "dataDir": "/ab"}
