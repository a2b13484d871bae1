"""Reads a line, finds its command, keeps the history: ZooKeeperMain."""

import re
from collections.abc import Sequence

from pyzk.tools.shell.options import CommandError, parse
from pyzk.tools.shell.session import Session
from pyzk.tools.shell.table import COMMANDS, require_words

WORD = re.compile(r"\s*([^\"']\S*|\"[^\"]*\"|'[^']*')\s*")
QUOTED = re.compile(r"([\"'])(.*)\1")
LOCAL: dict[str, str] = {
    "connect": "host:port",
    "history": "",
    "printwatches": "on|off",
    "quit": "",
    "redo": "cmdno",
}
"""Commands that need no server, with their usage; zkCli.sh's."""
LOCAL_OURS: dict[str, str] = {"exit": "", "help": "[command]"}
NOT_FOUND = 127
HISTORY_SHOWN = 10


def split(line: str) -> list[str]:
    """The words of a line; quotes around a word are taken off."""
    words = [match[1] for match in WORD.finditer(line)]
    return [word[1:-1] if QUOTED.fullmatch(word) else word for word in words]


def usage() -> str:
    """zkCli.sh's usage text."""
    lines = LOCAL | {name: command.usage for name, command in COMMANDS.items() if not command.is_ours}
    head = "ZooKeeper -server host:port -client-configuration properties-file cmd args"
    return "\n".join([head, *(f"\t{name} {lines[name]}" for name in sorted(lines))])


def names() -> list[str]:
    """All commands, for completion."""
    return sorted([*LOCAL, *LOCAL_OURS, *COMMANDS])


class Quit(Exception):  # noqa: N818 - no error: the way out
    """The user wants to leave."""


class Interpreter:
    """Runs commands in a session.

    Attributes:
        count: commands so far; the number in the prompt.
        exit_code: of the last command.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.screen = session.screen
        self.count = 0
        self.exit_code = 0
        self.history: list[str] = []

    @property
    def prompt(self) -> str:
        """What stands before the cursor."""
        return f"[zk: {self.session.hosts}({self.session.prompt_state}) {self.count}] "

    async def line(self, text: str) -> None:
        """Run a line. Raises Quit."""
        if not text.strip():
            return
        self.history.append(text)
        await self.run(split(text))
        self.count += 1

    async def run(self, words: Sequence[str]) -> None:
        """Run a command; `exit_code` says how it went. Raises Quit."""
        try:
            await self._dispatch(list(words))
        except CommandError as error:
            self.exit_code = error.exit_code
            self.screen.fail(error)
        else:
            self.exit_code = 0

    async def _dispatch(self, words: list[str]) -> None:
        if not words:
            raise CommandError(f"{usage()}\nNo command entered")
        name = words[0]
        if name in {"quit", "exit"}:
            await self.session.close()
            raise Quit
        if name in LOCAL or name in LOCAL_OURS:
            await self._locally(words)
        elif name not in COMMANDS:
            self.screen.note(usage())
            raise CommandError(f"Command not found: Command not found {name}", NOT_FOUND)
        if not self.session.is_alive:
            self.screen.say("Not connected")
            if name in COMMANDS:
                self.screen.show({"error": "Not connected"})
        elif name in COMMANDS:
            self.screen.show(await self._remotely(words))

    async def _remotely(self, words: list[str]) -> object:
        name = words[0]
        command = COMMANDS[name]
        given = parse(command.syntax, ["whoami"] if command.is_raw else words)
        require_words(name, command, given)
        if command.deprecated and len(given.words) > 2:
            self.screen.note(command.deprecated)
            if command.is_watch:
                given.options["w"] = None
        return await command.work(self.session, given)

    async def _locally(self, words: list[str]) -> None:
        name = words[0]
        if name == "redo" and len(words) > 1:
            await self._redo(words[1])
        elif name == "history":
            self._show_history()
        elif name == "printwatches":
            self._print_watches(words)
        elif name == "connect":
            await self.session.connect(words[1] if len(words) > 1 else self.session.hosts)
            self.screen.show({"hosts": self.session.hosts})
        elif name == "help":
            self._help(words)

    async def _redo(self, text: str) -> None:
        if not re.fullmatch(r"[+-]?\d+", text):
            raise CommandError(f"redo {text}: write the number of a command, as history shows it")
        if not 0 <= int(text) < self.count:
            raise CommandError("Command index out of range")
        line = self.history[int(text)]
        if split(line)[:1] == ["redo"]:
            raise CommandError("No redoing redos")
        self.history[self.count] = line
        await self.run(split(line))

    def _show_history(self) -> None:
        first = max(0, self.count - HISTORY_SHOWN)
        shown = dict(enumerate(self.history[first:], first))
        for number, line in shown.items():
            self.screen.say(f"{number} - {line}")
        self.screen.show({"history": shown})

    def _print_watches(self, words: list[str]) -> None:
        if len(words) > 1:
            self.session.print_watches = words[1] == "on"
        else:
            self.screen.say(f"printwatches is {'on' if self.session.print_watches else 'off'}")
        self.screen.show({"printwatches": self.session.print_watches})

    def _help(self, words: list[str]) -> None:
        chosen = [name for name in COMMANDS if name in words[1:]] or names()
        local = LOCAL | LOCAL_OURS
        for name in chosen:
            command = COMMANDS.get(name)
            text = local[name] if command is None else command.usage
            summary = f"  ({command.summary})" if command is not None and command.summary else ""
            self.screen.say(f"\t{name} {text}{summary}")
        self.screen.show({"commands": chosen})
