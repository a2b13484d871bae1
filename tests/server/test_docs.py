"""docs/configuration.md and docs/differences.md say what the server does."""

import re
from pathlib import Path

from pyzk.server.config.kinds import Status
from pyzk.server.config.page import render
from pyzk.server.config.settings import all_settings

ROOT = Path(__file__).resolve().parents[2]
DOCS, PACKAGE = ROOT / "docs", ROOT / "pyzk"


def test_the_page_about_settings_is_current() -> None:
    assert (DOCS / "configuration.md").read_text() == render(), "run scripts/docs-config"


def test_every_default_that_differs_is_explained() -> None:
    page = (DOCS / "differences.md").read_text()
    for row in all_settings():
        assert not row.apache_default or f"`{row.name}" in page, f"{row.name} is not in docs/differences.md"


def readers_of(folder: Path) -> str:
    paths = [path for path in folder.rglob("*.py") if not path.name.startswith("fields_")]
    return "\n".join(path.read_text() for path in paths)


def is_read(field: str, text: str) -> bool:
    """Whether something reads it: of the configuration, or of the part of it that the field belongs to."""
    return re.search(rf"(config|self|settings|_tls)\.{field.rpartition('.')[2]}\b", text) is not None


def test_a_setting_that_works_is_read_somewhere() -> None:
    everywhere = readers_of(PACKAGE)
    unread = [
        row.field
        for row in all_settings()
        if row.field and row.status is Status.ACTIVE and not is_read(row.field, everywhere)
    ]
    assert not unread


def test_every_defect_of_apaches_that_we_do_not_share_has_a_test_of_its_name() -> None:
    rows = re.findall(r"^\| (\d+) \|", (DOCS / "protocol" / "apache-defects.md").read_text(), re.MULTILINE)
    assert len(rows) > 20
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert [row for row in rows if not re.search(rf"def test_\w*(row|defect)_{row}_", tests)] == []
