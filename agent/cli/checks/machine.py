"""The machine as checks see it: one look at links, routes, the agent and the configuration, and files below a root.

Checks decide on this value and read files only through it, so that tests can hand them any machine. With the
agent down everything is still there but the pods, of which only the links are known.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import config as configuration
from agent.api.client import Client, Document, collection_path
from agent.config import Config, Mode
from agent.errors import InvalidObject, PodwrightError
from agent.kernel import link, route
from agent.kernel.link import Link
from agent.kernel.netlink import NETLINK_ROUTE, NetlinkSocket
from agent.kernel.route import RTPROT_PODWRIGHT
from agent.network import facts, node, uplink
from agent.network.node import POD_LINK_PREFIX
from agent.network.uplink import LinkFact, NodeFacts, Ours

ATTACHMENTS = collection_path("podwright.io/v1", "attachments")


@dataclass(frozen=True, kw_only=True)
class Agent:
    """What a running agent said; `error` when none answered."""

    version: str = ""
    mode: str = ""
    is_ready: bool = False
    error: PodwrightError | None = None
    pods: tuple[Document, ...] = ()
    host_links: frozenset[str] = frozenset()
    """The host-side links of the attachments it knows."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """`root` is / but in tests. `may_probe`: packets may be sent."""

    root: Path = Path("/")
    config: Config = Config()
    config_error: InvalidObject | None = None
    facts: NodeFacts = NodeFacts((), (), ())
    links: tuple[Link, ...] = ()
    agent: Agent = Agent()
    is_root: bool = True
    may_probe: bool = False

    def read(self, path: str) -> str | None:
        """A file's text without the last newline; None when it cannot be read."""
        try:
            return (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def setting(self, name: str) -> str | None:
        """Of /proc/sys, with slashes."""
        return self.read(f"/proc/sys/{name}")

    def number(self, name: str) -> int | None:
        """A setting that is a number."""
        text = self.setting(name)
        return int(text) if text is not None and text.lstrip("-").isdigit() else None

    def files(self, directory: str, pattern: str = "*") -> list[Path]:
        return sorted((self.root / directory.lstrip("/")).glob(pattern))

    @property
    def mode(self) -> Mode:
        """That of the running agent, which keeps an earlier one while pods are attached in it."""
        return Mode(self.agent.mode) if self.agent.mode else self.config.network.mode

    @property
    def families(self) -> tuple[int, ...]:
        return tuple(sorted({cidr.version for cidr in self.config.network.pod_cidrs}))

    @property
    def ours(self) -> Ours:
        network = self.config.network
        gateways = frozenset(node.gateway_of(cidr) for cidr in network.pod_cidrs)
        return Ours(bridge=network.bridge, protocols=frozenset({RTPROT_PODWRIGHT}), gateways=gateways)

    @property
    def uplinks(self) -> tuple[LinkFact, ...]:
        return uplink.uplinks(self.facts, self.families, self.ours)

    @property
    def pod_links(self) -> tuple[Link, ...]:
        return tuple(found for found in self.links if found.name.startswith(POD_LINK_PREFIX) and found.kind == "veth")

    @property
    def bridge(self) -> Link | None:
        return next((found for found in self.links if found.name == self.config.network.bridge and found.kind == "bridge"), None)

    @property
    def our_devices(self) -> tuple[Link, ...]:
        return (*self.pod_links, *([self.bridge] if self.bridge is not None else []))


def look(config_file: Path | None = None, *, may_probe: bool = False) -> Machine:
    """This machine, now."""
    config, config_error = _config(config_file)
    with closing(NetlinkSocket(NETLINK_ROUTE)) as socket:
        listing = _Listing(socket)
        return Machine(
            config=config,
            config_error=config_error,
            facts=facts.read(listing),
            links=tuple(listing.list_links()),
            agent=ask_agent(),
            is_root=os.geteuid() == 0,
            may_probe=may_probe,
        )


@dataclass(frozen=True, slots=True)
class _Listing:
    """What facts.read wants, without the agent's machinery around it."""

    socket: NetlinkSocket

    def list_links(self) -> list[Link]:
        return link.list_(self.socket)

    def list_routes(self) -> list[route.Route]:
        return route.list_routes(self.socket)

    def list_addresses(self) -> list[route.Address]:
        return route.list_addresses(self.socket)


def _config(file: Path | None) -> tuple[Config, InvalidObject | None]:
    try:
        return configuration.load(file), None
    except InvalidObject as error:
        return Config(), error


def ask_agent() -> Agent:
    try:
        with Client(timeout_s=5) as client:
            version = client.get("/version")["version"]
            mode = client.get("/status").get("network", {}).get("mode", "")
            pods = tuple(client.get("/api/v1/pods")["items"])
            attachments = client.get(ATTACHMENTS)["items"]
            error = _readiness(client)
    except PodwrightError as failure:
        return Agent(error=failure)
    links = frozenset(found["hostIfname"] for found in attachments)
    return Agent(version=version, mode=mode, is_ready=error is None, error=error, pods=pods, host_links=links)


def _readiness(client: Client) -> PodwrightError | None:
    try:
        client.request("GET", "/readyz")
    except PodwrightError as error:
        return error
    return None


def host_ports(pods: Sequence[Document]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(namespace/name, port) of every container port that asks for a port of the node."""
    for pod in pods:
        title = f"{pod['metadata'].get('namespace', 'default')}/{pod['metadata']['name']}"
        for container in pod["spec"].get("containers", ()):
            yield from ((title, port) for port in container.get("ports", ()) if port.get("hostPort"))
