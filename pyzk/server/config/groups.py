"""What the settings classes have in common: keyword arguments, defaults, checks, and that they never change.

A field that is not given is not stored: its default is the class's. attrs would write and compile functions for each
class and field of the three hundred at every start, which took a tenth of it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, NoReturn, Self, dataclass_transform

from pyzk.server.config.kinds import Derived, Setting


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Settings:
    """A group of settings; its fields are annotated names with defaults, most of them declared by `setting()`.

    Raises:
        ConfigError: a value that cannot be used.
    """

    rows: ClassVar[Mapping[str, Setting]] = {}
    """By the name of the field: those that are declared here and by the bases."""
    fields: ClassVar[frozenset[str]] = frozenset()
    """All names that can be given."""
    _derived: ClassVar[Mapping[str, Derived]] = {}

    def __init_subclass__(cls) -> None:
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Setting)}
        for name, row in own.items():
            row.field = name
            setattr(cls, name, row.default)
        bases = [base for base in cls.__bases__ if issubclass(base, Settings)]
        cls.rows = {name: row for rows in (*(base.rows for base in bases), own) for name, row in rows.items()}
        cls.fields = frozenset(cls.__annotations__).union(*(base.fields for base in bases))
        cls._derived = {name: row.default for name, row in cls.rows.items() if isinstance(row.default, Derived)}

    def __init__(self, **values: object) -> None:
        unknown = values.keys() - self.fields
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        own = self.__dict__
        own.update(values)
        for name, default in self._derived.items():
            if name not in own:
                own[name] = default.of(self)
        for name, value in own.items():
            row = self.rows.get(name)
            if row is not None:
                row.check(value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"settings never change: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"settings never change: {name}")

    def evolve(self, **changes: object) -> Self:
        """The same with other values for some fields. Raises ConfigError."""
        return type(self)(**{**self.__dict__, **changes})


def settings_of(settings_class: type[Settings], prefix: str = "", part: str = "") -> list[Setting]:
    """The rows declared by `setting()` in a settings class, each with the name of its field.

    Args:
        settings_class: one of `fields_*.py`.
        prefix: goes before each key.
        part: the field of `Config` that holds an instance of the class.
    """
    rows = list(settings_class.rows.values())
    return [_placed(row, prefix, f"{part}.{row.field}" if part else row.field) for row in rows] if prefix else rows


def _placed(row: Setting, prefix: str, field: str) -> Setting:
    return replace(row, name=prefix + row.name, also=tuple(prefix + name for name in row.also), field=field)
