"""What a server is at the moment, for those who tell about servers of both kinds.

A standalone server imports nothing that only ensembles need: here it is imported where there can be one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from pyzk.server.peer import Peer

if TYPE_CHECKING:
    from pyzk.server.driver import Driver
    from pyzk.server.memberdriver import MemberDriver
    from pyzk.zab.leading import Leading
    from pyzk.zab.learning import Learning


def is_member(driver: Driver) -> TypeGuard[MemberDriver]:
    """Whether it is of a member of an ensemble."""
    return not isinstance(driver, Peer)


def leading(driver: MemberDriver) -> Leading | None:
    """Its role, if it is the leader's."""
    from pyzk.zab.leading import Leading  # noqa: PLC0415 - a member has it

    role = driver.member.peer.role
    return role if isinstance(role, Leading) else None


def learning(driver: MemberDriver) -> Learning | None:
    """Its role, if it is a follower's or an observer's."""
    from pyzk.zab.learning import Learning  # noqa: PLC0415 - a member has it

    role = driver.member.peer.role
    return role if isinstance(role, Learning) else None
