"""`pyzk config`: check a zoo.cfg as a server would read it, and explain a key.

Everything that is said comes from the table in pyzk/server/config, from which docs/configuration.md is made too.
"""

import argparse
import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pyzk.errors import ConfigError
from pyzk.server.config import Config, find_config, load_config
from pyzk.server.config.insecure import insecurities
from pyzk.server.config.kinds import BOOLEAN, STRICT_BOOLEAN, YES_NO, Setting, Status
from pyzk.server.config.settings import KNOWN_NAMES, NUMBERED_KEYS, bare_name, find_setting
from pyzk.tools.keyfiles import check_files, of_files
from pyzk.tools.output import ToolError, note, say, say_json
from pyzk.zab.membership import is_membership_key
from pyzk.zab.properties import parse_properties

EXIT_REFUSED = 2
"""Apache's code for an invalid configuration."""

EXIT_INSECURE = 1

EXAMPLES = """\
examples:
  pyzk config check conf/zoo.cfg
  pyzk config check --secure conf/zoo.cfg
  pyzk config explain snapCount
  pyzk config explain 4lw.commands.whitelist --config conf/zoo.cfg --json
"""
MEMBER_LINES = {
    "server": "server.N=HOST:QUORUM_PORT:ELECTION_PORT[:participant|observer][;[CLIENT_HOST:]CLIENT_PORT]: a member",
    "group": "group.G=N:N:...: these servers decide together; a quorum is a majority of groups, of each a majority",
    "weight": "weight.N=W: what the vote of server N counts within its group",
}
SCHEME_LINE = "authProvider.X=CLASS: an authentication scheme; docs/protocol/configuration.md section 7"


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code: 2 for a configuration with which a server would not start. Raises PyzkError."""
    options = _parser().parse_args(arguments)
    code: int = options.run(options, os.environ)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyzk config",
        description="Check a configuration; explain a key.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    checking = verbs.add_parser("check", help="read a zoo.cfg as a server would")
    checking.add_argument("file", metavar="FILE")
    checking.add_argument("--secure", action="store_true", help=f"exit code {EXIT_INSECURE} for what is insecure")
    checking.set_defaults(run=check)
    explaining = verbs.add_parser("explain", help="what a key means, its value and where that comes from")
    explaining.add_argument("key", metavar="KEY")
    explaining.add_argument("--config", metavar="FILE", help="whose value; else the file that pyzk-server would read")
    explaining.set_defaults(run=explain)
    for verb in (checking, explaining):
        verb.add_argument("--json", action="store_true", help="one JSON document")
    return parser


# check


def check(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """`pyzk config check`."""
    try:
        config, warnings = load_config(options.file, environ)
        check_files(config)
    except ConfigError as error:
        refused = {"file": options.file, "starts": False, "setting": error.setting, "error": str(error)}
        if options.json:
            say_json(refused)
        else:
            note(f"{options.file}: a server would not start: {error}")
        return EXIT_REFUSED
    warnings = [*warnings, *_directory_warnings(config)]
    insecure = [*insecurities(config), *of_files(config)]
    code = EXIT_INSECURE if options.secure and insecure else 0
    if options.json:
        say_json({"file": options.file, "starts": True, "warnings": warnings, "insecure": insecure, **_facts(config)})
        return code
    for warning in warnings:
        say(f"warning: {warning}")
    for sentence in insecure:
        say(f"insecure: {sentence}")
    for name, value in _facts(config).items():
        say(f"{name.replace('_', ' '):14} {value}")
    say(f"{options.file}: a server would start, with {len(warnings)} warnings")
    return code


def _facts(config: Config) -> dict[str, object]:
    """What an operator wants to see confirmed."""
    address = config.client_port_address or "0.0.0.0"  # noqa: S104 - Apache's default, said and not bound
    facts: dict[str, object] = {
        "role": config.peer_type if config.is_distributed else "standalone",
        "clients": "none" if config.client_port is None else f"{address}:{config.client_port}",
        **_secure_port(config),
        "data": str(Path(config.data_dir).absolute()),
        "log": str(Path(config.data_log_dir).absolute()),
        "sessions": f"{config.min_session_timeout_ms} to {config.max_session_timeout_ms} ms",
    }
    if config.server_id is not None:
        facts["server_id"] = config.server_id
    if config.servers:
        facts["servers"] = ", ".join(f"{server.server_id}={server.canonical()}" for server in config.servers)
    return facts


def _secure_port(config: Config) -> dict[str, object]:
    if config.secure_client_port is None:
        return {}
    address = config.secure_client_port_address or "0.0.0.0"  # noqa: S104 - Apache's default, said and not bound
    return {"clients_by_tls": f"{address}:{config.secure_client_port}"}


def _directory_warnings(config: Config) -> Iterator[str]:
    """What only shows when the server starts."""
    for name, text in (("dataDir", config.data_dir), ("dataLogDir", config.data_log_dir)):
        path = Path(text)
        place = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        if path.exists() and not path.is_dir():
            yield f"{name}={text} is no directory"
        elif not os.access(place, os.W_OK):
            yield f"{name}={text} cannot be written by this user"


# explain


def explain(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """`pyzk config explain`."""
    name = bare_name(options.key)
    kind = name.partition(".")[0]
    if is_membership_key(name) or kind in MEMBER_LINES:
        return _say_line(options, MEMBER_LINES.get(kind, "a line of the server list"))
    if name.startswith("authProvider"):
        return _say_line(options, SCHEME_LINE)
    row = find_setting(options.key)
    if row is None:
        raise ToolError(f"{options.key} is no known key{_suggestion(name)}")
    path = options.config or find_config(environ)
    config, problem = _configuration(path, environ)
    facts = _explanation(row, config, path, problem)
    if options.json:
        say_json({"key": row.name, **facts})
        return 0
    say(row.name)
    for title, fact in facts.items():
        if fact not in ("", None):
            say(f"  {title.replace('_', ' '):16} {fact}")
    return 0


def _say_line(options: argparse.Namespace, meaning: str) -> int:
    if options.json:
        say_json({"key": options.key, "meaning": meaning})
    else:
        say(f"{options.key}\n  {'meaning':16} {meaning}")
    return 0


def _suggestion(name: str) -> str:
    by_lower = {known.lower(): known for known in (*KNOWN_NAMES, *NUMBERED_KEYS)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    return (
        f"; did you mean {' or '.join(by_lower[one] for one in close)}?"
        if close
        else "; docs/configuration.md lists all"
    )


def _configuration(path: str | None, environ: Mapping[str, str]) -> tuple[Config | None, str]:
    """The configuration, or why there is none."""
    try:
        return load_config(path, environ)[0], ""
    except ConfigError as error:
        return None, str(error)


def _explanation(row: Setting, config: Config | None, path: str | None, problem: str) -> dict[str, object]:
    facts: dict[str, object] = {"meaning": row.summary}
    if row.also:
        facts["also_written"] = ", ".join(row.also)
    if row.kind is not None:
        facts["expects"] = row.kind.expects
    default = shown(row, row.default)
    facts["default"] = default if row.field else ""
    if row.apache_default:
        facts["apache"] = f"{row.apache_default} (docs/differences.md says why)"
    if row.status is not Status.ACTIVE:
        facts["status"] = row.status.value
    if config is None:
        facts |= _written(row, path)
        facts["but"] = f"a server would not start: {problem}"
    elif row.field:
        value = row.value_in(config)
        facts["value"] = "(not shown)" if row.is_secret and value else shown(row, value)
        facts["set_by"] = config.sources.get(row.field, f"default; {path or 'there is no file'}")
    return facts


def _written(row: Setting, path: str | None) -> dict[str, object]:
    """The value as the file has it, for a file that cannot be used as a whole."""
    try:
        text = "" if path is None else Path(path).read_text(encoding="latin-1")
        entries = [entry for entry in parse_properties(text, path or "") if find_setting(entry.key) is row]
    except (OSError, ConfigError):
        return {}
    if not entries:
        return {"value": shown(row, row.default), "set_by": f"default; {path}"}
    return {"value": "(not shown)" if row.is_secret else entries[-1].value, "set_by": entries[-1].source}


def shown(row: Setting, value: object) -> str:
    """A value as it would be written in zoo.cfg."""
    if value is None or not isinstance(value, bool | int | float | str | frozenset | tuple):
        return ""
    if isinstance(value, frozenset):
        return ",".join(sorted(map(str, value)))
    if row.kind is YES_NO:
        return "yes" if value else "no"
    return str(value).lower() if row.kind in {BOOLEAN, STRICT_BOOLEAN} else str(value)
