"""The word `envi`."""

from pathlib import Path

from pyzk import VERSION_WORD
from pyzk.server.admin.environment import environment

CAPTURED = Path(__file__).parents[2] / "vectors" / "fourletter" / "envi.standalone.txt"


def test_envi_has_apaches_keys_in_apaches_order() -> None:
    captured = [line.split("=")[0] for line in CAPTURED.read_text().splitlines()[1:]]
    assert list(environment())[: len(captured)] == captured


def test_envi_begins_with_the_version_that_kazoo_reads() -> None:
    assert environment()["zookeeper.version"] == VERSION_WORD
    assert VERSION_WORD.split("-")[0].replace(".", "").isdigit()


def test_memory_is_in_megabytes() -> None:
    assert all(environment()[f"os.memory.{key}"].removesuffix("MB").isdigit() for key in ("free", "max", "total"))
