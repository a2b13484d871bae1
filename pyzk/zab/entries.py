"""One setting as it was written, and how a wrong one is complained about.

The server list comes out of files, out of the text that servers send each other, and out of the requests of clients;
its lines have this form in all three.
"""

import re

import attrs

from pyzk.errors import ConfigError


@attrs.frozen
class ConfigEntry:
    """A key and its value; `source` says where it was written, for messages: `conf/zoo.cfg:3`."""

    key: str
    value: str
    source: str

    def refused(self, message: str, remedy: str) -> ConfigError:
        """The error for this entry, with the place in it."""
        return refused(self.key, self.value, message, f"{self.source}: {remedy}")


def refused(name: str, value: object, message: str, remedy: str) -> ConfigError:
    """A ConfigError whose text is Apache's message, then the setting, its value and what to do."""
    return ConfigError(name, value, f"{message} [{name}={value}] {remedy}")


def parse_decimal(text: str) -> int:
    """Java's Integer.parseInt: int() would also take blanks, underscores and other scripts' digits."""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError(text)
    return int(text)


def parse_long(text: str) -> int:
    """Java's Long.parseLong: a decimal number of 64 bits."""
    value = parse_decimal(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError(text)
    return value
