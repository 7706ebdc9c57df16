"""What a caller asks of the network for one pod interface, and what it gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.config import Mode
from agent.network import datapath
from agent.network.node import GATEWAY_MAC, NodeNetwork
from agent.objects.attachment import Attachment, AttachmentKey, Bandwidth, IpamPlugin, PodReference, PortMapping
from agent.objects.meta import IPAddress, IPNetwork
from cni.spec import Dns


@dataclass(frozen=True, slots=True)
class AttachRequest:
    """`netns` is a path. `addresses`: exactly these are wanted; `ranges`: allocate one from each instead of one per family.

    `ipam` gave the addresses, which may be of ranges that are none of ours. `is_chained`: the interface is there, with them.
    """

    key: AttachmentKey
    netns: str
    pod: PodReference = PodReference()
    addresses: tuple[IPAddress, ...] = ()
    ranges: tuple[tuple[IPNetwork, ...], ...] = ()
    mac: str = ""
    ports: tuple[PortMapping, ...] = ()
    bandwidth: Bandwidth = Bandwidth()
    labels: Mapping[str, str] = field(default_factory=dict)
    ipam: IpamPlugin | None = None
    is_chained: bool = False


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    address: IPAddress
    prefix_length: int
    gateway: IPAddress


@dataclass(frozen=True, slots=True)
class AttachResult:
    """Enough to write a CNI result of any version. `bridge` is "" in routed mode; `host_ifindex` tells an attachment from
    another one that had the key before or has it later."""

    key: AttachmentKey
    host_ifindex: int
    mac: str
    mtu: int
    netns: str
    host_ifname: str
    host_mac: str
    bridge: str
    bridge_mac: str
    addresses: tuple[InterfaceAddress, ...]
    dns: Dns = Dns()
    """What the IPAM plugin says, if there is one."""

    @property
    def ifname(self) -> str:
        return self.key.ifname


@dataclass(frozen=True, slots=True)
class Readiness:
    """`problems`: why an attach would fail now; none is ready. `limits_existing_pods` when pods that are attached suffer too."""

    problems: tuple[str, ...] = ()
    limits_existing_pods: bool = False


def result(network: NodeNetwork, attachment: Attachment) -> AttachResult:
    is_bridge = network.mode is Mode.BRIDGE
    return AttachResult(
        key=attachment.attachment_key,
        host_ifindex=attachment.host_ifindex,
        mac=attachment.mac,
        mtu=attachment.mtu,
        netns=attachment.netns.path,
        host_ifname=attachment.host_ifname,
        host_mac=datapath.host_mac(network, attachment.attachment_key),
        bridge=network.bridge if is_bridge else "",
        bridge_mac=GATEWAY_MAC if is_bridge else "",
        addresses=tuple(
            InterfaceAddress(address, address.max_prefixlen, network.gateway(address.version, address)) for address in attachment.addresses
        ),
    )
