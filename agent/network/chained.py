"""An interface that another CNI plugin made, with a firewall, host ports and limits of ours around it.

The pod's end is looked up in its namespace, and the host's end is its peer: a caller's previous result may name the
wrong one, or none. Nothing else than a veth will do: what a macvlan or ipvlan sends never passes the node's hooks as
coming from one device. Link, addresses and routes stay as they are, whoever made them takes them away.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import structs

from agent.errors import NotFound, Unsupported
from agent.kernel import link, tc
from agent.kernel.host import Host
from agent.kernel.netlink import Request
from agent.network import bandwidth, datapath
from agent.network.datapath import PodChange
from agent.objects.attachment import Attachment, AttachmentKey

_LOCALHOST_PORTS = {"route_localnet": 1}
"""As datapath's links have it: 127.0.0.1:hostPort is redirected to a pod."""


@dataclass(frozen=True, slots=True)
class Found:
    """The host's end, and what the pod's end has."""

    host_ifname: str
    host_ifindex: int
    mac: str
    mtu: int

    def described(self, attachment: Attachment) -> Attachment:
        """Of the index that was meant for the host's end only the one after it is used."""
        return structs.replace(
            attachment,
            is_chained=True,
            shaper_ifindex=attachment.host_ifindex + 1,
            host_ifname=self.host_ifname,
            host_ifindex=self.host_ifindex,
            mac=self.mac,
            mtu=self.mtu,
        )


def find(host: Host, netns_fd: int, key: AttachmentKey) -> Found:
    """Raises NotFound, Unsupported."""
    inside = next((found for found in host.look_into_pod(netns_fd)[0] if found.name == key.ifname), None)
    if inside is None:
        raise NotFound(f"the pod has no {key.ifname}: the plugins before this one made none", hint="chain podwright behind a main plugin")
    if inside.kind != "veth":
        raise Unsupported(
            f"{key.ifname} is a {inside.kind or 'device without kind'}, and only behind a veth can a pod be filtered",
            hint="chain podwright behind bridge, ptp or another plugin that makes a veth",
        )
    peer = next((found for found in host.list_links() if found.index == inside.peer_index and found.kind == "veth"), None)
    if peer is None:
        raise NotFound(f"the other end of {key.ifname} is not in the node's namespace")
    return Found(peer.name, peer.index, inside.mac, inside.mtu)


def attach(host: Host, attachment: Attachment) -> PodChange:
    """Requests for what is ours around it."""
    return PodChange((*_localhost_ports(host, attachment), *bandwidth.ensure(attachment, datapath.alias(attachment))), (), (), ())


def release(attachment: Attachment) -> tuple[Request, ...]:
    """What does not go with a link of ours."""
    return (tc.remove_bucket(attachment.host_ifindex),) if attachment.bandwidth.ingress_rate else ()


def _localhost_ports(host: Host, attachment: Attachment) -> tuple[Request, ...]:
    """On the device that the node routes to the pod by: the host's end, or the bridge it is a port of. Left on for others."""
    if not attachment.ports:
        return ()
    own = next(found for found in host.list_links() if found.index == attachment.host_ifindex)
    return (link.configure(own.master or own.index, ipv4=_LOCALHOST_PORTS),)
