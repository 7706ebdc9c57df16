"""The log, for people and for programs."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from loguru import logger

from agent import log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    logger.remove()
    logging.basicConfig(handlers=[], force=True)


def test_a_line_for_people(stream: io.StringIO) -> None:
    log.configure("info", stream=stream)
    logger.bind(pod="default/web").info("attached {}", "eth0")
    logger.debug("not shown")
    line = stream.getvalue()
    assert line.endswith("INFO    attached eth0 pod=default/web\n")
    assert line.count("\n") == 1


def test_braces_in_what_is_bound_or_said_do_no_harm(stream: io.StringIO) -> None:
    log.configure("info", stream=stream)
    logger.bind(plan="{ip saddr}").info('{"json": 1}')
    assert stream.getvalue().endswith('{"json": 1} plan={ip saddr}\n')


def test_json_lines(stream: io.StringIO) -> None:
    log.configure("debug", as_json=True, stream=stream)
    logger.bind(pod="default/web", level="x").warning("slow")
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert (record["level"], record["message"], record["pod"]) == ("warning", "slow", "default/web")


def test_an_exception_is_part_of_its_record(stream: io.StringIO) -> None:
    log.configure("debug", as_json=True, stream=stream)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logger.exception("cannot divide")
    (line,) = stream.getvalue().splitlines()
    assert "ZeroDivisionError: division by zero" in json.loads(line)["exception"]


def test_libraries_are_carried_over(stream: io.StringIO) -> None:
    log.configure("info", stream=stream)
    logging.getLogger("some.library").warning("careful: %s", "{braces}")
    logging.getLogger("some.library").info("chatter")
    assert stream.getvalue().endswith("WARNING some.library: careful: {braces}\n")
    assert "chatter" not in stream.getvalue()
