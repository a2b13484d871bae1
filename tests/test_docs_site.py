"""The site of docs/: it builds without a warning, and what it says of messages is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Rows of a table, first column.
CELL = re.compile(r"^\| (.*?) \| ", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    run = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "files" / "docker-compose.yml").is_file()
    page = (tmp_path / "operations" / "index.html").read_text(encoding="utf-8")
    assert 'href="../files/conf/service/zk.service"' in page


def program() -> str:
    """All literal text: strings that are written in parts are joined."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "pyzk").rglob("*.py"))
    return re.sub(r"\"\s*\n\s*f?\"", "", text)


def test_every_message_of_the_page_about_trouble_is_in_the_program() -> None:
    text, page = program(), (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    messages = [message for cell in CELL.findall(page) for message in CODE.findall(cell)]
    assert len(messages) > 40
    missing = [message for message in messages if message not in text]
    assert not missing
