"""`pyzk`: one command with a subcommand for each thing an operator wants to know.

A subcommand is a module with `main(arguments) -> int`; only the one that is asked for is imported.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from pyzk import VERSION_WORD
from pyzk.errors import PyzkError
from pyzk.tools.output import nobody_reads

SUBCOMMANDS = {
    "log": ("pyzk.tools.log.command", "what transaction logs hold; repair and chop them"),
    "snapshot": ("pyzk.tools.snapshot.command", "what snapshots hold: dump, summary, compare"),
    "verify": ("pyzk.tools.verify", "check a data directory: checksums, gaps, epochs, digests"),
    "cleanup": ("pyzk.tools.cleanup", "remove snapshots and logs that are not needed any more"),
    "config": ("pyzk.tools.settings", "check a zoo.cfg; explain a key"),
    "certs": ("pyzk.tools.certs", "a CA and certificates for an ensemble and its clients"),
    "sim": ("pyzk.tools.sim.command", "a whole ensemble in a simulated world, from one seed"),
    "bench": ("pyzk.tools.bench.command", "load on servers: rates and latencies, to size an ensemble"),
    "top": ("pyzk.tools.top.command", "servers, clients and hot paths, live"),
}
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    options = _parser().parse_args(arguments)
    module = importlib.import_module(SUBCOMMANDS[options.subcommand][0])
    try:
        code: int = module.main(options.arguments)
        sys.stdout.flush()
    except PyzkError as error:
        sys.stderr.write(f"pyzk {options.subcommand}: {error}\n")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return nobody_reads()
    return code


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:10} {what}" for name, (_, what) in SUBCOMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="pyzk",
        description="Tools for ZooKeeper's files and servers, Apache's and pyzk's.",
        epilog=f"subcommands:\n{listed}\n\n`pyzk SUBCOMMAND --help` explains one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=VERSION_WORD)
    parser.add_argument("subcommand", choices=SUBCOMMANDS, metavar="SUBCOMMAND")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...")
    return parser


if __name__ == "__main__":
    sys.exit(main())
