"""Reads the configuration, runs a server until it is told to stop, and says clearly why it cannot.

Exit codes are Apache's: docs/protocol/configuration.md section 9.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING

import structlog

from pyzk import VERSION_WORD
from pyzk.errors import AdminPortError, ConfigError, PeerPortError, PyzkError, StorageError
from pyzk.server import log as logging_setup
from pyzk.server import notify
from pyzk.server.auditlog import SERVER_START
from pyzk.server.clock import monotonic_seconds
from pyzk.server.config import Config, find_config, load_config
from pyzk.server.control import VERBS
from pyzk.server.garbage import keep_imported
from pyzk.service.audit import FAILURE

if TYPE_CHECKING:
    from pyzk.server.base import BaseServer

log = structlog.get_logger()

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_CONFIG = 2
EXIT_DATA_DIRECTORY = 3
EXIT_ADMIN_PORT = 4
EXIT_PEER_PORT = 14
HELP_COLUMNS = 100


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code."""
    options = _parser().parse_args(arguments)
    logging_setup.configure(options.log_level)
    try:
        config = _configuration(options)

        def set_up_log(config: Config) -> None:
            logging_setup.configure(options.log_level, levels=config.log_levels, shape=config.log_format)

        set_up_log(config)
        return _run(_serve(config, set_up_log))
    except ConfigError as error:
        return _refuse(f"{error}\nInvalid config, exiting abnormally", EXIT_CONFIG)
    except StorageError as error:
        return _refuse(f"{error}\nUnable to access datadir, exiting abnormally", EXIT_DATA_DIRECTORY)
    except AdminPortError as error:
        return _refuse(f"{error}\nUnable to start AdminServer, exiting abnormally", EXIT_ADMIN_PORT)
    except (PyzkError, OSError) as error:
        return _refuse(str(error), EXIT_UNEXPECTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyzk-server",
        # Without a width argparse asks shutil for it, and that costs a hundredth of the start.
        formatter_class=partial(argparse.HelpFormatter, width=HELP_COLUMNS),
        description="A ZooKeeper server. Without any configuration: standalone, on loopback.",
        epilog=f"In the background: pyzk-server {{{','.join(VERBS)}}} --config FILE, as Apache's zkServer.sh.",
    )
    parser.add_argument(
        "--config", metavar="FILE", help="zoo.cfg (default: $ZOOCFGDIR/zoo.cfg, /conf/zoo.cfg, ./conf/zoo.cfg, none)"
    )
    parser.add_argument(
        "--no-config", action="store_true", help="look for no file: standalone on 127.0.0.1:2181, data in ./data"
    )
    parser.add_argument("--log-level", choices=sorted(logging_setup.LEVELS), default="info")
    parser.add_argument("--version", action="version", version=VERSION_WORD)
    return parser


def _configuration(options: argparse.Namespace) -> Config:
    path = None if options.no_config else options.config or find_config(os.environ)
    config, warnings = load_config(path, os.environ)
    for warning in warnings:
        log.warning("config_warning", warning=warning)
    return config


def _run(serving: Coroutine[None, None, int]) -> int:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(serving)
    return uvloop.run(serving)


def _make_server(config: Config) -> "BaseServer":
    """Of the one kind or the other: what the other is made of is not imported."""
    if config.is_distributed:
        from pyzk.server import ensemble  # noqa: PLC0415

        return ensemble.Server(config)
    from pyzk.server import standalone  # noqa: PLC0415

    return standalone.Server(config)


async def _serve(config: Config, set_up_log: Callable[[Config], None]) -> int:
    server = _make_server(config)
    keep_imported()
    manager = notify.Manager(os.environ)
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stopped.set)
    manager.tell("STATUS=loading data")
    try:
        await server.start()
    except (PyzkError, OSError):
        if server.audit is not None:
            server.audit.server(SERVER_START, FAILURE)
        raise
    manager.tell(notify.READY, f"STATUS=clients on port {server.port}")

    def reload() -> None:
        from pyzk.server import reload as reloading  # noqa: PLC0415 - a signal that most servers never get

        manager.tell(notify.RELOADING, f"MONOTONIC_USEC={int(monotonic_seconds() * 1_000_000)}")
        reloading.reload(server, set_up_log)
        server.reload_certificates()
        manager.tell(notify.READY)

    loop.add_signal_handler(signal.SIGHUP, reload)
    await server.stopped.wait()
    manager.tell(notify.STOPPING)
    await server.stop()
    if server.failure is None:
        return EXIT_OK
    return EXIT_PEER_PORT if isinstance(server.failure, PeerPortError) else EXIT_UNEXPECTED


def _refuse(message: str, code: int) -> int:
    sys.stderr.write(f"{message}\n")
    return code
