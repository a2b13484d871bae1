"""`pyzk-cli`: one command, a script on standard input, or a prompt.

The options are zkCli.sh's, with one dash, and only in front of the command; everything behind it is the command's.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyzk import VERSION_WORD
from pyzk.tools.shell.options import CommandError

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
        # Who only asks for help does not wait for what speaks to servers.
        from pyzk.tools.shell.conversation import run  # noqa: PLC0415

        return run(options)
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        from pyzk.tools.output import nobody_reads  # noqa: PLC0415 - hardly ever

        return nobody_reads()


if __name__ == "__main__":
    sys.exit(main())
