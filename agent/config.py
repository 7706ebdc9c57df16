"""One frozen Config, read once: defaults < file < environment (PODWRIGHT_…) < flags.

The file is YAML with the same shape. Whatever is wrong is reported with its path, all at once.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import msgspec
import yaml

from agent.errors import InvalidObject
from agent.objects.meta import IPAddress, IPNetwork, decode_hook, wire_name

_LEAST_MTU = {4: 576, 6: 1280}
"""Below, IPv6 is off on a link altogether, and IPv4 hosts need not put fragments together."""
_MOST_MTU = 65535
_LINK_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,15}")
_REMOVED = {"network.name": 'pods\' attachments are found by it, so it is always "podwright"; delete the setting'}
DEFAULT_FILE = Path("/etc/podwright/config.yaml")


class Mode(StrEnum):
    BRIDGE = "bridge"
    ROUTED = "routed"


class ForeignFirewall(StrEnum):
    """Another tool whose rules drop what is forwarded, and in which the agent keeps an accept for pods."""

    NONE = ""
    DOCKER = "docker"
    UFW = "ufw"
    FIREWALLD = "firewalld"


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=wire_name):
    pass


class NetworkConfig(_Section, frozen=True):
    mode: Mode = Mode.BRIDGE
    pod_cidrs: tuple[IPNetwork, ...] = (IPv4Network("10.73.0.0/20"), IPv6Network("fd73:7077:7269::/64"))
    non_masquerade_cidrs: tuple[IPNetwork, ...] | None = None
    """None: the pod CIDRs."""
    bridge: str = "pw0"
    mtu: int = 0
    """0: the uplink's, followed when it changes."""
    node_ips: tuple[IPAddress, ...] = ()
    """Empty: the addresses of the uplink (the device of the default route)."""
    own_tables: bool = True
    """False: treat the kernel as one whose nftables know no owner (before 6.9). For tests of what happens there."""
    firewall: ForeignFirewall = ForeignFirewall.NONE

    def __post_init__(self) -> None:
        """What the kernel would refuse too, but later and in fewer words."""
        least = _LEAST_MTU[6 if any(cidr.version == 6 for cidr in self.pod_cidrs) else 4]
        if self.mtu and not least <= self.mtu <= _MOST_MTU:
            raise ValueError(f"mtu {self.mtu} is not between {least} and {_MOST_MTU}: 0 follows the uplink")
        if not _LINK_NAME.fullmatch(self.bridge) or self.bridge in (".", "..", "lo", "all", "default") or self.bridge.startswith("pwv"):
            raise ValueError(f"bridge {self.bridge!r} cannot be a bridge's name: 1 to 15 characters, such as pw0, not lo and not pwv…")


class EstablishedFlows(StrEnum):
    """What a change of policy does to a connection that it forbids."""

    REEVALUATE = "reevaluate"
    SURVIVE = "survive"


class Deny(StrEnum):
    """What happens to a packet that policy forbids: nothing is said of it, or its sender is told."""

    DROP = "drop"
    REJECT = "reject"


class PolicyConfig(_Section, frozen=True):
    established_flows: EstablishedFlows = EstablishedFlows.REEVALUATE
    deny: Deny = Deny.DROP


class LogConfig(_Section, frozen=True):
    level: str = "info"
    json: bool = False


class Config(_Section, frozen=True):
    node_name: str = msgspec.field(default_factory=lambda: socket.gethostname().lower())
    state_dir: str = "/var/lib/podwright"
    run_dir: str = "/run/podwright"
    group: str = "podwright"
    """Members of this group may read, not change."""
    controllers: bool = True
    metrics_listen: str = ""
    """HOST:PORT for Prometheus over TCP, loopback only; empty: only on the unix socket."""
    network: NetworkConfig = NetworkConfig()
    policy: PolicyConfig = PolicyConfig()
    log: LogConfig = LogConfig()

    @property
    def socket_path(self) -> Path:
        return Path(self.run_dir, "agent.sock")

    @property
    def namespaces_dir(self) -> Path:
        return Path(self.run_dir, "ns")

    @property
    def spool_dir(self) -> Path:
        """Where the CNI binary writes down a DEL that met no agent. Durable: /run is emptied at boot, and by systemd on stop."""
        return Path(self.state_dir, "spool")

    @property
    def database(self) -> Path:
        return Path(self.state_dir, "podwright.db")


def load(file: Path | None = None, environment: Mapping[str, str] = os.environ, flags: Mapping[str, Any] | None = None) -> Config:
    """Read the configuration. `flags` are dotted wire names ("network.mode") with their values.

    A file that was named must exist; the default one need not. Raises InvalidObject.
    """
    path = file or DEFAULT_FILE
    tree: dict[str, Any] = {}
    if file is not None or path.exists():
        try:
            tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise InvalidObject(f"cannot read configuration {path}: {error}") from None
    for dotted, value in _environment_flags(environment).items():
        _set(tree, dotted, value)
    for dotted, value in (flags or {}).items():
        if value is not None:
            _set(tree, dotted, value)
    _refuse_removed(tree)
    try:
        return msgspec.convert(tree, Config, dec_hook=decode_hook, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidObject(f"configuration is wrong: {error}", hint=f"see {path} and `podwright agent --help`") from None


def _refuse_removed(tree: Mapping[str, Any]) -> None:
    for dotted, reason in _REMOVED.items():
        section, name = dotted.split(".")
        if name in (tree.get(section) or {}):
            hint = "if pods were attached under another name, first `podwright agent --clear` with the version that made them"
            raise InvalidObject(f"{dotted} is no setting any more: {reason}", hint=hint)


def _environment_flags(environment: Mapping[str, str]) -> dict[str, Any]:
    """PODWRIGHT_NETWORK__MODE=routed is network.mode; comma-separated values are lists.

    Only a name with a section is surely meant as a setting: the others may be the command's or a script's own.
    """
    known = {_dotted_key(dotted): dotted for dotted in (*_dotted_names(Config), *_REMOVED)}
    found: dict[str, Any] = {}
    for key, text in environment.items():
        dotted = known.get(key)
        if dotted is not None:
            found[dotted] = text.split(",") if dotted.endswith(("CIDRs", "IPs")) else text
        elif key.startswith("PODWRIGHT_") and "__" in key:
            nearest = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"settings are {', '.join(sorted(known))}"
            raise InvalidObject(f"environment variable {key} is no setting", hint=hint)
    return found


def _dotted_key(dotted: str) -> str:
    snake = "".join(f"_{c}" if c.isupper() and not before.isupper() else c for before, c in zip("X" + dotted, dotted, strict=False))
    return "PODWRIGHT_" + snake.replace(".", "__").upper()


def _dotted_names(section: type[msgspec.Struct], prefix: str = "") -> list[str]:
    names: list[str] = []
    for field in msgspec.structs.fields(section):
        if isinstance(field.type, type) and issubclass(field.type, _Section):
            names += _dotted_names(field.type, f"{prefix}{field.encode_name}.")
        else:
            names.append(prefix + field.encode_name)
    return names


def _set(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, leaf = dotted.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[leaf] = value
