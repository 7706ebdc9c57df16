"""Host ports: destination NAT by two maps per family, for connections to an address of the node only.

`fib daddr type local` keeps traffic that the node merely forwards out of it. Output has the same rules, for the
node itself and 127.0.0.1 (pod devices have route_localnet; `masquerade` gives such packets a source that can be
answered). ::1 cannot be translated, IPv6 never routes it: it is left to whoever listens on the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

from agent.kernel.nft import RETURN, Chain, Element, Hook, Rule, Set, jump, rule
from agent.kernel.nft.datatypes import ADDRESS, PROTOCOL, SERVICE
from agent.kernel.nft.fields import daddr, dport, fib_daddr_type, l4proto, nfproto
from agent.kernel.nft.statements import dnat
from agent.network.firewall.tables import INET, NFPROTO, first_of_family, inet_chain
from agent.objects.attachment import Attachment, Protocol

_CHAIN = "hostports"
_PROTOCOLS = tuple(protocol.value.lower() for protocol in Protocol)


def any_address(family: int) -> Set:
    """Port of every local address."""
    return Set(INET, f"hostports{family}", (PROTOCOL, SERVICE), (ADDRESS[family], SERVICE))


def one_address(family: int) -> Set:
    """Port of the one address that the pod's hostIP names."""
    return Set(INET, f"hostip-ports{family}", (ADDRESS[family], PROTOCOL, SERVICE), (ADDRESS[family], SERVICE))


def sets() -> tuple[Set, ...]:
    return tuple(make(family) for family in (4, 6) for make in (one_address, any_address))


def chains() -> tuple[Chain, ...]:
    translate = inet_chain(_CHAIN, None, rule(daddr(6).is_(IPv6Address("::1")), RETURN), *_rules(4), *_rules(6))
    enter = rule(l4proto.in_(_PROTOCOLS), fib_daddr_type.is_("local"), jump(_CHAIN))
    return (
        translate,
        inet_chain("nat-prerouting", Hook("nat", "prerouting", -100), enter),
        inet_chain("nat-output", Hook("nat", "output", -100), enter),
    )


def _rules(family: int) -> Iterator[Rule]:
    """nft wants to see the protocols again before it lets a port be the key of a map."""
    common = (nfproto.is_(NFPROTO[family]), l4proto.in_(_PROTOCOLS))
    yield rule(*common, dnat(family, (daddr(family), l4proto, dport), one_address(family)))
    yield rule(*common, dnat(family, (l4proto, dport), any_address(family)))


def elements(attachment: Attachment) -> Iterator[Element]:
    for family, address in first_of_family(attachment):
        for port in attachment.ports:
            host_ip, key = port.host_ip, (port.protocol.value.lower(), port.host_port)
            if host_ip is not None and host_ip.version != family:
                continue
            target = (address, port.container_port)
            if host_ip is None or host_ip.is_unspecified:
                yield any_address(family).element(*key, data=target)
            else:
                yield one_address(family).element(host_ip, *key, data=target)
