"""What all tests share: a random generator whose seed is known when a test fails."""

import os
import random
import zlib

import pytest
from hypothesis import settings

# A machine that is busy with something else must not fail a property; the blob replays what was found.
settings.register_profile("pyzk", deadline=None, print_blob=True)
settings.load_profile("pyzk")

SEED_VARIABLE = "PYZK_SEED"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number of the test's own, the same in every run; PYZK_SEED=N replays with another one."""
    given = os.environ.get(SEED_VARIABLE)
    value = int(given) if given else zlib.crc32(request.node.nodeid.encode())
    print(f"{SEED_VARIABLE}={value}")
    return value


@pytest.fixture
def rng(seed: int) -> random.Random:
    """Randomness for one test; pytest prints the seed when the test fails."""
    return random.Random(seed)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--rewrite` writes the traces of tests/scenarios anew."""
    parser.addoption("--rewrite", action="store_true", help="write the traces of tests/scenarios anew")
