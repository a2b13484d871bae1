"""One session of the shell, from its beginning to its end."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from pyzk.tools.shell.interpreter import Interpreter, Quit
from pyzk.tools.shell.properties import client_login, client_properties
from pyzk.tools.shell.session import Screen, Session
from pyzk.tools.shell.tls import client_context

if TYPE_CHECKING:
    from pyzk.tools.shell.main import Options


def run(options: "Options") -> int:
    """Do what the command line says; the exit code. Raises CommandError."""
    return asyncio.run(_run(options))


async def _run(options: "Options") -> int:
    screen = Screen(sys.stdout, sys.stderr, json=options.json)
    properties = client_properties(options.client_configuration, os.environ)
    session = Session(
        screen,
        timeout_ms=int(options.timeout),
        read_only=options.read_only,
        ssl=client_context(properties),
        login=client_login(properties),
    )
    session.wait_for_connection = options.wait_for_connection
    interpreter = Interpreter(session)
    screen.say(f"Connecting to {options.server}")
    try:
        await session.connect(options.server)
        await _work(interpreter, options)
    except Quit:
        return interpreter.exit_code
    finally:
        await session.close(silently=True)
    return interpreter.exit_code


async def _work(interpreter: Interpreter, options: "Options") -> None:
    if options.command:
        await interpreter.run(options.command)
        return
    interpreter.screen.say("Welcome to ZooKeeper!")
    if sys.stdin.isatty() and sys.stdout.isatty() and not options.json:
        # Imported here: a script should not wait for the prompt's library.
        from pyzk.tools.shell.interactive import converse  # noqa: PLC0415

        interpreter.screen.say("JLine support is enabled")
        await converse(interpreter)
        return
    interpreter.screen.say("JLine support is disabled")
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await interpreter.line(line.rstrip("\r\n"))
