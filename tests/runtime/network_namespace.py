"""A network namespace for a test, seen through ip(8) and ping(8): judges that share no code with the agent."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class NetworkNamespace:
    """Held by a bind mount at `path`."""

    path: Path

    @classmethod
    @contextmanager
    def made(cls, path: Path) -> Iterator[NetworkNamespace]:
        path.touch()
        subprocess.run(["unshare", f"--net={path}", "true"], check=True)
        made = cls(path)
        try:
            yield made
        finally:
            made.delete()

    def delete(self) -> None:
        """Absence is success."""
        if self.path.exists():
            subprocess.run(["umount", self.path], check=True)
            self.path.unlink()

    def run(self, *command: str) -> str:
        return subprocess.run(["nsenter", f"--net={self.path}", *command], capture_output=True, text=True, check=True).stdout

    def links(self) -> set[str]:
        return {link["ifname"] for link in self._json("link", "show")}

    def addresses(self, link: str) -> set[str]:
        """Global ones, without prefix length."""
        return {a["local"] for item in self._json("address", "show", "dev", link) for a in item["addr_info"] if a.get("scope") == "global"}

    def ping(self, address: str) -> None:
        self.run("ping", "-c1", "-W2", address)

    def _json(self, *words: str) -> Any:
        return json.loads(self.run("ip", "-j", *words) or "[]")
