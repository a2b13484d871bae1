"""The files of the ensemble's configuration, which servers write themselves when reconfigEnabled is set.

Beside the configuration file, here called zoo.cfg: `zoo.cfg.dynamic.VERSION` has the committed membership,
`zoo.cfg.dynamic.next` one that is proposed, `zoo.cfg.bak` what zoo.cfg was before its server list was taken out.
Source: docs/protocol/zab.md section 12.2, docs/protocol/configuration.md section 4.
"""

from pyzk.errors import ConfigError
from pyzk.storage.disk import Disk, replace
from pyzk.zab.membership import Membership, is_membership_key, parse_text
from pyzk.zab.properties import parse_properties, without_keys

_POINTER = "dynamicConfigFile"


class DynamicFiles:
    """Writes and reads them; every write is one durable step. Raises StorageError.

    Args:
        disk: the file system.
        config_path: of zoo.cfg, absolute.
        server_id: our own: once our line has a client address, zoo.cfg has none.
    """

    def __init__(self, disk: Disk, config_path: str, server_id: int) -> None:
        self._disk = disk
        self._server_id = server_id
        assert config_path.startswith("/"), "the path is written down for a later start, maybe in another directory"
        self._directory, _, self._name = config_path.rpartition("/")
        self._next_name = f"{self._name}.dynamic.next"

    def save_committed(self, membership: Membership) -> None:
        """Make a committed membership the one of the next start; `.next` goes, unless it has a newer version."""
        name = f"{self._name}.dynamic.{membership.version:x}"
        # In this order: zoo.cfg never names a file that is not there, and `.next` covers for it until then.
        self._write(name, sorted(membership.lines()))
        self._point_to(name, membership)
        proposed = self.load_next()
        if proposed is not None and proposed.version <= membership.version:
            self.remove_next()

    def save_next(self, membership: Membership) -> None:
        """Remember a membership that is proposed, with its version."""
        self._write(self._next_name, sorted(membership.text().split("\n")))

    def remove_next(self) -> None:
        """Forget what was proposed, if there is anything."""
        if self._has(self._next_name):
            self._disk.remove(self._path(self._next_name))
            self._disk.sync_directory(self._directory)

    def load_next(self) -> Membership | None:
        """The membership last proposed, None without one; ConfigError if its file cannot be understood."""
        if not self._has(self._next_name):
            return None
        path = self._path(self._next_name)
        try:
            return parse_text(self._read(self._next_name), path)
        except ConfigError as error:
            remedy = f"{error} ({path} holds a proposal of a reconfiguration: mend it, or remove it to start without)"
            raise ConfigError(error.setting, error.value, remedy) from error

    def back_up(self) -> None:
        """Keep a copy of a zoo.cfg that has the server list in it; another one is left as it is."""
        text = self._read(self._name)
        if any(_is_membership(entry.key) for entry in parse_properties(text, self._name)):
            replace(self._disk, self._directory, f"{self._name}.bak", text.encode("latin-1"))

    def _point_to(self, name: str, membership: Membership) -> None:
        """Rewrite zoo.cfg: without what the membership says, and with the name of the file that says it."""
        # Differs from Apache: comments, order and clientPortListenBacklog stay.
        own = membership.find(self._server_id)
        unwanted = {_POINTER, "peerType"}
        if own is not None and own.client is not None:
            unwanted |= {"clientPort", "clientPortAddress"}
        text = without_keys(
            self._read(self._name), self._name, lambda key: _is_membership(key) or _bare(key) in unwanted
        )
        separator = "" if not text or text.endswith(("\r", "\n")) else "\n"
        # A backslash would escape what follows it, and other characters than latin-1 must be escaped.
        path = self._path(name).replace("\\", "\\\\")
        data = f"{text}{separator}{_POINTER}={path}\n".encode("latin-1", "backslashreplace")
        if data != self._disk.read(self._path(self._name)):
            replace(self._disk, self._directory, self._name, data)

    def _write(self, name: str, lines: list[str]) -> None:
        replace(self._disk, self._directory, name, "\n".join(lines).encode("latin-1", "backslashreplace"))

    def _read(self, name: str) -> str:
        return self._disk.read(self._path(name)).decode("latin-1")

    def _has(self, name: str) -> bool:
        return name in self._disk.names(self._directory)

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"


def _bare(key: str) -> str:
    return key.removeprefix("zookeeper.")


def _is_membership(key: str) -> bool:
    return is_membership_key(_bare(key))
