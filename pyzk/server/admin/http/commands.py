"""The table of commands: names, aliases, whether there must be a role, and who answers.

Those that send or take a snapshot are in `transfer`. Source: docs/protocol/operations.md section 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyzk.errors import AdminCommandError
from pyzk.server.admin.http import members, sessions, totals
from pyzk.server.admin.http.text import NOT_SERVING, Fields, answer
from pyzk.server.admin.reports import environment_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyzk.server.base import BaseServer

    Parameters = Mapping[str, str]

LONG_BOUND = 1 << 63


class Command(NamedTuple):
    """One command; `aliases` are separated by blanks. The answer raises AdminCommandError."""

    name: str
    aliases: str
    answer: Callable[[BaseServer, Parameters], Fields]
    needs_role: bool = True


def _plain(report: Callable[[BaseServer], Fields]) -> Callable[[BaseServer, Parameters], Fields]:
    return lambda server, parameters: report(server)  # noqa: ARG005


def _nothing(server: BaseServer, parameters: Parameters) -> Fields:  # noqa: ARG001
    return {}


def _environment(server: BaseServer, parameters: Parameters) -> Fields:  # noqa: ARG001
    return dict(environment_pairs())


def _is_read_only(server: BaseServer, parameters: Parameters) -> Fields:  # noqa: ARG001
    return {"read_only": server.peer.service.read_only}


def _trace_mask(server: BaseServer, parameters: Parameters) -> Fields:  # noqa: ARG001
    return {"tracemask": server.statistics.trace_mask}


def _set_trace_mask(server: BaseServer, parameters: Parameters) -> Fields:
    text = parameters.get("traceMask")
    complaint = "setTraceMask requires long traceMask argument"
    if text is None:
        raise AdminCommandError(complaint)
    try:
        mask = int(text)
    except ValueError as error:
        raise AdminCommandError(f"{complaint}, got {text}") from error
    if not -LONG_BOUND <= mask < LONG_BOUND:
        raise AdminCommandError(f"{complaint}, got {text}")
    server.statistics.trace_mask = mask
    return {"tracemask": mask}


COMMANDS = (
    Command("configuration", "conf config", _plain(totals.configuration)),
    Command("connection_stat_reset", "crst", _plain(sessions.reset_connections)),
    Command("connections", "cons", _plain(sessions.connections)),
    Command("dirs", "", _plain(totals.directories)),
    Command("dump", "", _plain(sessions.dump)),
    Command("environment", "env envi", _environment, needs_role=False),
    Command("get_trace_mask", "gtmk", _trace_mask, needs_role=False),
    Command("hash", "", _plain(totals.digests)),
    Command("initial_configuration", "icfg", _plain(totals.initial_configuration)),
    Command("is_read_only", "isro", _is_read_only),
    Command("last_snapshot", "lsnp", _plain(totals.last_snapshot)),
    Command("leader", "lead", _plain(members.leader)),
    # Differs from Apache: there it is answered at any time, with an internal error while there is no role.
    Command("monitor", "mntr", _plain(totals.monitor)),
    Command("observer_connection_stat_reset", "orst", _nothing),
    Command("observers", "obsr", _plain(members.observers)),
    Command("ruok", "", _nothing),
    Command("server_stats", "srvr", _plain(totals.server_stats)),
    Command("set_trace_mask", "stmk", _set_trace_mask, needs_role=False),
    Command("stat_reset", "srst", _plain(totals.reset)),
    Command("stats", "stat", _plain(totals.stats)),
    Command("system_properties", "sysp", _plain(totals.system_properties), needs_role=False),
    Command("voting_view", "", _plain(members.voting_view)),
    Command("watch_summary", "wchs", _plain(sessions.watch_summary)),
    Command("watches", "wchc", _plain(sessions.watches)),
    Command("watches_by_path", "wchp", _plain(sessions.watches_by_path)),
    Command("zabstate", "", _plain(members.zab_state), needs_role=False),
)
BY_NAME = {name: command for command in COMMANDS for name in (command.name, *command.aliases.split())}


def run(server: BaseServer, command: Command, parameters: Parameters) -> Fields:
    """The whole answer of a command."""
    if command.needs_role and not server.is_serving:
        return answer(command.name, {}, NOT_SERVING)
    try:
        return answer(command.name, command.answer(server, parameters))
    except AdminCommandError as error:
        return answer(command.name, {}, str(error))
