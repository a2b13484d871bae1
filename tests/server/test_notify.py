"""Readiness, as systemd is told it."""

import socket
from pathlib import Path

from pyzk.server.notify import READY, Listener, Manager

PATIENCE_S = 5.0


def test_the_listener_hears_that_a_server_is_ready() -> None:
    with Listener() as listener:
        manager = Manager({"NOTIFY_SOCKET": listener.path})
        manager.tell("STATUS=loading")
        manager.tell(READY, "STATUS=clients on port 2181")
        assert listener.hear(PATIENCE_S) == ["STATUS=loading"]
        assert listener.hear(PATIENCE_S) == [READY, "STATUS=clients on port 2181"]
        assert listener.hear(0.001) == []


def test_programs_that_a_server_starts_do_not_speak_in_its_name() -> None:
    environ = {"NOTIFY_SOCKET": "/run/systemd/notify", "PATH": "/bin"}
    Manager(environ)
    assert environ == {"PATH": "/bin"}


def test_nobody_listens() -> None:
    Manager({}).tell(READY)
    Manager({"NOTIFY_SOCKET": "/nowhere/notify"}).tell(READY)


def test_a_socket_without_a_file(tmp_path: Path) -> None:
    name = f"{tmp_path}/abstract"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(PATIENCE_S)
        Manager({"NOTIFY_SOCKET": f"@{name}"}).tell(READY)
        assert listener.recv(100) == b"READY=1"
