"""JAAS files: where Apache's server and its clients find passwords and keytabs.

    Server {
        org.apache.zookeeper.server.auth.DigestLoginModule required
        user_bob="secret";
    };

Each section has login modules with options; ZooKeeper uses the first. Source: docs/protocol/configuration.md section 7.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pyzk.errors import SaslError

_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|/\*.*?\*/)|(?P<quoted>"(?:[^"\\\n]|\\.)*")|(?P<mark>[{};=])|(?P<word>[^\s{};="]+)""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
_FLAGS = frozenset({"required", "requisite", "sufficient", "optional"})
_USER = "user_"


@dataclass(slots=True)
class LoginModule:
    """One module: the class that a Java machine would load, and its options."""

    class_name: str
    options: dict[str, str]

    @property
    def is_digest(self) -> bool:
        """Whether it holds names and passwords."""
        return self.class_name.endswith(".DigestLoginModule")

    @property
    def is_kerberos(self) -> bool:
        """Whether it holds a principal and its keytab."""
        return self.class_name.endswith(".Krb5LoginModule")

    @property
    def users(self) -> dict[str, str]:
        """The password of each `user_NAME`."""
        return {key.removeprefix(_USER): value for key, value in self.options.items() if key.startswith(_USER)}


def parse_jaas(text: str) -> dict[str, LoginModule]:
    """The first module of each section, by the section's name. Raises SaslError with the line."""
    words = _Words(text)
    sections: dict[str, LoginModule] = {}
    while words.peek():
        name = words.word("the name of a section")
        words.mark("{")
        modules = []
        while words.peek() != "}":
            modules.append(_module(words))
        words.mark("}")
        words.mark(";")
        if not modules:
            raise words.error(f"section {name} has no login module")
        if name in sections:
            raise words.error(f"section {name} is there twice")
        sections[name] = modules[0]
    return sections


def _module(words: "_Words") -> LoginModule:
    class_name = words.word("a login module's class")
    if words.word("required, requisite, sufficient or optional").lower() not in _FLAGS:
        raise words.error("behind the class of a login module stands required, requisite, sufficient or optional")
    options: dict[str, str] = {}
    while words.peek() != ";":
        key = words.word("an option")
        words.mark("=")
        options[key] = words.word(f"the value of {key}")
    words.mark(";")
    return LoginModule(class_name, options)


class _Words:
    """The tokens of a text, one ahead; quoted ones are never taken for marks."""

    def __init__(self, text: str) -> None:
        self._tokens = self._read(text)
        self._next = next(self._tokens)

    def _read(self, text: str) -> Iterator[tuple[str, str, int]]:
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            line = text.count("\n", 0, position) + 1
            if match is None:
                raise SaslError(f"line {line}: a quote or comment has no end")
            kind = match.lastgroup or ""
            if kind != "blank":
                yield kind, match.group(), line
            position = match.end()
        yield "", "", text.count("\n") + 1

    def peek(self) -> str:
        """The mark that is next, "word" for a word, empty at the end."""
        kind, token, _ = self._next
        return token if kind == "mark" else "word" if kind else ""

    def word(self, expected: str) -> str:
        """Take a word or a quoted text."""
        kind, token, _ = self._next
        if kind not in {"word", "quoted"}:
            raise self.error(f"expected {expected}, not {token or 'the end'!r}")
        self._next = next(self._tokens)
        return token if kind == "word" else _ESCAPE.sub(_unescaped, token[1:-1])

    def mark(self, expected: str) -> None:
        """Take this mark."""
        kind, token, _ = self._next
        if kind != "mark" or token != expected:
            raise self.error(f"expected {expected!r}, not {token or 'the end'!r}")
        # Behind the last mark stands the end.
        self._next = next(self._tokens)

    def error(self, message: str) -> SaslError:
        """The message with the line in front."""
        return SaslError(f"line {self._next[2]}: {message}")


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPED_CONTROLS.get(match.group(1), match.group(1))
