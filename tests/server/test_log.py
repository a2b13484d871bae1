"""The server's log: JSON lines when nobody watches, lines for people in a terminal."""

import io
import json
import logging
from pathlib import Path

import pytest
import structlog

from pyzk.server import log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


pytestmark = pytest.mark.usefixtures("restored_log")


def events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_a_line() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    structlog.get_logger().info("session_created", session="0x1", timeout_ms=4000)
    (event,) = events(stream)
    assert event.pop("timestamp")
    assert event == {"event": "session_created", "level": "info", "session": "0x1", "timeout_ms": 4000}


def test_events_below_the_level_are_dropped() -> None:
    stream = io.StringIO()
    log.configure("warning", stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("asyncio").info("quiet too")
    structlog.get_logger().warning("loud")
    assert [event["event"] for event in events(stream)] == ["loud"]


def test_raw_paths_are_shown_as_text() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    structlog.get_logger().info("node_created", path=b"/a/\xc3\xa4\xff")
    assert events(stream)[0]["path"] == "/a/\u00e4\\xff"


def test_what_libraries_log_has_the_same_form() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    logging.getLogger("asyncio").error("socket %s broke", 7)
    (event,) = events(stream)
    assert (event["event"], event["level"], event["logger"]) == ("socket 7 broke", "error", "asyncio")


def test_an_exception_comes_with_its_traceback() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    try:
        Path("/nowhere").read_bytes()
    except FileNotFoundError:
        structlog.get_logger().exception("write_failed")
    assert "No such file or directory" in str(events(stream)[0]["exception"])


def test_a_terminal_gets_lines_for_people() -> None:
    stream = Terminal()
    log.configure(stream=stream)
    structlog.get_logger().info("serving", port=2181)
    line = stream.getvalue()
    assert "serving" in line
    assert "2181" in line
    assert not line.startswith("{")


def test_parts_have_levels_of_their_own() -> None:
    stream = io.StringIO()
    log.configure("info", stream, levels="zab=debug,server=error,server.clients=warning")
    structlog.get_logger("zab").debug("told")
    structlog.get_logger("server.files").warning("quiet")
    structlog.get_logger("server.clients").warning("told too")
    structlog.get_logger("storage").debug("quiet as well")
    assert [event["event"] for event in events(stream)] == ["told", "told too"]


def test_the_longest_name_that_fits_wins() -> None:
    levels = log.parse_levels("server=error, server.clients=debug")
    assert log.level_of("server.clients", levels, "info") == "debug"
    assert log.level_of("server.clients.more", levels, "info") == "debug"
    assert log.level_of("server.clientsx", levels, "info") == "error"
    assert log.level_of("zab", levels, "info") == "info"


def test_a_module_is_a_part_by_its_name() -> None:
    stream = io.StringIO()
    log.configure("info", stream, levels=f"{__name__}=error")
    structlog.get_logger().warning("quiet")
    assert events(stream) == []


def test_secrets_are_not_shown() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    structlog.get_logger().info("event", password="a", trustStorePassword="b", client_secret="c", plain="d")
    (event,) = events(stream)
    assert (event["password"], event["trustStorePassword"], event["client_secret"]) == (log.HIDDEN,) * 3
    assert event["plain"] == "d"


def test_the_form_can_be_chosen() -> None:
    stream = io.StringIO()
    log.configure(stream=stream, shape="console")
    structlog.get_logger().info("event", number=1)
    assert stream.getvalue().rstrip().endswith("number=1")
