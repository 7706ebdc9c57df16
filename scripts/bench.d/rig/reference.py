"""The peer: the containernetworking project's plugins, each kind in a node of its own.

A peer's node is a network namespace without a single rule of ours: our tables would see its bridged frames, and it
would be measured with our firewall in its way.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.runtime import chain, go_tools
from tests.runtime.chain import DEBIAN, Chain, Config


def require(*names: str) -> None:
    missing = [name for name in names if not (DEBIAN / name).exists()]
    if missing:
        sys.exit(f"the peer is not here: apt-get install containernetworking-plugins (no {', '.join(missing)} in {DEBIAN})")


@contextmanager
def namespace(path: Path) -> Iterator[Path]:
    """A network namespace held at `path`."""
    path.touch()
    subprocess.run(["unshare", f"--net={path}", "ip", "link", "set", "lo", "up"], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)
        path.unlink()


@dataclass(frozen=True, slots=True)
class Flavour:
    """Which plugins, by what means they filter and translate, and with which iptables where they know nothing else."""

    name: str
    plugins: Path
    iptables: str
    nftables: bool = False

    def hostport_chain(self, ranges: Sequence[str], node: Path, data: Path) -> Chain:
        """What a node with host ports has: bridge, portmap, firewall (which knows iptables alone). `data` must not exist."""
        data.mkdir()
        settings = {"ipMasqBackend": "nftables"} if self.nftables else {}
        plugins: list[Config] = [
            chain.bridge("bench0", ranges, data=data / "leases", ipMasq=True, **settings),
            {"type": "portmap", "capabilities": {"portMappings": True}, **({"backend": "nftables"} if self.nftables else {})},
            {"type": "firewall"},
        ]
        return Chain("bench", self.plugins, plugins, node=node, path=chain.iptables_path(self.iptables, data / "bin"))


def flavours() -> tuple[Flavour, ...]:
    """Those that are here: Debian's must be, the newer ones are where Go was when `scripts/test --install-only` ran."""
    found = [Flavour(f"1.1.1, iptables-{each}", DEBIAN, each) for each in ("legacy", "nft")]
    try:
        newer = go_tools.plugins()
    except RuntimeError:
        return tuple(found)
    return (*found, Flavour(f"{go_tools.PLUGINS_VERSION}, nftables", newer, "legacy", nftables=True))


def addresses(result: Config) -> list[str]:
    return [entry["address"].partition("/")[0] for entry in result["ips"]]
