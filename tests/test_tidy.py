"""The rules of the house that a machine can check. CONTRIBUTING.md says why each is there."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "pyzk").rglob("*.py"))
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if "vectors" not in path.parts)

# From the top of the house down: a room imports only what is further down. server and sim never meet.
FLOORS = (
    {"tools"},
    {"testing"},
    {"server", "sim"},
    {"client"},
    {"service"},
    {"zab"},
    {"storage"},
    {"tree"},
    {"sasl"},
    {"codec"},
    {"errors", "faultpoints"},
)
ROOMS = set().union(*FLOORS)
PURE_ROOMS = {"codec", "sasl", "tree", "storage", "zab", "service", "sim"}
# The client's session machine is pure too; only its asyncio shell is not.
CLIENT_SHELL = "aio"
# random.Random is a type there: a generator is always handed in.
IMPURE_MODULES = {
    *("asyncio", "uvloop", "selectors", "select", "socket", "ssl", "threading", "concurrent", "multiprocessing"),
    *("subprocess", "signal", "os", "pathlib", "shutil", "tempfile", "time", "datetime", "secrets", "structlog"),
}
IMPURE_FUNCTIONS = {"open", "print", "input"}
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
BANNED_ABBREVIATIONS = {
    "cfg",
    "cnt",
    "conn",
    "ctx",
    "idx",
    "mgr",
    "msg",
    "pkt",
    "req",
    "resp",
    "sess",
    "svr",
    "tmp",
}
# They run an operator's own code, which may raise anything.
FOREIGN_CODE = {"server/config/providers.py", "service/provider.py"}
OPEN_ENDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")

each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
each_test = pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
each_file = pytest.mark.parametrize("path", SOURCES + TESTS, ids=lambda path: str(path.relative_to(ROOT)))


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room_of(path: Path) -> str:
    """The folder below pyzk/, or the name of a file that lies in pyzk/ itself."""
    return path.relative_to(ROOT / "pyzk").parts[0].removesuffix(".py")


def is_pure(path: Path) -> bool:
    room = room_of(path)
    return room in PURE_ROOMS or (room == "client" and not path.stem.startswith(CLIENT_SHELL))


def imported_modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            if node.module == "pyzk":  # a room, or a constant of the package itself
                yield from (f"pyzk.{alias.name}" for alias in node.names if alias.name in ROOMS)


def imported_rooms(path: Path) -> set[str]:
    modules = (name.split(".") for name in imported_modules(parse(path)))
    return {parts[1] for parts in modules if parts[0] == "pyzk" and len(parts) > 1}


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


@each_source
def test_imports_only_point_down(path: Path) -> None:
    if path.parent == ROOT / "pyzk" and path.name == "__init__.py":
        return
    room = room_of(path)
    upward = [other for other in imported_rooms(path) if other != room and floor_of(other) <= floor_of(room)]
    assert not upward, f"{room} must not import {upward}"


@each_source
def test_pure_code_imports_no_io_and_no_clock(path: Path) -> None:
    if is_pure(path):
        impure = {name for name in imported_modules(parse(path)) if name.split(".")[0] in IMPURE_MODULES}
        assert not impure, "events and arguments bring time, input and output into the core"


@each_source
def test_pure_code_calls_no_function_that_reads_or_writes(path: Path) -> None:
    if is_pure(path):
        calls = (node.func for node in ast.walk(parse(path)) if isinstance(node, ast.Call))
        impure = {call.id for call in calls if isinstance(call, ast.Name) and call.id in IMPURE_FUNCTIONS}
        assert not impure, "files are behind the Disk port"


@each_source
def test_pure_code_uses_no_global_randomness(path: Path) -> None:
    if not is_pure(path):
        return
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            assert "random" not in {alias.name for alias in node.names}, "from random import Random: it is an argument"
        if isinstance(node, ast.ImportFrom) and node.module == "random":
            assert {alias.name for alias in node.names} <= {"Random"}, "randomness is an argument"


@each_source
def test_functions_fit_on_a_screen(path: Path) -> None:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines"


@each_file
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES_MAX


@each_source
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(parse(path)), "a module begins with what it is for"


def test_every_folder_of_the_package_is_a_room_of_the_house() -> None:
    rooms = {room_of(path) for path in SOURCES if path.parent != ROOT / "pyzk"}
    assert rooms <= ROOMS
    for folder in {path.parent for path in SOURCES}:
        assert (folder / "__init__.py").is_file(), f"{folder} has no __init__.py"


@each_source
def test_nothing_is_left_open(path: Path) -> None:
    found = OPEN_ENDS.search(path.read_text(encoding="utf-8"))
    assert found is None, f"{found}: finish it, or leave it out"


@each_source
def test_errors_are_caught_by_name(path: Path) -> None:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: bare except"
            caught = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
            everything = {"Exception"} if path.relative_to(ROOT / "pyzk").as_posix() in FOREIGN_CODE else set()
            assert not caught & {"Exception", "BaseException"} - everything, f"line {node.lineno}: name the error"


@each_source
def test_names_are_whole_words(path: Path) -> None:
    tree = parse(path)
    names = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    shortened = {name for name in names if set(name.strip("_").split("_")) & BANNED_ABBREVIATIONS}
    assert not shortened


@each_source
def test_invariants_are_not_stripped(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "__debug__" not in text, "asserts stay on in production"


@each_test
def test_tests_do_not_sleep_to_wait(path: Path) -> None:
    """asyncio.sleep(0) only yields; anything longer hides what the test really waits for."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep":
            delay = node.args[0] if node.args else None
            is_yield = isinstance(delay, ast.Constant) and delay.value == 0
            assert is_yield, f"line {node.lineno}: wait for the event, or use virtual time"


@each_test
def test_tests_read_nothing_outside_the_repository(path: Path) -> None:
    if path != Path(__file__).resolve():
        assert "/work/" not in path.read_text(encoding="utf-8")


def test_every_link_in_the_documentation_leads_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_site() -> None:
    """tests/test_docs_site.py builds it; this one names the page that mkdocs.yml lacks."""
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    missing = [page for page in (ROOT / "docs").rglob("*.md") if str(page.relative_to(ROOT / "docs")) not in listed]
    assert not missing
