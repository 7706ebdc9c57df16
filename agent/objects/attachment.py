"""One pod's connection to one network: what was promised to it, and how to recognise it in the kernel.

An Attachment is the lease, the intent and the record in one object. It is written to the store before a
caller is told of the address and outlives the agent; with it alone a fresh process can tell which veth, which
firewall elements and which address belong to whom, and can remove them. The key is (network, container id,
interface name), as CNI defines it; never what a caller's prevResult says.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Literal, NamedTuple

from agent.objects.meta import IPAddress, Object, Value


class Protocol(StrEnum):
    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class AttachmentKey(NamedTuple):
    network: str
    container_id: str
    ifname: str

    @property
    def digest(self) -> str:
        """20 hex digits; names the object in the store and, shortened, the host's veth."""
        return hashlib.blake2b("\0".join(self).encode(), digest_size=10).hexdigest()


class PortMapping(Value, frozen=True):
    """One hostPort. `host_ip` None: every local address of the node."""

    host_port: int
    container_port: int
    protocol: Protocol = Protocol.TCP
    host_ip: IPAddress | None = None


class Bandwidth(Value, frozen=True):
    """Limits in bit/s and bits; 0 is no limit. Ingress is towards the pod."""

    ingress_rate: int = 0
    ingress_burst: int = 0
    egress_rate: int = 0
    egress_burst: int = 0


class NetnsIdentity(Value, frozen=True):
    """A network namespace as the kernel knows it. A path is only a hint: it can be reused."""

    path: str
    inode: int = 0


class PodReference(Value, frozen=True):
    namespace: str = ""
    name: str = ""
    uid: str = ""


class IpamPlugin(Value, frozen=True):
    """A foreign plugin that gave the addresses, and all it must be told to take them back: CNI_PATH, CNI_ARGS, stdin."""

    type: str
    path: str = ""
    args: str = ""
    config: str = ""


class Attachment(Object, frozen=True):
    """metadata.name is `key.digest`; metadata.namespace is "". metadata.labels are those that a runtime gave the pod.

    `is_chained`: another plugin made the interface. Its links and addresses are not ours to make or to remove; firewall,
    host ports and limits are, and `shaper_ifindex` is the link's that shapes what the pod sends.
    """

    api_version: str = "podwright.io/v1"
    kind: Literal["Attachment"] = "Attachment"
    network: str = ""
    container_id: str = ""
    ifname: str = ""
    netns: NetnsIdentity = NetnsIdentity(path="")
    boot_id: str = ""
    pod: PodReference = PodReference()
    addresses: tuple[IPAddress, ...] = ()
    mac: str = ""
    mtu: int = 0
    host_ifname: str = ""
    host_ifindex: int = 0
    ports: tuple[PortMapping, ...] = ()
    bandwidth: Bandwidth = Bandwidth()
    ipam: IpamPlugin | None = None
    is_chained: bool = False
    shaper_ifindex: int = 0

    @property
    def attachment_key(self) -> AttachmentKey:
        return AttachmentKey(self.network, self.container_id, self.ifname)
