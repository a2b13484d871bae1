"""What a setting is: its names, how its text becomes a value, what it does here.

Each field of `Config` is declared by one call of `setting()`, the only place that knows the key. The table that
`load.py` reads and docs/configuration.md both come from these declarations.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

from pyzk.errors import ConfigError
from pyzk.zab.entries import parse_decimal, refused

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

INT_MAX = 2**31 - 1
LONG_MAX = 2**63 - 1
# A text that is no value stops the server.
NO_FALLBACK = object()


class Status(Enum):
    """What happens with a key; the value is its text in docs/configuration.md."""

    ACTIVE = "works"
    REFUSED = "not supported: the server refuses to start rather than run unprotected"
    IGNORED = "accepted with a warning, no effect"
    JVM = "accepted, means nothing without a Java machine"


def _accept(_value: object) -> None:
    """The check of kinds whose values are all usable."""


@dataclass(slots=True, eq=False)
class Kind(Generic[T_co]):
    """How a text becomes a value.

    Args:
        expects: what to write, as the end of the sentence "Write ...".
        parse: raises ValueError for a text that is none.
        complaint: Apache's message for such a text, with `{name}` and `{text}`.
        check: raises ValueError for a value that cannot be used.
        fallback: taken, with a warning, for a text that is no value; without one such a text stops the server.
    """

    expects: str
    parse: Callable[[str], T_co]
    complaint: str = 'For input string: "{text}"'
    check: Callable[[Any], None] = _accept
    fallback: object = NO_FALLBACK


@dataclass(slots=True, eq=False)
class Setting:
    """One key of zoo.cfg: a row of the table.

    Args:
        name: the key as Apache's server reads it, without the prefix `zookeeper.`.
        summary: one sentence for the operator.
        kind: None where the value is not looked at.
        default: what holds when the key is absent; None where the summary says it.
        field: the attribute of `Config`, with a dot for one of a part of it; empty when there is none.
        also: other spellings, most of them the manual's names that Apache does not read.
        apache_default: Apache's default where ours differs on purpose.
        fallback: the kind's, unless this key has its own.
        is_secret: the value is never shown.
        is_prefix: the row stands for all keys that begin with `name`.
    """

    name: str
    summary: str
    kind: Kind[object] | None = None
    default: object = None
    field: str = ""
    also: tuple[str, ...] = ()
    status: Status = Status.ACTIVE
    apache_default: str = ""
    fallback: object = NO_FALLBACK
    is_secret: bool = False
    is_prefix: bool = False

    def __post_init__(self) -> None:
        if self.fallback is NO_FALLBACK and self.kind is not None:
            self.fallback = self.kind.fallback

    def value_in(self, config: object) -> object:
        """What holds in a configuration."""
        return attrgetter(self.field)(config)

    def parse(self, text: str, source: str) -> object:
        """The value of `text`; ConfigError names `source`, where it was written."""
        assert self.kind is not None, f"{self.name} has no value"
        try:
            value = self.kind.parse(text)
            self.kind.check(value)
        except ValueError as error:
            raise self.refusal(text, source) from error
        return value

    def check(self, value: object) -> None:
        """Whether a value that is no text can be used; None always can. Raises ConfigError."""
        assert self.kind is not None, f"{self.name} has no value"
        try:
            if value is not None:
                self.kind.check(value)
        except ValueError as error:
            raise self.refusal(str(value), self.field) from error

    def refusal(self, text: str, source: str) -> ConfigError:
        """Apache's message first, then where it happened and what to write instead."""
        assert self.kind is not None, f"{self.name} has no value"
        shown = "(not shown)" if self.is_secret else text
        message = self.kind.complaint.format(name=self.name, text=shown)
        return refused(self.name, shown, message, f"{source}: write {self.kind.expects}")


def setting(
    name: str, kind: Kind[T], default: T, summary: str, *, status: Status = Status.ACTIVE, **details: object
) -> T:
    """Declares a field of a settings class (`groups.Settings`); mypy sees the default's type."""
    return cast("T", Setting(name, summary, kind, default, status=status, **details))  # type: ignore[arg-type]


class Derived:
    """A default that follows from other fields."""

    def __init__(self, default: Callable[[Any], object]) -> None:
        self.of = default


def derived(default: Callable[[Any], T]) -> T:
    """The default of a field for `setting()`: a function of the settings class, asked when one is made."""
    return cast("T", Derived(default))


def family(prefix: str, kind: Kind[T], summary: str, *, is_secret: bool = False) -> Mapping[str, T]:
    """Declares a field for all keys that begin with a prefix: their values by what follows it."""
    none: Mapping[str, T] = MappingProxyType({})
    of_each = cast("Kind[Any]", kind)
    return setting(prefix, of_each, none, summary, is_prefix=True, is_secret=is_secret)


def integer(low: int, high: int = INT_MAX, *, clamped: bool = False) -> Kind[int]:
    """A decimal number; `clamped` raises numbers below `low` to it instead of refusing them."""

    def check(value: int) -> None:
        if not low <= value <= high:
            raise ValueError(value)

    def parse(text: str) -> int:
        value = parse_decimal(text)
        return max(value, low) if clamped else value

    return Kind(f"a whole number from {low} to {high}", parse, check=check)


def _parse_literal(text: str) -> int:
    """Java's Integer.decode: 0x, 0X or # is hexadecimal, a leading 0 octal."""
    match = re.fullmatch(r"([+-]?)(?:(0[xX]|#)([0-9a-fA-F]+)|0([0-7]+)|([0-9]+))", text)
    if not match:
        raise ValueError(text)
    sign, _, hexadecimal, octal, decimal = match.groups()
    digits, base = (hexadecimal, 16) if hexadecimal else (octal, 8) if octal else (decimal, 10)
    return int(f"{sign}{digits}", base)


def literal(low: int) -> Kind[int]:
    """A number as jute.maxbuffer takes it."""

    def check(value: int) -> None:
        if not low <= value <= INT_MAX:
            raise ValueError(value)

    return Kind(f"a whole number from {low} to {INT_MAX}, also as 0x... or octal 0...", _parse_literal, check=check)


def decimal(low: float, high: float) -> Kind[float]:
    """A number with a fraction."""

    def check(value: float) -> None:
        if not low <= value <= high:  # refuses nan too
            raise ValueError(value)

    return Kind(f"a number from {low:g} to {high:g}", float, check=check)


def choice(*values: str, complaint: str) -> Kind[str]:
    """One of some words, in any case."""

    def check(value: str) -> None:
        if value not in values:
            raise ValueError(value)

    listed = " or ".join(value or "nothing" for value in values)
    return Kind(listed, str.lower, complaint=complaint, check=check)


def _parse_boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered not in {"true", "false"}:
        raise ValueError(text)
    return lowered == "true"


def _parse_yes(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError(text)
    return text == "yes"


def _parse_words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(",") if word.strip())


LEVELS = ("debug", "info", "warning", "error")
_PART_LEVEL = re.compile(rf"[a-z_.]+=({'|'.join(LEVELS)})")


def _parse_levels(text: str) -> str:
    if not all(_PART_LEVEL.fullmatch(part.strip()) for part in text.split(",")):
        raise ValueError(text)
    return text


LEVELS_BY_PART = Kind(
    f"parts and levels, as zab=debug,server.clients=error; levels are {', '.join(LEVELS)}", _parse_levels
)
# "bool!" of docs/protocol/configuration.md: anything else is fatal.
STRICT_BOOLEAN = Kind(
    "true or false", _parse_boolean, complaint="Invalid option {text} for {name}. Choose 'true' or 'false.'"
)
# "bool": a Java system property, false for everything but true.
BOOLEAN = Kind("true or false", _parse_boolean, complaint="{name}={text} is neither true nor false", fallback=False)
YES_NO = Kind("yes or no", _parse_yes, complaint="{name}={text} is neither yes nor no")
TEXT = Kind("a text", str)
WORDS = Kind("a list of words with commas between them, or * for all", _parse_words)
PORT = integer(0, 65535)
COUNT = integer(0)
MILLISECONDS = integer(0)
