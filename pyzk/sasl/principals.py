"""Kerberos names (`service/host@REALM`) and the rules that make short names of them (`security.auth_to_local`).

Also names of users of DIGEST-MD5 go through here, as in Apache. Source: docs/protocol/client-protocol.md section 8;
the syntax of the rules is MIT Kerberos'.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyzk.errors import SaslError

_NAME = re.compile(r"([^/@]*)(?:/([^/@]*))?@([^/@]*)")
_RULE = re.compile(r"\s*(?:(DEFAULT)|RULE:\[(\d*):([^\]]*)\](?:\(([^)]*)\))?(?:s/([^/]*)/([^/]*)/(g)?)?)", re.ASCII)
_PARAMETER = re.compile(r"\$(\d+)", re.ASCII)
_JAVA_GROUP = re.compile(r"\$(\d)", re.ASCII)
_NOT_SIMPLE = re.compile(r"[/@]")


class Principal(NamedTuple):
    """The parts of a name; host and realm are None where the name has none."""

    service: str
    host: str | None
    realm: str | None


def parse_principal(name: str) -> Principal:
    """Take a name apart. A name without @ is taken as a whole. Raises SaslError."""
    match = _NAME.fullmatch(name)
    if match is not None:
        return Principal(match[1], match[2], match[3])
    if "@" in name:
        raise SaslError(f"{name!r} is no Kerberos name")
    return Principal(name, None, None)


def is_principal(name: str) -> bool:
    """Whether a name can be one."""
    return "@" not in name or _NAME.fullmatch(name) is not None


@dataclass(slots=True)
class Rule:
    """One rule; without a format it is DEFAULT."""

    component_count: int = 0
    format: str = ""
    match: re.Pattern[str] | None = None
    pattern: re.Pattern[str] | None = None
    replacement: str = ""
    everywhere: bool = False

    def apply(self, parts: Sequence[str], default_realm: str) -> str | None:
        """The short name for realm and components; None if the rule is not for them. Raises SaslError."""
        short = self._short(parts, default_realm)
        if short is not None and _NOT_SIMPLE.search(short):
            raise SaslError(f"a rule of security.auth_to_local makes {short!r}, which is no short name")
        return short

    def _short(self, parts: Sequence[str], default_realm: str) -> str | None:
        if not self.format:
            return parts[1] if parts[0] == default_realm else None
        if len(parts) - 1 != self.component_count:
            return None
        base = _PARAMETER.sub(lambda found: _part(parts, int(found[1])), self.format)
        if self.match is not None and not self.match.fullmatch(base):
            return None
        if self.pattern is None:
            return base
        return self.pattern.sub(self.replacement, base, count=0 if self.everywhere else 1)


def _part(parts: Sequence[str], number: int) -> str:
    if number >= len(parts):
        raise SaslError(f"a rule of security.auth_to_local asks for part {number} of {len(parts) - 1}")
    return parts[number]


def parse_rules(text: str) -> list[Rule]:
    """The rules of a text, in their order. Raises ValueError."""
    rules: list[Rule] = []
    rest = text.strip()
    while rest:
        match = _RULE.match(rest)
        if match is None:
            raise ValueError(rest)
        default, count, form, condition, pattern, replacement, everywhere = match.groups()
        rules.append(Rule() if default else _rule(count, form, condition, pattern, replacement, everywhere))
        rest = rest[match.end() :].strip()
    return rules


def _rule(
    count: str, form: str, condition: str | None, pattern: str | None, replacement: str | None, everywhere: str | None
) -> Rule:
    if not count or not form:
        raise ValueError(form)
    try:
        return Rule(
            int(count),
            form,
            None if condition is None else re.compile(condition),
            None if pattern is None else re.compile(pattern),
            _JAVA_GROUP.sub(r"\\\1", replacement or ""),
            everywhere is not None,
        )
    except re.error as error:
        raise ValueError(f"{form}: {error}") from error


@dataclass(slots=True)
class Names:
    """What becomes of the name that a client has proven.

    Attributes:
        rules: of security.auth_to_local; empty is DEFAULT.
        default_realm: of this machine.
        without_host, without_realm: leave these parts out (kerberos.removeHostFromPrincipal and its sibling).
    """

    rules: Sequence[Rule] = (Rule(),)
    default_realm: str = ""
    without_host: bool = False
    without_realm: bool = False

    def identity(self, name: str) -> str:
        """The id for ACLs. A name for which there is no rule stays as it is. Raises SaslError."""
        principal = parse_principal(name)
        short = self._short(principal)
        if short is None:
            return name
        host = "" if principal.host is None or self.without_host else f"/{principal.host}"
        realm = "" if principal.realm is None or self.without_realm else f"@{principal.realm}"
        return f"{short}{host}{realm}"

    def _short(self, principal: Principal) -> str | None:
        if principal.realm is None:
            return principal.service
        parts = [part for part in (principal.realm, principal.service, principal.host) if part is not None]
        try:
            return next(
                (short for rule in self.rules if (short := rule.apply(parts, self.default_realm)) is not None), None
            )
        except SaslError:
            return None


def member_of(hosts: Collection[str], principal: str) -> str:
    """The principal `service/host@REALM` of a server, if that host is one of the ensemble's. Raises SaslError."""
    if parse_principal(principal).host not in hosts:
        raise SaslError(f"{principal} is the principal of no server of this ensemble")
    return principal
