"""Java's properties syntax: configuration files, the text that servers send each other, requests of clients.

What keys mean is not known here. Rules: docs/protocol/configuration.md section 1.
"""

import re
from collections.abc import Callable, Iterator

from pyzk.errors import ConfigError
from pyzk.zab.entries import ConfigEntry

_BLANKS = " \t\f"
# Java's String.trim() drops everything up to the blank, control characters included.
_TRIMMED = "".join(map(chr, range(0x21)))
_ESCAPE = re.compile(r"\\(u.{0,4}|.)", re.DOTALL)
_WHOLE_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_ESCAPED_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
# The key ends at the first unescaped separator; blanks around one `=` or `:` belong to it.
_KEY = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*", re.DOTALL)


def parse_properties(text: str, name: str) -> list[ConfigEntry]:
    """The entries of a text in its order, duplicates included; the bytes of a file are latin-1."""
    return [entry for entry, _ in _entries_with_lines(text, name)]


def without_keys(text: str, name: str, is_unwanted: Callable[[str], bool]) -> str:
    """The text without the entries whose keys are unwanted; comments and all other lines stay as they are."""
    unwanted = {
        number for entry, numbers in _entries_with_lines(text, name) if is_unwanted(entry.key) for number in numbers
    }
    return "".join(line for number, line in enumerate(_WHOLE_LINE.findall(text), 1) if number not in unwanted)


def _entries_with_lines(text: str, name: str) -> Iterator[tuple[ConfigEntry, range]]:
    for numbers, line in _logical_lines(text):
        match = _KEY.match(line)
        assert match is not None, "the pattern accepts every text"
        source = f"{name}:{numbers[0]}"
        key = _unescape(match[1], source).strip(_TRIMMED)
        value = _unescape(line[match.end() :], source).strip(_TRIMMED)
        yield ConfigEntry(key, value, source), numbers


def _logical_lines(text: str) -> Iterator[tuple[range, str]]:
    """Lines with their numbers, without comments and blank lines, continued ones joined."""
    joined, began = "", 0
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        content = line.lstrip(_BLANKS)
        if not joined and (not content or content[0] in "#!"):
            continue
        began = began if joined else number
        if _is_continued(content):
            joined += content[:-1]
            # A lone backslash leaves nothing to join to, so the next line is a new one.
            continue
        yield range(began, number + 1), joined + content
        joined = ""
    if joined:
        yield range(began, number + 1), joined


def _is_continued(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _unescape(text: str, source: str) -> str:
    def replace(match: re.Match[str]) -> str:
        escaped = match[1]
        if escaped[0] != "u":
            return _ESCAPED_CONTROLS.get(escaped, escaped)
        if not re.fullmatch(r"u[0-9a-fA-F]{4}", escaped):
            message = r"Malformed \uxxxx encoding."
            raise ConfigError(source, text, rf"{message} In {source}: write four hexadecimal digits after \u.")
        return chr(int(escaped[1:], 16))

    return _ESCAPE.sub(replace, text)
