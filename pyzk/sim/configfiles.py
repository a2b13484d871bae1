"""The configuration files of a simulated server: zoo.cfg and what a reconfig makes beside it, on its disk.

They are written by the production code (`zab/dynamic_files.py`), and read as `server/config` reads them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pyzk.errors import StorageError
from pyzk.sim.disk import PowerLostError
from pyzk.storage.disk import replace
from pyzk.zab.dynamic_files import DynamicFiles
from pyzk.zab.entries import ConfigEntry
from pyzk.zab.membership import Membership, check_dynamic_entries, parse_membership, parse_text, version_of_name
from pyzk.zab.properties import parse_properties

if TYPE_CHECKING:
    from random import Random

    from pyzk.sim.disk import SimulatedDisk
    from pyzk.zab.effects import SaveConfig

DIRECTORY, NAME = "/conf", "zoo.cfg"
POINTER = "dynamicConfigFile"
CUT_CHANCE = 0.03
"""How often the power fails while one of them is written."""
CALLS_MAX = 30


class ConfigFiles:
    """Those of one server.

    Args:
        membership: the first configuration, which stands in zoo.cfg itself.
        rng: of power that fails meanwhile.
    """

    def __init__(self, disk: SimulatedDisk, server_id: int, membership: Membership, rng: Random) -> None:
        self._disk = disk
        self._rng = rng
        self._server_id = server_id
        self._files = DynamicFiles(disk, f"{DIRECTORY}/{NAME}", server_id)
        disk.make_directory(DIRECTORY)
        self.begin_anew(membership.lines())

    def begin_anew(self, servers: list[str]) -> None:
        """An operator writes zoo.cfg, with this list of servers in it; what was proposed meanwhile stays beside it."""
        lines = [f"# of server {self._server_id}", "tickTime=2000", "clientPort=2181", *servers]
        replace(self._disk, DIRECTORY, NAME, "\n".join(lines).encode())

    def save(self, effect: SaveConfig, *, may_be_cut: bool) -> bool:
        """Write what the agreement tells; whether the server has power still."""
        membership = parse_text(effect.text)
        if may_be_cut and self._rng.random() < CUT_CHANCE:
            self._disk.fuse.left = self._rng.randrange(CALLS_MAX)
        try:
            (self._files.save_next if effect.is_next else self._files.save_committed)(membership)
        except StorageError:
            pass  # as in `server/ensemble.py`: the ensemble knows it, and tells it again
        except PowerLostError:
            return False
        finally:
            self._disk.fuse.left = None
        return True

    def load(self) -> tuple[Membership, Membership]:
        """The committed configuration, and the newest one."""
        entries = self._entries(NAME)
        pointer = next((entry.value for entry in entries if entry.key == POINTER), "")
        version = 0
        if pointer:
            name = pointer.rpartition("/")[2]
            entries, version = self._entries(name), version_of_name(name)
            check_dynamic_entries(entries)
        else:
            with suppress(StorageError):  # as in `server/ensemble.py`
                self._files.back_up()
        lines = [entry for entry in entries if entry.key.startswith(("server.", "group.", "weight."))]
        committed = parse_membership(lines, multi_address_enabled=True, version=version)
        proposed = self._files.load_next()
        return committed, proposed if proposed is not None and proposed.version > committed.version else committed

    def _entries(self, name: str) -> list[ConfigEntry]:
        return parse_properties(self._disk.read(f"{DIRECTORY}/{name}").decode("latin-1"), name)
