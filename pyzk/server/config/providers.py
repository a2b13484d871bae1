"""Authentication providers of an operator's own: found by the name of an entry point, or as `module:class`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pyzk.errors import ConfigError
from pyzk.service.provider import AuthProvider
from pyzk.zab.entries import ConfigEntry

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

GROUP = "pyzk.auth_providers"
"""Entry points of packages that bring providers."""
OURS = frozenset({"world", "auth", "super", "ip", "digest", "sasl", "x509", "ensemble"})
METHODS = ("prove", "is_valid", "matches")


def is_python(value: str) -> bool:
    """Whether authProvider.X names a provider in Python; else it is a class of Java's."""
    return ":" in value or bool(_points(value))


def _points(name: str) -> EntryPoints:
    from importlib.metadata import entry_points  # noqa: PLC0415 - costs 80 modules, and few servers have such a provider

    return entry_points(group=GROUP, name=name)


def load_provider(entry: ConfigEntry) -> AuthProvider:
    """The provider of an authProvider.X. Raises ConfigError."""
    try:
        made = _find(entry.value)()
    except Exception as error:
        # Whatever the module does when it is imported: without its scheme the server must not start.
        raise entry.refused(f"{entry.value} cannot be loaded", f"{type(error).__name__}: {error}") from error
    scheme = getattr(made, "scheme", None)
    missing = [name for name in METHODS if not callable(getattr(made, name, None))]
    if not isinstance(scheme, str) or not scheme or not hasattr(made, "is_authenticated") or missing:
        raise _incomplete(entry)
    if scheme in OURS:
        raise entry.refused(f"{entry.value} has the scheme {scheme}", "choose a name that no other scheme has")
    provider: AuthProvider = made
    return provider


def _incomplete(entry: ConfigEntry) -> ConfigError:
    wanted = ", ".join(("scheme", "is_authenticated", *METHODS))
    return entry.refused(f"{entry.value} is no authentication provider", f"it must have {wanted}")


def _find(value: str) -> type:
    if ":" in value:
        module, _, name = value.partition(":")
        loaded: type = getattr(import_module(module), name)
    else:
        (found,) = _points(value)
        loaded = found.load()
    return loaded
