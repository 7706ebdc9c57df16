"""What every object has: type, metadata, and the rules by which its fields are named on the wire.

Objects are frozen msgspec Structs: Python names are snake_case, wire names are Kubernetes' camelCase with
its initialisms (hostIP, podCIDR, containerID). A changed object is a new value (`msgspec.structs.replace`).
`resource_version` is the store's; an object that was never stored has "".
"""

from __future__ import annotations

import ipaddress
from abc import ABC
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from agent.objects.quantity import Quantity

if TYPE_CHECKING:
    IPAddress = IPv4Address | IPv6Address
    IPNetwork = IPv4Network | IPv6Network
    CIDR = IPNetwork
else:  # msgspec allows one custom type in a union: at run time both are their common base class
    IPAddress = ipaddress._BaseAddress
    IPNetwork = ipaddress._BaseNetwork

    class CIDR(ABC):  # noqa: B024 (a name for two classes)
        """A range as policies write it: 10.1.2.3/24 is 10.1.2.0/24, as in Kubernetes; an address alone is a range of one."""

    CIDR.register(IPv4Network)
    CIDR.register(IPv6Network)

_INITIALISMS = {
    "api": "API",
    "cidr": "CIDR",
    "cidrs": "CIDRs",
    "dnat": "DNAT",
    "fqdn": "FQDN",
    "icmp": "ICMP",
    "id": "ID",
    "io": "IO",
    "ip": "IP",
    "ipc": "IPC",
    "ips": "IPs",
    "pid": "PID",
    "uri": "URI",
    "uuid": "UUID",
    "wwns": "WWNs",
}
"""Words that Kubernetes writes in capitals anywhere but first (apiVersion, but downwardAPI)."""


def wire_name(name: str) -> str:
    """snake_case to Kubernetes' camelCase: host_ip -> hostIP, pod_ips -> podIPs, container_id -> containerID."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(_INITIALISMS.get(word, word.capitalize()) for word in rest)


class Value(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True, rename=wire_name):
    """Base of every typed value inside an object. Subclasses repeat `frozen=True` (mypy wants to see it).

    gc=False: frozen trees have no cycles, and thousands of pods need not be walked by the collector.
    """


class OwnerReference(Value, frozen=True):
    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(Value, frozen=True):
    """metav1.ObjectMeta. Times are RFC 3339 in UTC with seconds, as Kubernetes writes them."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()
    self_link: str = ""
    managed_fields: tuple[dict[str, Any], ...] = ()


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with seconds, as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> str:
    return timestamp(datetime.now(UTC))


class Key(NamedTuple):
    """An object's identity in the store. `namespace` is "" for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.namespace}/{self.name}" if self.namespace else f"{self.kind.lower()} {self.name}"


class Object(Value, frozen=True):
    """Base of every kind: subclasses add spec and status."""

    api_version: str = "v1"
    kind: str = ""
    metadata: ObjectMeta = ObjectMeta()

    @property
    def key(self) -> Key:
        return Key(self.kind, self.metadata.namespace, self.metadata.name)

    @property
    def is_being_deleted(self) -> bool:
        return self.metadata.deletion_timestamp is not None


class Condition(Value, frozen=True):
    """metav1.Condition, and the older shapes of Pod, Deployment and Node conditions."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None
    last_probe_time: str | None = None
    last_update_time: str | None = None
    last_heartbeat_time: str | None = None
    observed_generation: int | None = None


def encode_hook(value: Any) -> Any:
    """msgspec enc_hook: addresses, networks and quantities are written as text."""
    if isinstance(value, ipaddress._IPAddressBase | Quantity):
        return str(value)
    raise NotImplementedError(f"cannot encode {type(value).__name__}")


def decode_hook(wanted: type, value: Any) -> Any:
    """msgspec dec_hook: a wrong address is a ValueError, which msgspec reports with the field's path."""
    if wanted is ipaddress._BaseAddress:
        return ipaddress.ip_address(value)
    if wanted is ipaddress._BaseNetwork:
        return ipaddress.ip_network(value)
    if wanted.__name__ == "CIDR":
        return ipaddress.ip_network(value, strict=False)
    if wanted is Quantity:
        return Quantity.parse(value)
    if issubclass(wanted, ipaddress._IPAddressBase):
        return wanted(value)  # type: ignore[call-arg]
    raise NotImplementedError(f"cannot decode {wanted.__name__}")
