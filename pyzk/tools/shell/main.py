"""`pyzk-cli`: one command, a script on standard input, or a prompt.

The options are zkCli.sh's, with one dash, and only in front of the command; everything behind it is the command's.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyzk import VERSION_WORD
from pyzk.tools.output import nobody_reads
from pyzk.tools.shell.interpreter import Interpreter, Quit
from pyzk.tools.shell.options import CommandError
from pyzk.tools.shell.properties import client_login, client_properties
from pyzk.tools.shell.session import Screen, Session
from pyzk.tools.shell.tls import client_context

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
HELP = """\
usage: pyzk-cli [options] [command [arguments]]

  -server HOST:PORT[,HOST:PORT...][/CHROOT]   default localhost:2181
  -timeout MS                                 session timeout to ask for, default 30000
  -r                                          a server without a quorum will do, for reads
  -waitforconnection                          wait for the session before the command, at most the timeout
  -client-configuration FILE                  Java properties of a ZooKeeper client: TLS, SASL
  --json                                      one JSON document a command
  --version, --help

Without a command: a prompt, or, when standard input is no terminal, the commands in it. `help` lists them.
CLIENT_JVMFLAGS and JVMFLAGS may have properties too: -Djava.security.auth.login.config=JAAS_FILE logs in by SASL.
"""


@dataclass(slots=True)
class Options:
    """The command line."""

    server: str = "localhost:2181"
    timeout: str = "30000"
    read_only: bool = False
    wait_for_connection: bool = False
    client_configuration: str = ""
    json: bool = False
    text: str = ""
    """To print instead of doing anything."""
    command: list[str] = field(default_factory=list)


VALUES = {"-server": "server", "-timeout": "timeout", "-client-configuration": "client_configuration"}
FLAGS = {"-r": "read_only", "-waitforconnection": "wait_for_connection", "--json": "json", "-json": "json"}
TEXTS = {"--version": VERSION_WORD, "--help": HELP.rstrip(), "-h": HELP.rstrip(), "-help": HELP.rstrip()}


def parse_options(arguments: Sequence[str]) -> Options:
    """Take the command line apart. Raises CommandError."""
    options = Options()
    rest = iter(arguments)
    for word in rest:
        if word in VALUES:
            value = next(rest, None)
            if value is None:
                raise CommandError(f"Error: no argument found for option {word}", EXIT_USAGE)
            setattr(options, VALUES[word], value)
        elif word in FLAGS:
            setattr(options, FLAGS[word], True)
        elif word in TEXTS:
            options.text = TEXTS[word]
        elif word.startswith("-"):
            # Differs from Apache: it ignores what it does not know, and with it every slip of the pen.
            raise CommandError(f"Error: unknown option {word}; --help lists them", EXIT_USAGE)
        else:
            options.command = [word, *rest]
    if not options.timeout.isdecimal() or not 0 < int(options.timeout) < 2**31:
        raise CommandError(f"Error: -timeout {options.timeout}: write milliseconds, such as 30000", EXIT_USAGE)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    try:
        options = parse_options(sys.argv[1:] if arguments is None else arguments)
        if options.text:
            sys.stdout.write(f"{options.text}\n")
            return 0
        return asyncio.run(run(options))
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return nobody_reads()


async def run(options: Options) -> int:
    """One session from its beginning to its end."""
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


async def _work(interpreter: Interpreter, options: Options) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
