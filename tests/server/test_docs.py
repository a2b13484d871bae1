"""docs/configuration.md and docs/differences.md say what the server does."""

from pathlib import Path

from pyzk.server.config.page import render
from pyzk.server.config.settings import all_settings

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_about_settings_is_current() -> None:
    assert (DOCS / "configuration.md").read_text() == render(), "run scripts/docs-config"


def test_every_default_that_differs_is_explained() -> None:
    page = (DOCS / "differences.md").read_text()
    for row in all_settings():
        assert not row.apache_default or f"`{row.name}" in page, f"{row.name} is not in docs/differences.md"
