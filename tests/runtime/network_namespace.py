"""A named network namespace for a test, seen through ip(8): a judge that shares no code with the agent."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NetworkNamespace:
    name: str

    @property
    def path(self) -> str:
        return f"/run/netns/{self.name}"

    @classmethod
    @contextmanager
    def made(cls, name: str) -> Iterator[NetworkNamespace]:
        subprocess.run(["ip", "netns", "add", name], check=True)
        made = cls(name)
        try:
            yield made
        finally:
            made.delete()

    def delete(self) -> None:
        """Absence is success."""
        subprocess.run(["ip", "netns", "delete", self.name], check=False, stderr=subprocess.DEVNULL)

    def ip(self, *words: str) -> str:
        return subprocess.run(["ip", "-n", self.name, *words], capture_output=True, text=True, check=True).stdout

    def links(self) -> set[str]:
        return {link["ifname"] for link in self._json("link", "show")}

    def addresses(self, link: str) -> set[str]:
        """Global ones, without prefix length."""
        return {a["local"] for item in self._json("address", "show", "dev", link) for a in item["addr_info"] if a["scope"] == "global"}

    def ping(self, address: str) -> None:
        subprocess.run(["ip", "netns", "exec", self.name, "ping", "-c1", "-W2", address], check=True, stdout=subprocess.DEVNULL)

    def _json(self, *words: str) -> Any:
        return json.loads(self.ip("-j", *words) or "[]")
