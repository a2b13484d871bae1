"""`pyzk sim --coverage`: which share of agreement, service and storage is reached by runs.

coverage.py has to be there before the code is; so the runs are done by a second process, under it.
"""

import io
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from pyzk.errors import PyzkError
from pyzk.tools.output import say

OPTION = "--coverage"
ROOMS = "zab", "service", "storage"
PROGRAM = "import sys; from pyzk.tools.sim.command import main; sys.exit(main(sys.argv[1:]))"


def run_covered(arguments: Sequence[str]) -> int:
    """Run the seeds that `arguments` name, then say what they have reached, by lines and branches; the exit code."""
    if find_spec("coverage") is None:
        raise PyzkError(f"{OPTION} needs coverage.py: scripts/install test, or pip install coverage")
    with TemporaryDirectory() as directory:
        data_file, program = f"{directory}/data", Path(directory) / "runs.py"
        program.write_text(PROGRAM, encoding="utf-8")
        rooms = ",".join(f"pyzk.{room}" for room in ROOMS)
        coverage = "-m", "coverage", "run", "--branch", f"--data-file={data_file}", f"--source={rooms}"
        words = [sys.executable, *coverage, str(program), *arguments]
        code = subprocess.run(words, check=False).returncode  # noqa: S603 - this interpreter, our own arguments
        say(report(data_file))
    return code


def report(data_file: str) -> str:
    """A line for each file, the least covered first, and one for each room."""
    import coverage  # noqa: PLC0415 - an extra

    measured = coverage.Coverage(data_file=data_file, config_file=False, branch=True)
    measured.load()
    files = io.StringIO()
    total = measured.report(file=files, sort="cover", show_missing=False)
    lines = [files.getvalue()]
    for room in ROOMS:
        share = measured.report(include=[f"*/pyzk/{room}/*"], file=io.StringIO())
        lines.append(f"{room:10}{share:5.1f} %")
    return "\n".join([*lines, f"{'all':10}{total:5.1f} % of lines and branches"])
