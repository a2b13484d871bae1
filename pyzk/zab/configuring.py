"""The configuration of an ensemble as it changes: seen when it is proposed, in force when it is committed.

With reconfig disabled nothing of this happens: the configuration is that of the file.
Source: docs/protocol/zab.md section 12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from pyzk.codec.jute import INT32
from pyzk.codec.opcodes import OpCode
from pyzk.codec.txns import TYPE_AT, SetDataTxn, decode_txn
from pyzk.errors import ConfigError, PeerError
from pyzk.zab.effects import ConfigChanged, SaveConfig
from pyzk.zab.membership import Membership, parse_text

if TYPE_CHECKING:
    from pyzk.zab.state import State

RECONFIG = INT32.pack(OpCode.RECONFIG)


def is_reconfig(payload: bytes) -> bool:
    """Whether a txn changes the configuration."""
    return payload.startswith(RECONFIG, TYPE_AT)


def membership_of(payload: bytes) -> Membership:
    """The configuration that a reconfig txn brings. Raises PeerError."""
    record = decode_txn(payload).record
    assert isinstance(record, SetDataTxn)
    return _parse(record.data)


def _parse(data: bytes | None) -> Membership:
    try:
        return parse_text((data or b"").decode())
    except (ConfigError, UnicodeDecodeError) as error:
        raise PeerError(f"a configuration that cannot be read: {error}") from error


def see_config(state: State, data: bytes | None) -> Membership | None:
    """A leader's newest configuration, proposed or committed; None if there is none. Raises PeerError."""
    return _see(state, _parse(data)) if state.settings.reconfig_enabled and data else None


def see_reconfig(state: State, payload: bytes | None) -> Membership | None:
    """A txn was proposed: if it changes the configuration, that is known from now on. Raises PeerError."""
    if payload is None or not is_reconfig(payload) or not state.settings.reconfig_enabled:
        return None
    return _see(state, membership_of(payload))


def _see(state: State, membership: Membership) -> Membership:
    if membership.version > state.last_seen.version:
        state.last_seen = membership
        state.effects.append(SaveConfig(membership.text(), is_next=True))
    return membership


def stamp_config(state: State, epoch: int) -> None:
    """The very first leader gives the configuration of the file its version (zab.md section 3.2)."""
    if state.settings.reconfig_enabled and state.membership.version == state.last_seen.version == 0:
        _see(state, attrs.evolve(state.membership, version=epoch << 32))


def forget_config(state: State, epoch: int) -> None:
    """Drop what was proposed before an epoch whose established leader does not know it: it was never committed.

    Differs from Apache: kept, it would want its quorum too in each election of which this server is a part.
    """
    if state.membership.version < state.last_seen.version < epoch << 32:
        state.last_seen = state.membership
        state.effects.append(SaveConfig(state.membership.text(), is_next=True))


def activate_config(state: State, after: Membership, designated: int, leader_id: int) -> bool:
    """A configuration is committed: act by it. True if our role or leader changes by that.

    Args:
        state: is changed.
        after: the configuration; what was last seen may be another one, which nobody has committed.
        designated: the server that leads from now on.
        leader_id: the server that leads now.
    """
    before = state.membership
    if after.version <= before.version:
        return False
    state.membership = after
    if after.version > state.last_seen.version:
        state.last_seen = after
    state.effects.append(SaveConfig(after.text(), is_next=False))
    state.effects.append(ConfigChanged(after.text(), after.version))
    if not after.same_members(before):
        state.election_restarts = True
    if designated != leader_id:
        state.designated = designated
        return True
    return _role(before, state.server_id) != _role(after, state.server_id)


def _role(membership: Membership, server_id: int) -> str:
    member = membership.find(server_id)
    return "" if member is None else member.role
