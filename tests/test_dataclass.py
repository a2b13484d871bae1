"""Our `dataclass` beside the standard one: the same to whoever uses it."""

import copy
import dataclasses
import subprocess
import sys
from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar

import pytest

from pyzk import dataclass as ours

Decorator = Callable[..., Any]


def made(decorator: Decorator) -> Any:
    @decorator(slots=True)
    class Base:
        """Nothing in it."""

    @decorator(slots=True)
    class Sample(Base):
        """Each kind of field."""

        KIND: ClassVar[int] = 7
        zxid: int
        path: bytes = b"/"
        children: list[str] = field(default_factory=list)
        count: int = field(init=False, default=0, repr=False, compare=False)
        seen: dict[str, int] = field(init=False, default_factory=dict)

        def __post_init__(self) -> None:
            self.count += 1

    return Sample


@pytest.fixture(params=["ours", "the standard library's"])
def sample(request: pytest.FixtureRequest) -> Any:
    return made(ours.dataclass if request.param == "ours" else dataclasses.dataclass)


def test_fields_are_filled_by_place_by_name_and_by_default(sample: Any) -> None:
    first, second = sample(1), sample(2, b"/a", children=["b"])
    assert (first.zxid, first.path, first.children, first.count, first.seen) == (1, b"/", [], 1, {})
    assert (second.zxid, second.path, second.children) == (2, b"/a", ["b"])
    assert first.children is not sample(1).children
    assert sample.KIND == 7


@pytest.mark.parametrize(
    ("arguments", "named"), [((), {}), ((1, b"", [], 0), {}), ((1,), {"count": 1}), ((1,), {"no": 1})]
)
def test_what_no_field_takes_is_refused(sample: Any, arguments: tuple[object, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError, match=r"__init__\(\)"):
        sample(*arguments, **named)


def test_instances_are_equal_by_their_fields_and_class(sample: Any) -> None:
    same, other = sample(1), sample(1)
    other.count = 5
    assert same == other
    assert sample(1) != sample(1, b"/a")
    assert sample(1) != made(ours.dataclass)(1)
    assert sample(1).__eq__(1) is NotImplemented
    with pytest.raises(TypeError):
        hash(sample(1))


def test_an_instance_shows_its_fields(sample: Any) -> None:
    assert repr(sample(1)).endswith("Sample(zxid=1, path=b'/', children=[], seen={})")


def test_the_tools_of_the_standard_library_work(sample: Any) -> None:
    one = sample(1)
    assert dataclasses.is_dataclass(one)
    assert [each.name for each in dataclasses.fields(one)] == ["zxid", "path", "children", "count", "seen"]
    assert dataclasses.replace(one, path=b"/b") == sample(1, b"/b")
    assert dataclasses.asdict(one)["children"] == []
    assert copy.deepcopy(one) == one
    assert sample.__match_args__ == ("zxid", "path", "children")
    with pytest.raises(AttributeError):
        one.other = 1


def test_what_a_class_writes_itself_stays() -> None:
    @ours.dataclass(slots=True)
    class Own:
        value: int

        def __init__(self) -> None:
            self.value = 3

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 5

    assert (Own().value, repr(Own()), Own() == 1, hash(Own())) == (3, "own", True, 5)


def test_a_class_below_has_what_the_one_above_has() -> None:
    class Below(made(ours.dataclass)):
        pass

    assert Below(1).zxid == 1
    assert Below(1) == Below(1)


def test_records_go_through_pickle() -> None:
    program = (
        "import pickle, pyzk.codec.records as r; x = r.ACL(1, b'a', b'b'); assert pickle.loads(pickle.dumps(x)) == x"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_function_is_compiled_by_the_first_instance_alone() -> None:
    kind = made(ours.dataclass)
    before = kind.__init__
    kind(1)
    after = kind.__init__
    kind(2)
    assert before is not after
    assert kind.__init__ is after
