"""Puts what pages link to outside of docs/, examples of configuration, into the site."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LINK = re.compile(r"\]\(\.\./([^)#\s]+)\)")
FOLDER = "files"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each of them once."""
    root = Path(config.config_file_path).parent
    pages = filter(is_at_the_top, files.documentation_pages())
    targets = {target for page in pages for target in LINK.findall(page.content_string)}
    for target in sorted(targets):
        files.append(File.generated(config, f"{FOLDER}/{target}", abs_src_path=str(root / target)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Have the links lead there."""
    return LINK.sub(rf"]({FOLDER}/\1)", markdown) if is_at_the_top(page.file) else markdown


def is_at_the_top(file: File) -> bool:
    """Whether `..` leads out of docs/."""
    return "/" not in file.src_uri
