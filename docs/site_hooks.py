"""Puts what pages link to outside of docs/, examples of configuration, into the site."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

LINK = re.compile(r"\]\(\.\./([^)#\s]+)\)")
FOLDER = "files"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each of them once."""
    root = Path(config.config_file_path).parent
    targets = {target for page in files.documentation_pages() for target in LINK.findall(page.content_string)}
    for target in sorted(targets):
        files.append(File.generated(config, f"{FOLDER}/{target}", abs_src_path=str(root / target)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Have the links lead there."""
    return LINK.sub(rf"]({FOLDER}/\1)", markdown)
