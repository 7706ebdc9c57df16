"""A real agent for tests: started as its users start it, in the throw-away node that the tests run in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.api.client import Client
from agent.errors import PodwrightError

ROOT = Path(__file__).resolve().parent.parent
# an emulated machine is 20 times slower: tests/vm asks for longer patience
PATIENCE = float(os.environ.get("PODWRIGHT_TEST_PATIENCE", "1"))
PODWRIGHT = (sys.executable, "-m", "agent.cli.main")


class RunningAgent:
    """One agent process with directories of its own. `environment` is for kill points."""

    COMMAND: tuple[str, ...] = (*PODWRIGHT, "agent")

    def __init__(self, directory: Path, **settings: str) -> None:
        """`settings`: PODWRIGHT_… variables without the prefix (network__mode="routed")."""
        self.run_dir, self.state_dir = directory / "run", directory / "state"
        self.log = directory / "agent.log"
        paths = {"run_dir": str(self.run_dir), "state_dir": str(self.state_dir), "log__level": "debug"}
        self._settings = {f"PODWRIGHT_{name.upper()}": value for name, value in (paths | settings).items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Mapping[str, str]:
        """Its PODWRIGHT_… variables."""
        return self._settings

    @property
    def socket_path(self) -> Path:
        return self.run_dir / "agent.sock"

    @property
    def client(self) -> Client:
        return Client(self.socket_path)

    def start(self, environment: Mapping[str, str] | None = None, *, wait: bool = True) -> RunningAgent:
        variables = {**os.environ, **self._settings, **(environment or {})}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.COMMAND, cwd=ROOT, env=variables, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout_s: float = 15.0 * PATIENCE) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"the agent ended with {self._process.returncode}:\n{self.tail()}")
            try:
                self.client.request("GET", "/readyz")
            except PodwrightError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError(f"the agent is not ready after {timeout_s} s:\n{self.tail()}")

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def clear(self) -> None:
        """Stop it and take everything down, as scripts/down does."""
        self.stop()
        command = [*PODWRIGHT, "agent", "--clear"]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **self._settings}, capture_output=True, text=True, timeout=60 * PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr

    def wait(self, timeout_s: float = 15.0 * PATIENCE) -> int:
        assert self._process is not None
        return self._process.wait(timeout_s)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def cli(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """Run `podwright WORDS…`; its stdout."""
        environment = {**os.environ, "PODWRIGHT_SOCKET": str(self.socket_path)}
        command = [*PODWRIGHT, *words]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True, timeout=60 * PATIENCE, check=False
        )
        assert not check or done.returncode == 0, f"podwright {' '.join(words)}: {done.stderr}\n{self.tail()}"
        return done.stdout if check else done.stdout + done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.cli(*words, "-o", "json"))

    def apply(self, manifest: str) -> dict[str, Any]:
        """Through the API, as `podwright apply` does."""
        return self.client.request("POST", "/apply", {"namespace": "default"}, manifest.encode()).document

    def wait_for_pods(self, count: int, *, namespace: str = "default", timeout_s: float = 20.0 * PATIENCE) -> list[dict[str, Any]]:
        """Until exactly `count` pods are there and each has a sandbox."""
        deadline = time.monotonic() + timeout_s
        while True:
            pods = self.client.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
            if len(pods) == count and all(is_sandboxed(pod) for pod in pods):
                return list(pods)
            if time.monotonic() > deadline:
                raise AssertionError(f"{[(p['metadata']['name'], p.get('status')) for p in pods]}\n{self.tail()}")
            time.sleep(0.02)

    def namespace_of(self, pod: Mapping[str, Any]) -> Path:
        return Path(self.run_dir, "ns", pod["metadata"]["uid"], "net")

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(15)


def is_sandboxed(pod: Mapping[str, Any]) -> bool:
    conditions: Sequence[Mapping[str, str]] = pod.get("status", {}).get("conditions", ())
    return any(c["type"] == "PodReadyToStartContainers" and c["status"] == "True" for c in conditions)
