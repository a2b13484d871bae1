"""Java artifacts by Maven's ordinary client, with all that they need at runtime, in a cache outside the repository."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_S = 1200


class UnavailableError(Exception):
    """A tool that this comparison needs is missing here; the message says which."""


def cache_folder(name: str) -> Path:
    """A folder of this name in $PYZK_CACHE, else ~/.cache/pyzk."""
    root = Path(os.environ.get("PYZK_CACHE") or Path.home() / ".cache" / "pyzk")
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def need(program: str) -> str:
    """The path of a program.

    Raises:
        UnavailableError: when it is not on PATH.
    """
    path = shutil.which(program)
    if path is None:
        raise UnavailableError(f"{program} is not installed")
    return path


def jars(name: str, artifacts: Sequence[str]) -> Path:
    """The folder of the jars of these artifacts ("group:name:version" or "...:classifier"), fetched once.

    Raises:
        UnavailableError: Maven is missing, or cannot fetch them.
    """
    folder = cache_folder(name)
    complete = folder / "complete"
    if not complete.exists() or complete.read_text().split() != [*artifacts]:
        shutil.rmtree(folder / "jars", ignore_errors=True)
        _copy_dependencies(folder, artifacts)
        complete.write_text("\n".join(artifacts))
    return folder / "jars"


def _copy_dependencies(folder: Path, artifacts: Sequence[str]) -> None:
    pom = folder / "pom.xml"
    pom.write_text(_pom(artifacts))
    command = [need("mvn"), "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={folder / 'jars'}", "-DincludeScope=runtime"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise UnavailableError(f"Maven cannot fetch {' '.join(artifacts)}: {done.stdout[-500:]}")


def _pom(artifacts: Sequence[str]) -> str:
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>pyzk</groupId><artifactId>interop</artifactId><version>1</version>"
        f"<dependencies>{''.join(map(_dependency, artifacts))}</dependencies></project>"
    )


def _dependency(artifact: str) -> str:
    tags = zip(("groupId", "artifactId", "version", "classifier"), artifact.split(":"), strict=False)
    return f"<dependency>{''.join(f'<{tag}>{text}</{tag}>' for tag, text in tags)}</dependency>"
