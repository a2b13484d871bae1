"""authProvider.X with providers in Python: loaded when the configuration is read, or the server does not start."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from pyzk.server.config import providers
from pyzk.server.config.identities import known_schemes, required_schemes
from pyzk.server.identities import make_provers, make_schemes
from tests.server.config_folder import Folder

HERE = "tests.server.test_config_providers"


class Ticket:
    scheme = "ticket"
    is_authenticated = True

    def prove(self, proof: bytes, address: str) -> list[str]:
        return [f"{proof.decode()}@{address}"]

    def is_valid(self, acl_id: str) -> bool:
        return bool(acl_id)

    def matches(self, identity: str, acl_id: str) -> bool:
        return identity == acl_id


class Shy(Ticket):
    def __init__(self) -> None:
        raise OSError("no key file")


class Thief(Ticket):
    scheme = "digest"


class Poor:
    scheme = "poor"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_provider_is_named_by_module_and_class(folder: Folder) -> None:
    config, warnings = folder.load_with_warnings(f"clientPort=1\nauthProvider.1={HERE}:Ticket\n")
    assert warnings == []
    assert b"ticket" in make_schemes(config)
    assert b"ticket" in make_provers(config)
    assert "ticket" in known_schemes(config)


def test_a_provider_is_found_by_the_name_of_its_entry_point(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("tickets", f"{HERE}:Ticket", providers.GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **query: EntryPoints([point]).select(**query))
    enforced = "enforce.auth.enabled=true\nenforce.auth.schemes=ticket\n"
    config = folder.load(f"clientPort=1\nauthProvider.1=tickets\n{enforced}")
    assert required_schemes(config) == {"ticket"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no.such.module:Provider", "ModuleNotFoundError"),
        (f"{HERE}:Nothing", "AttributeError"),
        (f"{HERE}:Shy", "no key file"),
        (f"{HERE}:Thief", "choose a name that no other scheme has"),
        (f"{HERE}:Poor", "it must have scheme, is_authenticated, prove, is_valid, matches"),
    ],
)
def test_a_provider_that_cannot_be_used_stops_the_server(folder: Folder, value: str, message: str) -> None:
    error = folder.refusal(f"authProvider.1={value}\n")
    assert error.setting == "authProvider.1"
    assert message in str(error)
