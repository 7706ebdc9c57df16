"""The network configuration a runtime sends on stdin, typed: what we act on, and the rest untouched in `raw`.

Unknown keys are never errors. A key with a meaning and a wrong value is code 7 and named by its path.
`capabilities` should have been stripped by the runtime; libcni leaves it, so it is tolerated.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cni.spec.errors import InvalidConfig
from cni.spec.field import Field, IPAddress, IPInterface, IPNetwork
from cni.spec.version import OLDEST

IDENTIFIER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_VALID_KEYS = ("cni.dev/valid-attachments", "cni.dev/attachments")


@dataclass(frozen=True, slots=True)
class PortMap:
    host_port: int
    container_port: int
    protocol: str
    host_ip: IPAddress | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """bit/s and bits; 0 is no limit. Ingress is towards the pod."""

    ingress_rate: int = 0
    ingress_burst: int = 0
    egress_rate: int = 0
    egress_burst: int = 0


@dataclass(frozen=True, slots=True)
class IpRange:
    subnet: IPNetwork
    start: IPAddress | None = None
    end: IPAddress | None = None
    gateway: IPAddress | None = None

    @property
    def first(self) -> IPAddress:
        return self.start or self.subnet[1]

    @property
    def last(self) -> IPAddress:
        """IPv4's highest address is the broadcast."""
        return self.end or self.subnet[-2 if self.subnet.version == 4 else -1]

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Dns:
    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Label:
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    port_mappings: tuple[PortMap, ...] = ()
    bandwidth: Rates = Rates()
    ips: tuple[IPInterface, ...] = ()
    mac: str = ""
    ip_ranges: tuple[tuple[IpRange, ...], ...] = ()
    dns: Dns | None = None


@dataclass(frozen=True, slots=True)
class ConfigArgs:
    """args.cni"""

    labels: tuple[Label, ...] = ()
    ips: tuple[IPInterface, ...] = ()
    mac: str = ""


@dataclass(frozen=True, slots=True)
class ValidAttachment:
    container_id: str
    ifname: str


@dataclass(frozen=True, slots=True)
class NetConf:
    cni_version: str
    name: str
    runtime: RuntimeConfig = RuntimeConfig()
    args: ConfigArgs = ConfigArgs()
    dns: Dns = Dns()
    ipam_type: str = ""
    labels: tuple[Label, ...] = ()
    """Of every pod of this network that has none of its own."""
    valid_attachments: tuple[ValidAttachment, ...] | None = None
    """GC's list. None (absent or null) is "the caller does not know", () is "none is valid"."""
    raw: Mapping[str, Any] = field(default_factory=dict)


def read_identity(document: Field) -> NetConf:
    """Version and name alone: enough for DEL, which must not fail because some other field is wrong."""
    name = document.get("name").text()
    if not name:
        raise InvalidConfig("missing network name", hint='set "name" in the network configuration')
    if not IDENTIFIER.fullmatch(name):
        document.get("name").refuse("letters, digits, '_', '.' or '-', starting with a letter or digit")
    return NetConf(read_version(document), name, raw=document.value)


def read_for_delete(document: Field) -> NetConf:
    """As read_identity; with the plugin that the address must be given back to, if there is one of sound name."""
    try:
        ipam_type = read_type(document.get("ipam").get("type"))
    except InvalidConfig:
        ipam_type = ""
    return dataclasses.replace(read_identity(document), ipam_type=ipam_type)


def read_version(document: Field) -> str:
    return document.get("cniVersion").text() or OLDEST


def read_config(document: Field) -> NetConf:
    identity = read_identity(document)
    read_type(document.get("type"))
    args = document.get("args").get("cni")
    return NetConf(
        identity.cni_version,
        identity.name,
        _runtime_config(document.get("runtimeConfig")),
        ConfigArgs(
            labels=tuple(Label(item.get("key").text(), item.get("value").text()) for item in args.get("labels")),
            ips=tuple(item.interface() for item in args.get("ips")),
            mac=read_mac(args.get("mac")),
        ),
        _dns(document.get("dns"), "nameservers", "search"),
        read_type(document.get("ipam").get("type")),
        _default_labels(document.get("labels")),
        _valid_attachments(document),
        document.value,
    )


def _default_labels(labels: Field) -> tuple[Label, ...]:
    """An object, as Kubernetes writes labels."""
    if labels and not isinstance(labels.value, dict):
        labels.refuse("an object of strings")
    return tuple(Label(key, labels.get(key).text()) for key in labels.value or ())


def read_type(field: Field) -> str:
    """The name of a plugin, which is looked for in CNI_PATH: never a path, or it could be any program."""
    name = field.text()
    if name and not IDENTIFIER.fullmatch(name):
        field.refuse("the name of a plugin, without a path")
    return name


def _runtime_config(runtime: Field) -> RuntimeConfig:
    limits, dns = runtime.get("bandwidth"), runtime.get("dns")
    return RuntimeConfig(
        # hostPort 0 is how "no host port" reaches us; there is nothing to open
        port_mappings=tuple(_port_map(item) for item in runtime.get("portMappings") if item.get("hostPort").integer(0, 65535)),
        bandwidth=Rates(*(limits.get(name).integer() for name in ("ingressRate", "ingressBurst", "egressRate", "egressBurst"))),
        ips=tuple(item.interface() for item in runtime.get("ips")),
        mac=read_mac(runtime.get("mac")),
        ip_ranges=tuple(_range_set(item) for item in runtime.get("ipRanges")),
        dns=_dns(dns, "servers", "searches") if dns else None,
    )


def _port_map(item: Field) -> PortMap:
    protocol = item.get("protocol").text("tcp").lower()
    if protocol not in ("tcp", "udp", "sctp"):
        item.get("protocol").refuse("tcp, udp or sctp")
    if not item.get("containerPort"):
        item.get("containerPort").refuse("an integer from 1 to 65535")
    return PortMap(
        host_port=item.get("hostPort").integer(0, 65535),
        container_port=item.get("containerPort").integer(1, 65535),
        protocol=protocol,
        host_ip=item.get("hostIP").address(),
    )


def read_mac(mac: Field) -> str:
    text = mac.text().lower()
    if text and (not _MAC.fullmatch(text) or int(text[:2], 16) & 1):
        mac.refuse("a unicast MAC address such as 0a:58:0a:49:00:05")
    return text


def _range_set(ranges: Field) -> tuple[IpRange, ...]:
    found = tuple(_range(item) for item in ranges)
    if len({item.subnet.version for item in found}) != 1:
        ranges.refuse("a list of ranges of one address family")
    for (_, one), (index, other) in itertools.combinations(enumerate(found), 2):
        if int(one.first) <= int(other.last) and int(other.first) <= int(one.last):
            next(itertools.islice(ranges, index, None)).refuse(f"apart from range {one}")
    return found


def _range(item: Field) -> IpRange:
    subnet = item.get("subnet").network()
    if subnet.prefixlen > subnet.max_prefixlen - 2:
        item.get("subnet").refuse(f"a network to allocate from, /{subnet.max_prefixlen - 2} or larger")
    bounds = []
    for name in ("rangeStart", "rangeEnd", "gateway"):
        address = item.get(name).address()
        if address is not None and address not in subnet:
            item.get(name).refuse(f"an address in {subnet}")
        bounds.append(address)
    start, end, gateway = bounds
    if start is not None and end is not None and int(start) > int(end):
        item.get("rangeEnd").refuse(f"at or after rangeStart {start}")
    return IpRange(subnet, start, end, gateway)


def _dns(dns: Field, servers: str, searches: str) -> Dns:
    """The configuration says nameservers and search, the capability says servers and searches."""
    return Dns(dns.get(servers).texts(), dns.get("domain").text(), dns.get(searches).texts(), dns.get("options").texts())


def _valid_attachments(document: Field) -> tuple[ValidAttachment, ...] | None:
    for key in _VALID_KEYS:
        listed = document.get(key)
        if listed:
            return tuple(_valid_attachment(item) for item in listed)
    return None


def _valid_attachment(item: Field) -> ValidAttachment:
    container_id, ifname = item.get("containerID").text(), item.get("ifname").text()
    if not container_id or not ifname:
        item.refuse("an object with containerID and ifname")
    return ValidAttachment(container_id, ifname)
