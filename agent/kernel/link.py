"""Links: veth pairs, bridges and their ports, as rtnetlink requests and one dump.

What the kernel forces here (each measured): a veth's peer is born in the pod's namespace, moving it later is slow
under load; both indexes are ours to choose, so no look-up is needed; at creation the alias and a port's settings
are silently ignored and AF_SPEC is refused, so one follow-up request sets them before the link goes up; the
peer can only be brought up from its own side. per-device IPv4 settings go through IFLA_AF_SPEC: writing
/proc/sys slows down with the number of namespaces.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.kernel import netlink
from agent.kernel.netlink import NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NetlinkSocket, Request, nested

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE = 1, 5, 7, 9, 11

FIRST_CHOSEN_INDEX, LAST_CHOSEN_INDEX = 0x100000, 0x3FFFFFFE
"""Indexes for our links: far above what the kernel counts up to, so that they are free and known as ours."""
CHOSEN_INDEX_BITS = 0x3FF00000


def is_chosen(index: int) -> bool:
    return index & CHOSEN_INDEX_BITS != 0


IFF_UP = 0x1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_AF_SPEC = 1, 3, 4, 10, 18, 20, 26
_IFLA_LINK, _IFLA_TXQLEN, _IFLA_NET_NS_FD = 5, 13, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _IFLA_INFO_SLAVE_KIND, _IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS = 29, 8
_VETH_INFO_PEER = 1
_AF_INET, _AF_INET6 = 2, 10
_IFLA_INET_CONF, _IFLA_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 1, 8, 1
_IFLA_BR_FORWARD_DELAY, _IFLA_BR_MCAST_SNOOPING = 1, 23
_BRPORT_HAIRPIN, _BRPORT_LEARNING, _BRPORT_UNICAST_FLOOD, _BRPORT_MCAST_FLOOD, _BRPORT_BCAST_FLOOD = 4, 8, 9, 27, 30

_IFINFO = struct.Struct("=BxHiII")

_DEVCONF = {"forwarding": 1, "accept_redirects": 4, "send_redirects": 6, "arp_ignore": 19, "arp_notify": 22, "route_localnet": 26}
"""include/uapi/linux/ip.h IPV4_DEVCONF_*: the per-device IPv4 settings we write."""

_PORT = {_BRPORT_HAIRPIN: 1, _BRPORT_LEARNING: 0, _BRPORT_UNICAST_FLOOD: 0, _BRPORT_MCAST_FLOOD: 0, _BRPORT_BCAST_FLOOD: 0}
PORT_SETTINGS = b"".join(netlink.u8(kind, value) for kind, value in _PORT.items())
"""What `configure` asks of a bridge's port, as the kernel writes and lists it."""

_READ = frozenset({_IFLA_IFNAME, _IFLA_ADDRESS, _IFLA_MTU, _IFLA_MASTER, _IFLA_IFALIAS, _IFLA_LINK, _IFLA_LINKINFO, _IFLA_AF_SPEC})
_NO_COUNTERS = netlink.u32(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS)
_GONE = frozenset({errno.ENODEV})


@dataclass(frozen=True, slots=True)
class Link:
    """A link as the kernel lists it. `kind` is "" for hardware; `peer_index` the other end (IFLA_LINK), if any.

    `port` and `families` are the kernel's words for a bridge port's and the address families' settings: there are
    about a hundred of them, which few readers want.
    """

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    master: int
    is_up: bool
    alias: str
    peer_index: int
    port: bytes = field(default=b"", repr=False)
    families: bytes = field(default=b"", repr=False)

    @property
    def is_closed_port(self) -> bool:
        """As `configure` makes ports."""
        settings = netlink.some_attributes(self.port, frozenset(_PORT))
        return {kind: value[0] for kind, value in settings.items()} == _PORT

    def has_ipv4(self, wanted: Mapping[str, int]) -> bool:
        """Are these per-device settings as wanted? The kernel lists them all in one array, by number."""
        listed = netlink.attribute_map(netlink.attribute_map(self.families).get(_AF_INET, b"")).get(_IFLA_INET_CONF, b"")
        values = memoryview(listed).cast("I") if listed else ()
        return all(_DEVCONF[name] <= len(values) and values[_DEVCONF[name] - 1] == value for name, value in wanted.items())


def _header(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _IFINFO.pack(0, 0, index, flags, change)


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def create_veth(  # noqa: PLR0913 (one kernel message, all of it in one place)
    name: str, index: int, mac: str, *, peer: str, peer_index: int, peer_mac: str, netns_fd: int, mtu: int, master: int = 0
) -> Request:
    """A veth pair whose peer is born in the namespace `netns_fd`. Both ends are down."""
    peer_body = (
        _header(peer_index)
        + netlink.text(_IFLA_IFNAME, peer)
        + netlink.attr(_IFLA_ADDRESS, mac_bytes(peer_mac))
        + netlink.u32(_IFLA_MTU, mtu)
        + netlink.u32(_IFLA_NET_NS_FD, netns_fd)
    )
    info = nested(_IFLA_LINKINFO, netlink.text(_IFLA_INFO_KIND, "veth"), nested(_IFLA_INFO_DATA, netlink.attr(_VETH_INFO_PEER, peer_body)))
    own = netlink.text(_IFLA_IFNAME, name) + netlink.attr(_IFLA_ADDRESS, mac_bytes(mac)) + netlink.u32(_IFLA_MTU, mtu)
    port = netlink.u32(_IFLA_MASTER, master) if master else b""
    shown = f"ip link add {name} index {index} address {mac} mtu {mtu}{f' master {master}' if master else ''}"
    return Request(
        RTM_NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        _header(index) + own + port + info,
        f"{shown} type veth peer {peer} index {peer_index} address {peer_mac} netns POD",
    )


def create_bridge(name: str, *, mac: str, mtu: int) -> Request:
    """A bridge that neither snoops nor delays. Its MAC is pinned, or it would follow its ports. Existing: no-op."""
    data = nested(_IFLA_INFO_DATA, netlink.u32(_IFLA_BR_FORWARD_DELAY, 0), netlink.u8(_IFLA_BR_MCAST_SNOOPING, 0))
    info = nested(_IFLA_LINKINFO, netlink.text(_IFLA_INFO_KIND, "bridge"), data)
    body = _header() + netlink.text(_IFLA_IFNAME, name) + netlink.attr(_IFLA_ADDRESS, mac_bytes(mac)) + netlink.u32(_IFLA_MTU, mtu)
    shown = f"ip link add {name} address {mac} mtu {mtu} type bridge forward_delay 0 mcast_snooping 0"
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body + info, shown, frozenset({errno.EEXIST}))


def create_ifb(name: str, index: int, *, mtu: int) -> Request:
    """A device on which packets that entered another one leave, and so can be shaped; down. Existing: no-op."""
    info = nested(_IFLA_LINKINFO, netlink.text(_IFLA_INFO_KIND, "ifb"))
    body = _header(index) + netlink.text(_IFLA_IFNAME, name) + netlink.u32(_IFLA_MTU, mtu) + info
    shown = f"ip link add {name} index {index} mtu {mtu} type ifb"
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, shown, frozenset({errno.EEXIST}))


def configure(
    index: int, *, alias: str = "", ipv4: Mapping[str, int] | None = None, link_local: bool = True, is_port: bool = False
) -> Request:
    """What cannot be set at creation: alias, per-device IPv4 settings, bridge port settings.

    A port neither learns nor floods (its fdb entry is static) and may send a frame back where it came from
    (hairpin: a pod reaching its own hostPort). `link_local` False: no automatic IPv6 address.
    """
    parts, shown = [], [f"ip link set index {index}"]
    if alias:
        parts.append(netlink.text(_IFLA_IFALIAS, alias))
        shown.append(f"alias '{alias}'")
    spec = []
    if ipv4:
        conf = [netlink.u32(_DEVCONF[name], value) for name, value in ipv4.items()]
        spec.append(nested(_AF_INET, nested(_IFLA_INET_CONF, *conf)))
        shown += [f"ipv4.{name}={value}" for name, value in ipv4.items()]
    if not link_local:
        spec.append(nested(_AF_INET6, netlink.u8(_IFLA_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE)))
        shown.append("addrgenmode none")
    if spec:
        parts.append(nested(_IFLA_AF_SPEC, *spec))
    if is_port:
        parts.append(nested(_IFLA_LINKINFO, netlink.text(_IFLA_INFO_SLAVE_KIND, "bridge"), nested(_IFLA_INFO_SLAVE_DATA, PORT_SETTINGS)))
        shown.append("type bridge_slave hairpin on learning off flood off mcast_flood off bcast_flood off")
    return Request(RTM_NEWLINK, 0, _header(index) + b"".join(parts), " ".join(shown))


def set_up(index: int) -> Request:
    return Request(RTM_NEWLINK, 0, _header(index, IFF_UP, IFF_UP), f"ip link set index {index} up")


def settle(index: int) -> Request:
    """Asking for one link makes the kernel (from 6.8) finish what a new carrier set off: until then the link drops what it
    is given to send, and the first packet after an attach would be lost. Older kernels do it by themselves, a little later."""
    return Request(RTM_GETLINK, 0, _header(index), f"ip link show index {index}")


def set_mtu(index: int, mtu: int) -> Request:
    return Request(RTM_NEWLINK, 0, _header(index) + netlink.u32(_IFLA_MTU, mtu), f"ip link set index {index} mtu {mtu}", _GONE)


def set_master(index: int, bridge: int) -> Request:
    return Request(RTM_NEWLINK, 0, _header(index) + netlink.u32(_IFLA_MASTER, bridge), f"ip link set index {index} master index {bridge}")


def set_mac(index: int, mac: str) -> Request:
    body = _header(index) + netlink.attr(_IFLA_ADDRESS, mac_bytes(mac))
    return Request(RTM_NEWLINK, 0, body, f"ip link set index {index} address {mac}")


def remove(index: int) -> Request:
    """Deletes a link (both ends of a veth). Absent: no-op."""
    return Request(RTM_DELLINK, 0, _header(index), f"ip link del index {index}", _GONE)


def remove_by_name(name: str) -> Request:
    body = _header() + netlink.text(_IFLA_IFNAME, name)
    return Request(RTM_DELLINK, 0, body, f"ip link del {name}", _GONE)


def list_(socket: NetlinkSocket) -> list[Link]:
    """All links of the socket's namespace."""
    return [parse(reply.payload) for reply in socket.dump(Request(RTM_GETLINK, NLM_F_DUMP, _header() + _NO_COUNTERS, "ip link show"))]


def find(socket: NetlinkSocket, name: str) -> Link | None:
    body = _header() + netlink.text(_IFLA_IFNAME, name) + _NO_COUNTERS
    reply = socket.ask(Request(RTM_GETLINK, 0, body, f"ip link show {name}", _GONE))
    return None if reply is None else parse(reply.payload)


def parse(payload: bytes) -> Link:
    """An ifinfomsg with its attributes (RTM_NEWLINK or RTM_DELLINK)."""
    _, _, index, flags, _ = _IFINFO.unpack_from(payload)
    found = netlink.some_attributes(payload[_IFINFO.size :], _READ)
    info = netlink.attribute_map(found.get(_IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=_text(found.get(_IFLA_IFNAME, b"")),
        kind=_text(info.get(_IFLA_INFO_KIND, b"")),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=_number(found.get(_IFLA_MTU, b"")),
        master=_number(found.get(_IFLA_MASTER, b"")),
        is_up=bool(flags & IFF_UP),
        alias=_text(found.get(_IFLA_IFALIAS, b"")),
        peer_index=_number(found.get(_IFLA_LINK, b"")),
        port=info.get(_IFLA_INFO_SLAVE_DATA, b"") if info.get(_IFLA_INFO_SLAVE_KIND) == b"bridge\0" else b"",
        families=found.get(_IFLA_AF_SPEC, b""),
    )


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode(errors="replace")


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
