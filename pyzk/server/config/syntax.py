"""The -D flags of JVMFLAGS. What keys mean is not known here.

Rules: docs/protocol/configuration.md section 1.
"""

from collections.abc import Mapping, Sequence

from pyzk.errors import ConfigError
from pyzk.zab.entries import ConfigEntry


def parse_jvm_flags(
    environ: Mapping[str, str], variables: Sequence[str] = ("SERVER_JVMFLAGS", "JVMFLAGS")
) -> list[ConfigEntry]:
    """The -Dname=value flags of these variables in the shell's order: the last one counts.

    All other flags speak to a Java machine and are ignored.
    """
    return [
        ConfigEntry(*_definition(flag), source=variable)
        for variable in variables
        for flag in _words(variable, environ.get(variable, ""))
        if flag.startswith("-D")
    ]


def _words(variable: str, text: str) -> list[str]:
    if not text:
        return []
    import shlex  # noqa: PLC0415 - few have flags

    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(variable, text, f"{variable} has a quote without its pair ({error}): close it.") from error


def _definition(flag: str) -> tuple[str, str]:
    name, _, value = flag.removeprefix("-D").partition("=")
    return name, value
