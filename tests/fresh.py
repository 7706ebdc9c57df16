"""A network namespace for the length of one call."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from agent.kernel import libc

_CLONE_NEWNET = 0x40000000
Result = TypeVar("Result")


def in_new_netns(action: Callable[..., Result], *arguments: Any) -> Result:
    """Run `action` in a network namespace of its own. Child processes are in it too; it ends with the thread."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            libc.unshare(_CLONE_NEWNET)
            results.append(action(*arguments))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def shell(command: str, stdin: str = "", *, check: bool = True) -> str:
    """What a shell command prints, in the namespace of the thread that calls."""
    done = subprocess.run(["sh", "-c", command], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
    return done.stdout + ("" if check else done.stderr)
