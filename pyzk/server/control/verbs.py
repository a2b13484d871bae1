"""`pyzk-server VERB --config FILE`: the verbs of zkServer.sh, with its words and exit codes.

Apache's script says `Using config: FILE` on standard error and everything else on standard output; so do we.
"""

import argparse
import os
import pwd
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pyzk import VERSION_WORD
from pyzk.errors import ConfigError
from pyzk.server.config import find_config, load_config
from pyzk.server.control import VERBS, process
from pyzk.server.control.address import Address, find_address, read_values

EXIT_OK, EXIT_FAILED = 0, 1
ANSWER_SECONDS = 5.0
TAIL_LINES = 3


class Site(NamedTuple):
    """What the configuration and the environment say about one server."""

    config: str
    values: Mapping[str, str]
    pid_file: Path
    output: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    options = _parser().parse_args(arguments)
    if options.verb == "version":
        return version()
    path = options.config or find_config(os.environ)
    if path is None:
        return _refuse("no configuration: name it with --config, or in $ZOOCFGDIR")
    _note(f"Using config: {path}")
    try:
        site = _site(path)
        _require_directories(options.verb, site)
        return ACTIONS[options.verb](site)
    except (ConfigError, OSError) as error:
        return _refuse(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyzk-server VERB", description="Starts, stops and asks a server, as Apache's zkServer.sh."
    )
    parser.add_argument("verb", choices=[*VERBS, "version"])
    parser.add_argument("--config", metavar="FILE", help="zoo.cfg (default: as for pyzk-server)")
    return parser


def _site(path: str) -> Site:
    """Where things are. Raises ConfigError or OSError."""
    values = read_values(path)
    data = values.get("dataDir")
    if not data:
        raise ConfigError("dataDir", "", f"dataDir is not set: {path}: write dataDir=DIRECTORY")
    pid_file = Path(os.environ.get("ZOOPIDFILE") or Path(data, "zookeeper_server.pid"))
    folder = Path(os.environ.get("ZOO_LOG_DIR") or data)
    return Site(path, values, pid_file, folder / f"zookeeper-{_user()}-server-{socket.gethostname()}.out")


def _user() -> str:
    """Also where the environment is empty, and where the user has no name."""
    try:
        return os.environ.get("USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _require_directories(verb: str, site: Site) -> None:
    """Nothing is made where ZOO_DATADIR_AUTOCREATE_DISABLE is set. Raises OSError."""
    if verb not in {"start", "start-foreground", "restart"} or not os.environ.get("ZOO_DATADIR_AUTOCREATE_DISABLE"):
        return
    os.environ["JVMFLAGS"] = f"{os.environ.get('JVMFLAGS', '')} -Dzookeeper.datadir.autocreate=false"
    data = site.values["dataDir"]
    for what, folder in (("data", data), ("txnlog", site.values.get("dataLogDir") or data)):
        if not Path(folder, "version-2").is_dir():
            raise FileNotFoundError(f"ZooKeeper {what} directory is missing at {folder} fix the path or run initialize")


# The verbs.


def start(site: Site) -> int:
    """In the background."""
    _say("Starting zookeeper ... ", end="")
    pid = process.running(site.pid_file)
    if pid is not None:
        _say(f"already running as process {pid}.")
        return EXIT_FAILED
    try:
        for folder in (site.pid_file.parent, site.output.parent):
            folder.mkdir(parents=True, exist_ok=True)
        before = site.output.stat().st_size if site.output.exists() else 0
        server = process.launch(process.command(site.config), site.output, site.pid_file)
    except OSError as error:
        _say("FAILED TO WRITE PID" if error.filename == str(site.pid_file) else "SERVER DID NOT START")
        return _refuse(str(error))
    if server.poll() is None:
        server.returncode = EXIT_OK  # it is for nobody to wait for
        _say("STARTED")
        return EXIT_OK
    _say("FAILED TO START")
    return _refuse(_tail(site.output, before))


def start_foreground(site: Site) -> int:
    """In place of this process, or below it where ZOO_NOEXEC is set."""
    words = process.command(site.config)
    if not os.environ.get("ZOO_NOEXEC"):
        sys.stdout.flush()
        os.execv(words[0], words)  # noqa: S606 - this interpreter
    return subprocess.call(words)  # noqa: S603 - same


def stop(site: Site) -> int:
    """And wait for the end.

    Differs from Apache: STOPPED is said when the process has ended, not a second after it was asked to.
    """
    _say("Stopping zookeeper ... ", end="")
    if not site.pid_file.exists():
        _say(f"no zookeeper to stop (could not find file {site.pid_file})")
        return EXIT_OK
    pid = process.running(site.pid_file)
    if pid is not None and not process.terminate(pid):
        _say(f"STILL RUNNING AS PROCESS {pid}")
        return EXIT_FAILED
    site.pid_file.unlink(missing_ok=True)
    _say("STOPPED")
    return EXIT_OK


def restart(site: Site) -> int:
    """One after the other."""
    return stop(site) or start(site)


def reload(site: Site) -> int:
    """Have the server read its configuration again; Apache's script has no such verb."""
    _say("Reloading zookeeper ... ", end="")
    pid = process.running(site.pid_file)
    if pid is None:
        _say(f"no zookeeper to reload (could not find its process in {site.pid_file})")
        return EXIT_FAILED
    os.kill(pid, signal.SIGHUP)
    _say("ASKED")
    return EXIT_OK


def status(site: Site) -> int:
    """The server's mode."""
    address = find_address(site.values, _say)
    if address is None:
        return EXIT_FAILED
    _say(str(address))
    mode = _mode(site.config, address)
    if mode:
        _say(mode)
        return EXIT_OK
    if address.is_tls:
        _say(
            f"\nNote: secureClientPort ({address.port}) was asked with the server's own certificate. A server that does"
        )
        _say("  not trust itself refuses that: ask it with pyzk-cli and -client-configuration, or set clientPort.\n")
    _say("Error contacting service. It is probably not running.")
    return EXIT_FAILED


def _mode(config: str, address: Address) -> str:
    """The line of the word srvr that says it; empty when nobody answers."""
    try:
        with socket.create_connection((address.host, int(address.port)), ANSWER_SECONDS) as plain:
            connection = _encrypted(plain, config) if address.is_tls else plain
            connection.sendall(b"srvr")
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    except OSError:
        return ""
    return next((line for line in answer.splitlines() if "Mode" in line), "")


def _encrypted(plain: socket.socket, path: str) -> ssl.SSLSocket:
    """It is our own server, and nothing secret is said: its certificate is not looked at, and we show the same one."""
    # Who has no TLS does not wait for what reads certificates.
    from pyzk.server.tls.contexts import Contexts  # noqa: PLC0415

    config, _ = load_config(path, os.environ)
    context = Contexts(config.client_tls, "ssl.").client_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


def version() -> int:
    """In the form of Apache's; the only verb that needs no configuration."""
    _say(f"Apache ZooKeeper, version {VERSION_WORD.replace(', built on', '')}")
    return EXIT_OK


def print_command(site: Site) -> int:
    """What `start` runs."""
    words = " ".join(f'"{word}"' for word in process.command(site.config))
    _say(f'{words} > "{site.output}" 2>&1 < /dev/null')
    return EXIT_OK


ACTIONS: dict[str, Callable[[Site], int]] = dict(
    zip(VERBS, (start, start_foreground, stop, restart, reload, status, print_command), strict=True)
)


# Words.


def _say(line: str, end: str = "\n") -> None:
    sys.stdout.write(line + end)
    sys.stdout.flush()


def _note(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _refuse(reason: str) -> int:
    _note(reason)
    return EXIT_FAILED


def _tail(output: Path, before: int) -> str:
    """Why it has ended: its last words, and where the rest stands."""
    try:
        text = output.read_bytes()[before:].decode(errors="replace")
    except OSError:
        text = ""
    return "\n".join([*text.splitlines()[-TAIL_LINES:], f"(more in {output})"])


if __name__ == "__main__":
    sys.exit(main())
