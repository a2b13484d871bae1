"""One member of an ensemble: what becomes of requests when agreement has taken another turn meanwhile."""

from random import Random
from types import SimpleNamespace

import pytest

from pyzk.codec.requests import ReconfigRequest
from pyzk.errors import ReconfigInProgressError
from pyzk.service.member import Member
from tests.service.harness import World


def test_a_reconfig_that_comes_with_the_end_of_our_term_is_refused() -> None:
    world = World()
    Member(world.service, world.proposer, SimpleNamespace(state=None, role=None), Random(1))  # type: ignore[arg-type]
    assert world.proposer.rules.reconfigure is not None
    with pytest.raises(ReconfigInProgressError):
        world.proposer.rules.reconfigure(ReconfigRequest(None, b"3", None, -1), 1)
