"""docs/protocol/configuration.md section 1: the flags of JVMFLAGS."""

import pytest

from pyzk.errors import ConfigError
from pyzk.server.config.syntax import parse_jvm_flags


def test_jvmflags_come_after_server_jvmflags() -> None:
    environ = {
        "JVMFLAGS": "-Dzookeeper.snapCount=2 -Xmx1g",
        "SERVER_JVMFLAGS": "-Dzookeeper.snapCount=3 -Djute.maxbuffer",
    }
    entries = [(entry.key, entry.value, entry.source) for entry in parse_jvm_flags(environ)]
    assert entries == [
        ("zookeeper.snapCount", "3", "SERVER_JVMFLAGS"),
        ("jute.maxbuffer", "", "SERVER_JVMFLAGS"),
        ("zookeeper.snapCount", "2", "JVMFLAGS"),
    ]


def test_quotes_in_jvmflags_hold_blanks_together() -> None:
    (entry,) = parse_jvm_flags({"JVMFLAGS": "-Xms1g '-Dzookeeper.a=b c'"})
    assert (entry.key, entry.value) == ("zookeeper.a", "b c")


def test_an_open_quote_in_jvmflags_is_refused_by_name() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_jvm_flags({"JVMFLAGS": "-Da='b"})
    assert caught.value.setting == "JVMFLAGS"
