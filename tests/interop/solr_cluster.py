"""SolrCloud out of Solr's Maven artifacts: nodes, their HTTP interface, and `bin/solr`.

Maven has no `bin` and no web application: a node is java/solr/SolrNode.java, which starts the server of Solr's own
tests, and `bin/solr` is the class that the script calls.
"""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.integration.processes import ServerProcess, release
from tests.interop.maven import jars, need

RELEASE = "9.10.1"
ARTIFACTS = (
    f"org.apache.solr:solr-core:{RELEASE}",
    f"org.apache.solr:solr-test-framework:{RELEASE}",
)
PROGRAM = Path(__file__).parent / "java" / "solr"
TOOL = "org.apache.solr.cli.SolrCLI"
FLAGS = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
TOP = "/solr"
HOST = "127.0.0.1"
REQUEST_TIMEOUT_S = 120
TOOL_TIMEOUT_S = 180


class Node(ServerProcess):
    """One node; its home and log are in `folder`."""

    stop_timeout_s = 60.0

    def __init__(self, folder: Path, program: list[str], connect: str) -> None:
        self._program, self._connect = program, connect
        super().__init__(folder)
        shutil.copy(PROGRAM / "solr.xml", self.data_dir)

    def configure(self, _: Mapping[str, object]) -> None:
        """Its solr.xml is the same for all."""

    def command(self) -> list[str]:
        return [*self._program, str(self.data_dir), str(self.port), self._connect]

    @property
    def name(self) -> str:
        """What it is called in /live_nodes."""
        return f"{HOST}:{self.port}_solr"

    def ask(self, path: str, body: object = None, **parameters: object) -> dict[str, Any]:
        """The answer to an HTTP request; empty when nobody answers.

        Raises:
            AssertionError: Solr refused it.
        """
        url = f"http://{HOST}:{self.port}/solr/{path}?{urllib.parse.urlencode({'wt': 'json', **parameters})}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:
                value = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read()[:1500]!r}") from None
        except OSError:
            return {}
        assert isinstance(value, dict)
        return value

    def collections(self, action: str, **parameters: object) -> dict[str, Any]:
        return self.ask("admin/collections", action=action, **parameters)


class Cluster:
    """Two nodes with their znodes below TOP. Leaving the `with` block kills what still runs."""

    def __init__(self, folder: Path, connect: str) -> None:
        self._class_path = f"{folder}/classes:{jars(f'solr-{RELEASE}', ARTIFACTS)}/*"
        source, classes = str(PROGRAM / "SolrNode.java"), str(folder / "classes")
        command = [need("javac"), "-cp", self._class_path, "-d", classes, source]
        subprocess.run(command, check=True, timeout=TOOL_TIMEOUT_S, capture_output=True)
        self._servers = connect
        self.connect = connect + TOP
        program = [*self._java(), "SolrNode"]
        self.nodes = [Node(folder / f"solr-{number}", program, self.connect) for number in (1, 2)]

    def _java(self) -> list[str]:
        return [need("java"), *FLAGS, "-cp", self._class_path]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()
            release(node.port)

    def tool(self, *words: str, chroot: bool = True) -> str:
        """What `bin/solr WORDS -z SERVERS` prints."""
        connect = self.connect if chroot else self._servers
        # The script names the folder that Solr was unpacked to, where the tool looks for more of Solr's own settings.
        command = [*self._java(), f"-Dsolr.install.dir={PROGRAM}", TOOL, *words, "-z", connect]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout[-1500:]} {done.stderr[-1500:]}"
        return done.stdout
