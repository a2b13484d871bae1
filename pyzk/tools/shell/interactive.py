"""The prompt: line editing, history that outlives the shell, completion of commands and of paths as they are now."""

import os
import sys
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

from pyzk.tools.javatext import string_order
from pyzk.tools.shell.interpreter import Interpreter, names
from pyzk.tools.shell.session import Session
from pyzk.tools.shell.table import COMMANDS
from pyzk.tools.shell.texts import RequestFailedError

HISTORY_VARIABLE = "PYZK_CLI_HISTORY"
CANDIDATES_MAX = 1000


class ShellCompleter(Completer):
    """Completes the word before the cursor: a path from the server, an option, or the name of a command."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Completion without a server: commands and options."""
        del complete_event
        text = document.text_before_cursor
        words = text.split()
        word = "" if not words or text[-1].isspace() else words[-1]
        if word.startswith("-") and words[0] in COMMANDS:
            candidates = [f"-{option.name}" for option in COMMANDS[words[0]].syntax.options]
        elif len(words) <= (1 if word else 0):
            candidates = names()
        else:
            candidates = []
        yield from _matching(candidates, word)

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """As above, and paths."""
        word = document.text_before_cursor.rpartition(" ")[2]
        if word.startswith("/"):
            for completion in _matching(await self._paths(word), word):
                yield completion
        else:
            for completion in self.get_completions(document, complete_event):
                yield completion

    async def _paths(self, word: str) -> list[str]:
        """The znodes beside the one that is being written; none when they cannot be read."""
        parent = word.rpartition("/")[0]
        if not self.session.is_alive or not self.session.client.state.connected:
            return []
        try:
            found = await self.session.ask(None, self.session.client.get_children, parent or "/")
        except RequestFailedError:
            return []
        return [f"{parent}/{name}" for name in sorted(found, key=string_order)]


def _matching(candidates: Iterable[str], word: str) -> Iterator[Completion]:
    matching = (candidate for candidate in candidates if candidate.startswith(word))
    for candidate, _ in zip(matching, range(CANDIDATES_MAX), strict=False):
        yield Completion(candidate, start_position=-len(word))


def open_history() -> History:
    """The lines of earlier shells, in $PYZK_CLI_HISTORY or the home directory; in memory where neither can be written.

    The file is made for its owner alone: lines hold data and passwords.
    """
    path = Path(os.environ.get(HISTORY_VARIABLE) or Path.home() / ".pyzk_cli_history")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


async def converse(interpreter: Interpreter) -> None:
    """Read lines and run them until the end of input. Raises Quit."""
    prompt: PromptSession[str] = PromptSession(
        history=open_history(), completer=ShellCompleter(interpreter.session), complete_while_typing=False
    )
    screen = interpreter.screen
    is_on_terminal = screen.out is sys.stdout
    with patch_stdout(raw=True):
        if is_on_terminal:
            # What is printed while a line is being typed, as events are, appears above it.
            screen.out, screen.err = sys.stdout, sys.stderr
        while True:
            try:
                line = await prompt.prompt_async(lambda: interpreter.prompt)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            await interpreter.line(line)
