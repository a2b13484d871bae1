"""JSON as Jackson writes it for Apache's admin server: people compare such answers, scripts cut lines out of them."""

import json
from collections.abc import Mapping, Sequence

NOT_SERVING = "This ZooKeeper instance is not currently serving requests"
Fields = dict[str, object]


def render(value: object, indent: int = 0) -> str:
    """Two blanks for each level, ` : ` behind names, lists on one line."""
    if isinstance(value, Mapping):
        if not value:
            return "{ }"
        inner = " " * (indent + 2)
        pairs = [f"{inner}{_quoted(str(key))} : {render(item, indent + 2)}" for key, item in value.items()]
        return "{\n" + ",\n".join(pairs) + "\n" + " " * indent + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[ {', '.join([render(item, indent) for item in value])} ]" if value else "[ ]"
    return _quoted(value)


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def path_text(path: bytes) -> str:
    """Paths are bytes that somebody made up; what is no UTF-8 is told in escapes."""
    return path.decode("utf-8", "backslashreplace")


def answer(command: str, fields: Fields, error: str | None = None) -> Fields:
    """The fields of a command, with its name and error behind them; an error among the fields stays where it is."""
    whole: Fields = {**fields, "command": command}
    whole.setdefault("error", error)
    return whole
