"""`dataclass` at a fifth of its price: every start pays for the classes of what it imports.

The standard decorator writes and compiles three functions for each class, 0.15 ms; a server has some 150. Here what
compares and shows instances is there already, and what fills them is compiled when the first one is made: most classes
have none before the first client comes. The rest is the standard library's: `field`, `fields`, `replace`, slots.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, Field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - for mypy it is that one
else:

    def dataclass(*, slots: bool = False) -> Callable[[type[T]], type[T]]:
        """The decorator, for classes whose instances can change."""

        def decorate(kind: type[T]) -> type[T]:
            if "__mypyc_attrs__" in vars(kind):
                return dataclasses.dataclass(slots=slots)(kind)  # a compiled class has its own ways
            made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(kind)
            fields, own = dataclasses.fields(made), vars(kind)
            assert not any(field.kw_only for field in fields), "only the standard decorator knows these"
            shown = _repr([field.name for field in fields if field.repr])
            compared = _eq([field.name for field in fields if field.compare])
            for name, function in (("__init__", _first(made)), ("__repr__", shown), ("__eq__", compared)):
                if name not in own:
                    setattr(made, name, function)
            made.__hash__ = own.get("__hash__")
            return made

        return decorate


def _first(kind: type[Any]) -> Callable[..., None]:
    """Fills the first instance, after it has made what fills the others."""

    def __init__(self: object, *values: object, **named: object) -> None:  # noqa: N807 - that is what it stands for
        kind.__init__ = fill = _init(kind)
        fill(self, *values, **named)

    return __init__


def _init(kind: type[Any]) -> Callable[..., None]:
    """The function that the standard decorator would have written."""
    known: dict[str, object] = {"MISSING": MISSING}
    parameters, lines = ["self"], []
    for field in dataclasses.fields(kind):
        default = f"default_{field.name}"
        parameter, value = _parts(field, default)
        known[default] = field.default if field.default_factory is MISSING else field.default_factory
        parameters += [parameter] if field.init else []
        lines.append(f"    self.{field.name} = {value}")
    if hasattr(kind, "__post_init__"):
        lines.append("    self.__post_init__()")
    source = f"def __init__({', '.join(parameters)}):\n{chr(10).join(lines) or '    pass'}"
    exec(source, known)  # noqa: S102 - made of the names of fields
    function: Callable[..., None] = known["__init__"]  # type: ignore[assignment]
    function.__qualname__ = f"{kind.__qualname__}.__init__"
    return function


def _parts(field: "Field[Any]", default: str) -> tuple[str, str]:
    """Parameter and value of a field in the source of a function that knows its default."""
    name = field.name
    if field.default_factory is not MISSING:
        return f"{name}=MISSING", f"{default}() if {name} is MISSING else {name}" if field.init else f"{default}()"
    if field.default is not MISSING:
        return f"{name}={default}", name if field.init else default
    return name, name


def _repr(names: list[str]) -> Callable[[object], str]:
    def __repr__(self: object) -> str:  # noqa: N807
        return f"{type(self).__qualname__}({', '.join([f'{name}={getattr(self, name)!r}' for name in names])})"

    return __repr__


def _eq(names: list[str]) -> Callable[[object, object], bool]:
    values = attrgetter(*names) if names else type

    def __eq__(self: object, other: object) -> bool:  # noqa: N807
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    return __eq__
