"""The agent's log: one line per event on stderr, for people by default, as JSON on request.

Code logs with `from loguru import logger` and binds what it is about (`logger.bind(pod="default/web")`); both
formats print the bound values. Libraries that use the standard library's logging are carried over, warnings and
worse only. Colours only on a terminal. systemd and supervisors keep the lines; the agent writes no file.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, TextIO

from loguru import logger

if TYPE_CHECKING:
    from loguru import Message, Record

LEVELS = ("trace", "debug", "info", "warning", "error")


def configure(level: str = "info", *, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Send everything of `level` and above to `stream` (stderr), replacing what was configured before."""
    target = stream or sys.stderr
    logger.remove()
    if as_json:
        logger.add(_JsonLines(target), level=level.upper(), catch=False)
    else:
        logger.add(target, level=level.upper(), format=_human, colorize=target.isatty(), backtrace=False, diagnose=False)
    logging.basicConfig(handlers=[_CarryOver()], level=logging.WARNING, force=True)


def _human(record: Record) -> str:
    bound = " ".join(f"{name}={{extra[{name}]}}" for name in record["extra"])
    suffix = f" <dim>{bound}</dim>" if bound else ""
    return "{time:YYYY-MM-DDTHH:mm:ss.SSS} <level>{level: <7}</level> {message}" + suffix + "\n{exception}"


class _JsonLines:
    """A sink that writes one JSON object per record; loguru's own `serialize` nests everything twice."""

    def __init__(self, target: TextIO) -> None:
        self._target = target

    def __call__(self, message: Message) -> None:
        record = message.record
        document = {
            "time": record["time"].isoformat(timespec="milliseconds"),
            "level": record["level"].name.lower(),
            "message": record["message"],
            "module": record["name"],
            **{name: value for name, value in record["extra"].items() if name not in _RESERVED},
        }
        if record["exception"] is not None:
            document["exception"] = str(message).split("\n", 1)[-1].strip() or repr(record["exception"].value)
        self._target.write(json.dumps(document, default=str) + "\n")
        self._target.flush()


_RESERVED = frozenset({"time", "level", "message", "module", "exception"})


class _CarryOver(logging.Handler):
    """Hands a record of the standard library's logging to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.opt(exception=record.exc_info).log(record.levelname, "{}: {}", record.name, record.getMessage())
