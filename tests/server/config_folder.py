"""A configuration file in a directory of a test."""

from pathlib import Path

import pytest

from pyzk.errors import ConfigError
from pyzk.server.config import Config, load_config

THREE_SERVERS = "server.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888\n"
LIMITS = "initLimit=10\nsyncLimit=5\n"


class Folder:
    """A configuration and its dataDir in a directory of the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data_dir = path / "data"
        self.data_dir.mkdir()
        self.file = path / "zoo.cfg"

    def load(self, text: str, *, myid: str | None = None, environ: dict[str, str] | None = None) -> Config:
        return self.load_with_warnings(text, myid=myid, environ=environ)[0]

    def warnings(self, text: str, **options: object) -> list[str]:
        return self.load_with_warnings(text, **options)[1]

    def load_with_warnings(
        self, text: str, *, myid: str | None = None, environ: dict[str, str] | None = None
    ) -> tuple[Config, list[str]]:
        self.file.write_text(f"dataDir={self.data_dir}\n{text}", encoding="latin-1")
        if myid is not None:
            (self.data_dir / "myid").write_text(myid)
        return load_config(str(self.file), environ or {})

    def refusal(self, text: str, **options: object) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            self.load(text, **options)
        return caught.value
