"""The result of ADD in every version of the specification, both ways.

`Result` has the shape of the newest version; older ones are projections of it:
1.0.0 lacks mtu, socketPath, pciID and the routes' attributes; 0.3.0 to 0.4.0 name each address's family;
0.1.0 and 0.2.0 know one address per family and no interfaces. Key order is that of the reference library,
so that two outputs can be compared byte by byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cni.spec.config import Dns
from cni.spec.errors import IncompatibleVersion, Undecodable
from cni.spec.field import Field, IPAddress, IPInterface, IPNetwork
from cni.spec.version import is_at_least, require_known

Wire = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Interface:
    """`sandbox` is the namespace's path, "" on the host."""

    name: str
    mac: str = ""
    mtu: int = 0
    sandbox: str = ""
    socket_path: str = ""
    pci_id: str = ""


@dataclass(frozen=True, slots=True)
class IpConfig:
    """`interface` is an index into the result's interfaces. None: unknown."""

    address: IPInterface
    gateway: IPAddress | None = None
    interface: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    dst: IPNetwork
    gw: IPAddress | None = None
    mtu: int = 0
    advmss: int = 0
    priority: int = 0
    table: int | None = None
    scope: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    interfaces: tuple[Interface, ...] = ()
    ips: tuple[IpConfig, ...] = ()
    routes: tuple[Route, ...] = ()
    dns: Dns = Dns()

    def interface_of(self, ip: IpConfig) -> Interface | None:
        """Chained plugins leave the index out or wrong; both mean "unknown"."""
        if ip.interface is None or not 0 <= ip.interface < len(self.interfaces):
            return None
        return self.interfaces[ip.interface]

    def encode(self, version: str) -> Wire:
        if not is_at_least(version, "0.3.0"):
            return _encode_020(self, version)
        wire = {
            "cniVersion": version,
            "interfaces": [_encode_interface(item, version) for item in self.interfaces],
            "ips": [_encode_ip(item, version) for item in self.ips],
            "routes": [_encode_route(item, version) for item in self.routes],
            "dns": _encode_dns(self.dns),
        }
        return _without_empty(wire)

    @staticmethod
    def decode(value: object, default_version: str) -> Result:
        """A prevResult of any version; `default_version` where it names none. Raises Undecodable or IncompatibleVersion."""
        wire = Field("prevResult", value, Undecodable)
        version = require_known(wire.get("cniVersion").text(default_version), "prevResult")
        if not is_at_least(version, "0.3.0"):
            return _decode_020(wire)
        return Result(
            interfaces=tuple(_decode_interface(item) for item in wire.get("interfaces")),
            ips=tuple(_decode_ip(item) for item in wire.get("ips")),
            routes=tuple(_decode_route(item) for item in wire.get("routes")),
            dns=_decode_dns(wire.get("dns")),
        )


def _without_empty(wire: Wire) -> Wire:
    """None, "", [], {} and 0 are left out; what may be 0 on purpose is put in by the caller."""
    return {key: value for key, value in wire.items() if value}


def _encode_interface(item: Interface, version: str) -> Wire:
    newest = is_at_least(version, "1.1.0")
    wire = {
        "mac": item.mac,
        "mtu": item.mtu if newest else 0,
        "sandbox": item.sandbox,
        "socketPath": item.socket_path if newest else "",
        "pciID": item.pci_id if newest else "",
    }
    return {"name": item.name} | _without_empty(wire)


def _encode_ip(item: IpConfig, version: str) -> Wire:
    wire: Wire = {} if is_at_least(version, "1.0.0") else {"version": str(item.address.version)}
    if item.interface is not None:
        wire["interface"] = item.interface
    return wire | {"address": str(item.address)} | _gateway("gateway", item.gateway)


def _gateway(key: str, address: IPAddress | None) -> Wire:
    return {} if address is None else {key: str(address)}


def _encode_route(item: Route, version: str) -> Wire:
    wire = {"dst": str(item.dst)} | _gateway("gw", item.gw)
    if not is_at_least(version, "1.1.0"):
        return wire
    wire |= _without_empty({"mtu": item.mtu, "advmss": item.advmss, "priority": item.priority})
    return wire | {key: value for key, value in (("table", item.table), ("scope", item.scope)) if value is not None}


def _encode_dns(dns: Dns) -> Wire:
    return _without_empty(
        {"nameservers": list(dns.nameservers), "domain": dns.domain, "search": list(dns.search), "options": list(dns.options)}
    )


def _encode_020(result: Result, version: str) -> Wire:
    """One address per family, the first; each with the routes of its family."""
    wire: Wire = {"cniVersion": version}
    for family in (4, 6):
        ip = next((item for item in result.ips if item.address.version == family), None)
        if ip is not None:
            routes = [_encode_route(item, version) for item in result.routes if item.dst.version == family]
            wire[f"ip{family}"] = {"ip": str(ip.address)} | _gateway("gateway", ip.gateway) | _without_empty({"routes": routes})
    if len(wire) == 1:
        raise IncompatibleVersion(f"cannot write the result as CNI {version}: it has no address", hint="use CNI 0.3.0 or later")
    return wire | _without_empty({"dns": _encode_dns(result.dns)})


def _decode_interface(item: Field) -> Interface:
    return Interface(
        name=item.get("name").text(),
        mac=item.get("mac").text(),
        mtu=item.get("mtu").integer(),
        sandbox=item.get("sandbox").text(),
        socket_path=item.get("socketPath").text(),
        pci_id=item.get("pciID").text(),
    )


def _decode_ip(item: Field) -> IpConfig:
    return IpConfig(item.get("address").interface(), item.get("gateway").address(), item.get("interface").optional_integer())


def _decode_route(item: Field) -> Route:
    return Route(
        dst=item.get("dst").network(strict=False),
        gw=item.get("gw").address(),
        mtu=item.get("mtu").integer(),
        advmss=item.get("advmss").integer(),
        priority=item.get("priority").integer(),
        table=item.get("table").optional_integer(),
        scope=item.get("scope").optional_integer(),
    )


def _decode_dns(dns: Field) -> Dns:
    return Dns(dns.get("nameservers").texts(), dns.get("domain").text(), dns.get("search").texts(), dns.get("options").texts())


def _decode_020(wire: Field) -> Result:
    found = [wire.get(key) for key in ("ip4", "ip6") if wire.get(key)]
    ips = [IpConfig(item.get("ip").interface(), item.get("gateway").address()) for item in found]
    routes = [route for item, ip in zip(found, ips, strict=True) for route in _routes_020(item.get("routes"), ip.gateway)]
    return Result((), tuple(ips), tuple(routes), _decode_dns(wire.get("dns")))


def _routes_020(routes: Field, gateway: IPAddress | None) -> Sequence[Route]:
    """A route without gw goes to the address's own gateway."""
    return [Route(item.get("dst").network(strict=False), item.get("gw").address() or gateway) for item in routes]
