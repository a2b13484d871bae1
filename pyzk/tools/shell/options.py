"""Options of a command, taken apart as commons-cli's DefaultParser does, with its messages.

The messages begin with Java's class names, because that is what zkCli.sh prints.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pyzk.errors import PyzkError

NEGATIVE_NUMBER = re.compile(r"-(\d+(\.\d*)?|\.\d+)")
PACKAGE = "org.apache.commons.cli"


class CommandError(PyzkError):
    """A command that failed: its text goes to standard error, `exit_code` is the command's."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Option:
    """One option; `takes` says whether a value follows."""

    name: str
    takes: bool = False
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Syntax:
    """What a command may be given; with `exclusive` only one of the options, with `required` exactly one."""

    options: tuple[Option, ...] = ()
    exclusive: bool = False
    required: bool = False

    def find(self, name: str) -> Option | None:
        """The option of this name."""
        return next((option for option in self.options if option.name == name), None)

    def table(self) -> str:
        """The option table of a usage text."""
        heads = [(f" -{option.name}{' <arg>' if option.takes else ''}", option.summary) for option in self.options]
        width = max(len(head) for head, _ in heads)
        return "\n".join(f"{head:{width}}   {summary}" for head, summary in sorted(heads, key=lambda pair: pair[0]))


@dataclass(slots=True)
class Given:
    """What was given: options with their values, and the other words, of which the first is the command."""

    words: list[str] = field(default_factory=list)
    options: dict[str, str | None] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.options

    def value(self, name: str) -> str:
        """The value of an option that takes one; the first, if it was given twice."""
        value = self.options[name]
        assert value is not None
        return value

    def word(self, position: int, default: str = "") -> str:
        """The word at a position, 0 being the command."""
        return self.words[position] if position < len(self.words) else default


def parse(syntax: Syntax, words: Sequence[str]) -> Given:
    """Take the words of a command apart. Raises CommandError."""
    return _Parser(syntax).parse(words)


class _Parser:
    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax
        self.given = Given()
        self.waiting: Option | None = None
        """An option whose value must come next."""

    def parse(self, words: Sequence[str]) -> Given:
        rest = iter(words)
        for word in rest:
            if word == "--" and self.waiting is None:
                self.given.words += rest
            elif self.waiting is not None and not self._is_option(word):
                self._value(word)
            elif word.startswith("-") and word != "-":
                self._option(word)
            else:
                self.given.words.append(word)
        self._require_value()
        if self.syntax.required and not self.given.options:
            listed = ", ".join(f"-{option.name} {option.summary}" for option in self.syntax.options)
            raise _failure("MissingOption", f"Missing required option: [{listed}]")
        return self.given

    def _is_option(self, word: str) -> bool:
        if not word.startswith("-") or word == "-" or NEGATIVE_NUMBER.fullmatch(word):
            return False
        name = word.lstrip("-").partition("=")[0]
        return self.syntax.find(name) is not None or self.syntax.find(name[:1]) is not None

    def _option(self, word: str) -> None:
        name, equals, value = word.lstrip("-").partition("=")
        option = self.syntax.find(name)
        if equals:
            if option is None or not option.takes:
                raise _unrecognized(word)
            self._take(option)
            self._value(value)
        elif option is not None:
            self._take(option)
        else:
            for found, rest in self._concatenated(word):
                self._take(found)
                if found.takes and rest:
                    self._value(rest)
                    break

    def _concatenated(self, word: str) -> Iterator[tuple[Option, str]]:
        """`-sw` is `-s -w`, `-v3` is `-v 3`."""
        for position in range(1, len(word)):
            option = self.syntax.find(word[position])
            if option is None:
                raise _unrecognized(word)
            yield option, word[position + 1 :]

    def _take(self, option: Option) -> None:
        self._require_value()
        selected = next((name for name in self.given.options if name != option.name), None)
        if self.syntax.exclusive and selected is not None:
            what = f"The option '{option.name}' was specified but an option from this group has already been selected"
            raise _failure("AlreadySelected", f"{what}: '{selected}'")
        self.given.options.setdefault(option.name, None)
        self.waiting = option if option.takes else None

    def _value(self, word: str) -> None:
        assert self.waiting is not None
        if self.given.options[self.waiting.name] is None:
            quoted = len(word) > 1 and word[0] == word[-1] == '"'
            self.given.options[self.waiting.name] = word[1:-1] if quoted else word
        self.waiting = None

    def _require_value(self) -> None:
        if self.waiting is not None and self.given.options[self.waiting.name] is None:
            raise _failure("MissingArgument", f"Missing argument for option: {self.waiting.name}")


def _unrecognized(word: str) -> CommandError:
    return _failure("UnrecognizedOption", f"Unrecognized option: {word}")


def _failure(kind: str, text: str) -> CommandError:
    return CommandError(f"{PACKAGE}.{kind}Exception: {text}")
