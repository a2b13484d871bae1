"""The text form of settings: Java properties files and the -D flags of JVMFLAGS. What keys mean is not known here.

Rules: docs/protocol/configuration.md section 1.
"""

import re
import shlex
from collections.abc import Iterator, Mapping

from pyzk.errors import ConfigError
from pyzk.zab.entries import ConfigEntry

_BLANKS = " \t\f"
# Java's String.trim() drops everything up to the blank, control characters included.
_TRIMMED = "".join(map(chr, range(0x21)))
_ESCAPE = re.compile(r"\\(u.{0,4}|.)", re.DOTALL)
_ESCAPED_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
# The key ends at the first unescaped separator; blanks around one `=` or `:` belong to it.
_KEY = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*", re.DOTALL)


def parse_properties(data: bytes, name: str) -> list[ConfigEntry]:
    """The entries of a properties file in file order, duplicates included."""
    entries = []
    for number, line in _logical_lines(data.decode("latin-1")):
        match = _KEY.match(line)
        assert match is not None, "the pattern accepts every text"
        source = f"{name}:{number}"
        key = _unescape(match[1], source).strip(_TRIMMED)
        value = _unescape(line[match.end() :], source).strip(_TRIMMED)
        entries.append(ConfigEntry(key, value, source))
    return entries


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
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
        yield began, joined + content
        joined = ""
    if joined:
        yield began, joined


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


def parse_jvm_flags(environ: Mapping[str, str]) -> list[ConfigEntry]:
    """The -Dname=value flags of SERVER_JVMFLAGS and JVMFLAGS in the shell's order: the last one counts.

    All other flags speak to a Java machine and are ignored.
    """
    return [
        ConfigEntry(*_definition(flag), source=variable)
        for variable in ("SERVER_JVMFLAGS", "JVMFLAGS")
        for flag in _words(variable, environ.get(variable, ""))
        if flag.startswith("-D")
    ]


def _words(variable: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(variable, text, f"{variable} has a quote without its pair ({error}): close it.") from error


def _definition(flag: str) -> tuple[str, str]:
    name, _, value = flag.removeprefix("-D").partition("=")
    return name, value
