"""The Java client of Apache 3.9.5, driven by java/Conversation.java, with a relay to cut its connection."""

import argparse
import subprocess
import tempfile
from pathlib import Path

from tests.integration.processes import ServerProcess, free_port
from tests.interop.apache import JVM_FLAGS, class_path, need
from tests.interop.relay import Relay
from tests.interop.results import Result
from tests.interop.transcript import run_client

PROGRAM = Path(__file__).parent / "java" / "Conversation.java"
TIMEOUT_S = 120


def run(options: argparse.Namespace) -> list[Result]:
    java, javac, jars = need("java"), need("javac"), class_path("3.9")
    with tempfile.TemporaryDirectory(prefix="interop-java-") as classes:
        subprocess.run([javac, "-cp", jars, "-d", classes, str(PROGRAM)], check=True, timeout=TIMEOUT_S)

        def talk(server: ServerProcess) -> str:
            command = [java, *JVM_FLAGS, "-cp", f"{classes}:{jars}", "Conversation", server.hosts]
            return converse(command, server)

        return run_client("java-client", talk, options)


def converse(command: list[str], server: ServerProcess) -> str:
    """Run the program and do to the relay what it asks for: "relay: down" and "relay: up"."""
    relay = Relay(server.port, free_port()).__enter__()
    lines = []
    with subprocess.Popen(
        [*command, f"127.0.0.1:{relay.port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("relay: "):
                if line.strip() == "relay: down":
                    relay.__exit__()
                else:
                    relay = Relay(server.port, relay.port).__enter__()
                process.stdin.write("done\n")
                process.stdin.flush()
    relay.__exit__()
    return "\n".join([*lines, "== exit", str(process.returncode)])
