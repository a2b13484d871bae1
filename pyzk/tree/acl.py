"""Access control: the table of ACL lists, the schemes, and the two questions asked of a list.

May these identities do this (`permits`), and what does a list sent by a client become (`fix_up`)? An identity is a
tuple (scheme, id). Source: docs/protocol/data-model.md section 6. Where identities come from is the server's matter.
"""

import base64
import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

from pyzk.codec.opcodes import Perms
from pyzk.codec.records import ACL, OPEN_ACL, open_acl
from pyzk.errors import InvalidAclError, MarshallingError

Identity = tuple[bytes, bytes]
"""Scheme and id of somebody that a connection has shown itself to be."""

OPEN = -1
"""Index of the list that allows everything to everybody."""

SUPER = b"super"
"""Identities of this scheme may do anything."""


class Scheme(Protocol):
    """What a scheme of identities must know."""

    @property
    def is_authenticated(self) -> bool:
        """Do its identities take the place of an `auth` entry?"""

    def valid(self, acl_id: bytes) -> bool:
        """May this id stand in an ACL entry?"""

    def matches(self, identity_id: bytes, acl_id: bytes) -> bool:
        """Is this identity the one, or one of those, that the entry means?"""


class DigestScheme:
    """`user:hash`, shown by sending user and password."""

    is_authenticated = True

    def valid(self, acl_id: bytes) -> bool:
        """Two parts around one colon; the first may be empty. More colons may only follow at the end."""
        return len(acl_id.rstrip(b":").split(b":")) == 2

    def matches(self, identity_id: bytes, acl_id: bytes) -> bool:
        return identity_id == acl_id


class IpScheme:
    """The client's address; an ACL entry may hold a network: `10.0.0.0/8`."""

    is_authenticated = False

    def valid(self, acl_id: bytes) -> bool:
        return parse_network(acl_id) is not None

    def matches(self, identity_id: bytes, acl_id: bytes) -> bool:
        """Same family and equal as far as the entry's bits go."""
        network = parse_network(acl_id)
        address = parse_network(identity_id)
        if network is None or address is None or network[2] != address[2]:
            return False
        number, bits, width = network
        return (number ^ address[0]) >> (width - bits) == 0


SCHEMES: Mapping[bytes, Scheme] = MappingProxyType({b"digest": DigestScheme(), b"ip": IpScheme()})
"""Schemes that need no set-up. `world`, `auth` and `super` are not in it: they follow rules of their own."""


class AccessControl:
    """The rules of a server.

    Args:
        schemes: by name; a server with SASL or TLS adds its own to `SCHEMES`.
        skip: allow everything (`skipACL=yes`). Lists are still fixed up.
    """

    __slots__ = ("_schemes", "skip")

    def __init__(self, schemes: Mapping[bytes, Scheme] = SCHEMES, *, skip: bool = False) -> None:
        self._schemes = dict(schemes)
        self.skip = skip

    def use(self, schemes: Mapping[bytes, Scheme]) -> None:
        """From now on these are the schemes."""
        self._schemes = dict(schemes)

    def permits(self, acl: list[ACL] | None, perms: int, identities: Collection[Identity]) -> bool:
        """May any of `identities` do what any bit of `perms` stands for?"""
        if self.skip or not acl:
            return True
        return any(entry.perms & perms and self._matches(entry, identities) for entry in acl) or any(
            scheme == SUPER for scheme, _ in identities
        )

    def _matches(self, entry: ACL, identities: Collection[Identity]) -> bool:
        if entry.scheme == b"world" and entry.id == b"anyone":
            return True
        scheme = self._schemes.get(entry.scheme or b"")
        acl_id = entry.id
        if scheme is None or acl_id is None:
            return False
        return any(name == entry.scheme and scheme.matches(identity, acl_id) for name, identity in identities)

    def fix_up(self, acl: list[ACL] | None, identities: Collection[Identity]) -> list[ACL]:
        """The list to store for one that a client sent: no entry twice, `auth` replaced by who the client is.

        Raises:
            InvalidAclError: an empty list, or an entry that is not valid.
            MarshallingError: an entry without an id, as Apache answers it.
        """
        if acl is OPEN_ACL:
            return acl
        if not acl:
            raise InvalidAclError("the ACL list is empty")
        unique = {(entry.perms, entry.scheme, entry.id): entry for entry in acl}
        return [fixed for entry in unique.values() for fixed in self._fix_entry(entry, identities)]

    def _fix_entry(self, entry: ACL, identities: Collection[Identity]) -> list[ACL]:
        if entry.scheme == b"auth":
            return self._expand(entry.perms, identities)
        scheme = self._schemes.get(entry.scheme or b"")
        if entry.scheme != b"world" and scheme is None:
            raise InvalidAclError(f"no such scheme: {entry.scheme!r}")
        if entry.id is None:
            raise MarshallingError(f"an ACL entry of scheme {entry.scheme!r} has no id")
        if not (scheme.valid(entry.id) if scheme else entry.id == b"anyone"):
            raise InvalidAclError(f"{entry.id!r} is no id of scheme {entry.scheme!r}")
        return [entry]

    def _expand(self, perms: int, identities: Collection[Identity]) -> list[ACL]:
        entries = [ACL(perms, scheme, identity) for scheme, identity in identities if self._is_authenticated(scheme)]
        if not entries:
            raise InvalidAclError("an auth entry, but the connection has not authenticated")
        return entries

    def _is_authenticated(self, name: bytes) -> bool:
        scheme = self._schemes.get(name)
        return scheme is not None and scheme.is_authenticated

    def shown(self, acl: list[ACL] | None, identities: Collection[Identity]) -> list[ACL]:
        """The list as getACL answers it: who may not administer the znode does not see the hashes."""
        if self.permits(acl, Perms.ADMIN, identities):
            return open_acl() if acl is None else acl
        return [_redacted(entry) for entry in acl or []]


def _redacted(entry: ACL) -> ACL:
    if entry.scheme != b"digest" or entry.id is None or b":" not in entry.id:
        return entry
    return ACL(entry.perms, entry.scheme, entry.id.split(b":", 1)[0] + b":x")


def digest_id(user_password: bytes, algorithm: str = "SHA1") -> bytes:
    """The id of scheme digest for `user:password`: the user and the hash of both, in base64.

    Args:
        user_password: without a colon the whole of it is taken for the user.
        algorithm: as the operator names it (`digestAlg`): SHA1, SHA-256, SHA3-256 ...
    """
    name = algorithm.lower().replace("sha-", "sha").replace("-", "_")
    digest = hashlib.new(name, user_password, usedforsecurity=False).digest()
    return user_password.split(b":", 1)[0] + b":" + base64.b64encode(digest)


_DECIMAL = re.compile(rb"[+-]?[0-9]{1,10}")
_HEXADECIMAL = re.compile(rb"[0-9a-fA-F]{1,4}")


@lru_cache(maxsize=4096)
def parse_network(text: bytes) -> tuple[int, int, int] | None:
    """Read `address` or `address/bits`: the address as a number, its leading bits that count, and its width in bits."""
    address, slash, mask = text.partition(b"/")
    number = _parse_ipv6(address) if b":" in address else _parse_ipv4(address)
    width = 128 if b":" in address else 32
    bits = _parse_decimal(mask) if slash else width
    if number is None or bits is None or not 0 <= bits <= width:
        return None
    return number, bits, width


def _parse_decimal(digits: bytes) -> int | None:
    return int(digits) if _DECIMAL.fullmatch(digits) else None


def _parse_ipv4(address: bytes) -> int | None:
    parts = [_parse_decimal(part) for part in address.split(b".")]
    octets = [part for part in parts if part is not None and 0 <= part <= 255]
    return int.from_bytes(bytes(octets), "big") if len(parts) == len(octets) == 4 else None


def _parse_ipv6(address: bytes) -> int | None:
    """Eight groups, or fewer with one `::` that stands for at least one group. No dotted IPv4 tail, as in Apache."""
    halves = [half.split(b":") if half else [] for half in address.split(b"::")]
    zeros = 8 - sum(len(half) for half in halves)
    if len(halves) > 2 or (zeros != 0 if len(halves) == 1 else zeros < 1):
        return None
    groups = halves[0] + [b"0"] * zeros + (halves[1] if len(halves) == 2 else [])
    if not all(_HEXADECIMAL.fullmatch(group) for group in groups):
        return None
    return int(b"".join([group.rjust(4, b"0") for group in groups]), 16)


class AclTable:
    """Every list once, under an index with a count of the znodes that use it.

    Indexes are written to snapshots, so they follow Apache's rule: counted up, never reused while the server runs.
    """

    __slots__ = ("_counts", "_index_of", "_lists", "last_index", "open")

    def __init__(self) -> None:
        self.last_index = 0
        # Indexes that need no look at the list: most znodes of most trees have one of these.
        self.open = {OPEN}
        self._lists: dict[int, list[ACL]] = {}
        self._counts: dict[int, int] = {}
        self._index_of: dict[tuple[tuple[int, bytes | None, bytes | None], ...], int] = {}

    def intern(self, acl: list[ACL] | None) -> int:
        """The index of a list for one more znode; `OPEN` for None."""
        if acl is None:
            return OPEN
        key = OPEN_KEY if acl is OPEN_ACL else _key(acl)
        index = self._index_of.get(key)
        if index is None:
            index = self.last_index = self.last_index + 1
            self._index_of[key] = index
            self._lists[index] = acl
            self._counts[index] = 0
            self._note_open(index, acl)
        self._counts[index] += 1
        return index

    def release(self, index: int) -> None:
        """One znode less uses this list; the last one takes it along."""
        if index == OPEN:
            return
        self._counts[index] -= 1
        if self._counts[index] == 0:
            self._drop(index)

    def get(self, index: int) -> list[ACL] | None:
        """The list; None for `OPEN`. Raises KeyError for an index that is not in the table."""
        return None if index == OPEN else self._lists[index]

    def count(self, index: int) -> int:
        """How many znodes use this list."""
        return self._counts.get(index, 0)

    def restore(self, index: int, acl: list[ACL]) -> None:
        """Put in a list as a snapshot has it; `use` then counts its znodes and `drop_unused` ends the loading."""
        self._lists[index] = acl
        self._index_of[_key(acl)] = index
        self._counts[index] = 0
        self._note_open(index, acl)
        self.last_index = max(self.last_index, index)

    def _note_open(self, index: int, acl: list[ACL]) -> None:
        if any(entry.perms == Perms.ALL and entry.scheme == b"world" and entry.id == b"anyone" for entry in acl):
            self.open.add(index)

    def use(self, index: int) -> None:
        """A znode of a snapshot uses this list. Raises KeyError if the snapshot did not have it."""
        if index != OPEN:
            self._counts[index] += 1

    def drop_unused(self) -> None:
        """Drop the restored lists that no znode uses."""
        for index in [index for index, count in self._counts.items() if count == 0]:
            self._drop(index)

    def _drop(self, index: int) -> None:
        key = _key(self._lists.pop(index))
        del self._counts[index]
        self.open.discard(index)
        if self._index_of.get(key) == index:
            del self._index_of[key]

    def __len__(self) -> int:
        return len(self._lists)

    def __iter__(self) -> Iterator[tuple[int, list[ACL]]]:
        """Index and list, in order of the index."""
        return iter(sorted(self._lists.items()))


def _key(acl: list[ACL]) -> tuple[tuple[int, bytes | None, bytes | None], ...]:
    return tuple([(entry.perms, entry.scheme, entry.id) for entry in acl])


OPEN_KEY = _key(OPEN_ACL)
