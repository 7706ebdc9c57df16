from ipaddress import ip_address, ip_network

import pytest

from agent.config import Mode
from agent.network import datapath
from agent.network.node import NodeNetwork, mac_of
from agent.objects.attachment import Attachment, AttachmentKey, PodReference, PortMapping
from agent.objects.meta import IPAddress, ObjectMeta


def node(mode: Mode, *cidrs: str) -> NodeNetwork:
    ranges = tuple(ip_network(cidr) for cidr in cidrs or ("10.73.0.0/20", "fd73::/64"))
    return NodeNetwork(mode, "pw0", ranges, ranges, 1500)


def attachment(*addresses: str, container_id: str = "c1", index: int = 0x100000, ports: tuple[PortMapping, ...] = ()) -> Attachment:
    key = AttachmentKey("podwright", container_id, "eth0")
    parsed: tuple[IPAddress, ...] = tuple(ip_address(address) for address in addresses)
    return Attachment(
        metadata=ObjectMeta(name=key.digest),
        network=key.network,
        container_id=container_id,
        ifname=key.ifname,
        boot_id="boot-1",
        pod=PodReference(namespace="demo", name=f"pod-{container_id}", uid="u"),
        addresses=parsed,
        mac=mac_of(parsed),
        mtu=1500,
        host_ifname=datapath.host_ifname(key),
        host_ifindex=index,
        ports=ports,
    )


@pytest.fixture(params=list(Mode))
def mode(request: pytest.FixtureRequest) -> Mode:
    return request.param
