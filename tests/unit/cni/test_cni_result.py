"""One result in every version of the specification, byte by byte, and back."""

import json
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from cni import spec
from cni.spec import Dns, Interface, IpConfig, Result, Route

DUAL = Result(
    interfaces=(
        Interface("pw0", "0a:58:0a:49:00:01"),
        Interface("eth0", "0a:58:0a:49:00:05", 1500, "/run/netns/c1", "/run/vhost.sock", "0000:00:1f.6"),
    ),
    ips=(
        IpConfig(ip_interface("10.73.0.5/32"), ip_address("10.73.0.1"), 1),
        IpConfig(ip_interface("fd73::5/128"), ip_address("fd73::1"), 1),
    ),
    routes=(
        Route(ip_network("0.0.0.0/0"), ip_address("10.73.0.1"), 1400, 1360, 10, 0, 253),
        Route(ip_network("::/0")),
    ),
    dns=Dns(("10.0.0.53",), "local", ("a.local",), ("ndots:5",)),
)

DNS = '"dns":{"nameservers":["10.0.0.53"],"domain":"local","search":["a.local"],"options":["ndots:5"]}'
PLAIN_INTERFACES = (
    '"interfaces":[{"name":"pw0","mac":"0a:58:0a:49:00:01"},{"name":"eth0","mac":"0a:58:0a:49:00:05","sandbox":"/run/netns/c1"}]'
)
PLAIN_ROUTES = '"routes":[{"dst":"0.0.0.0/0","gw":"10.73.0.1"},{"dst":"::/0"}]'
IPS = '"ips":[{"interface":1,"address":"10.73.0.5/32","gateway":"10.73.0.1"},{"interface":1,"address":"fd73::5/128","gateway":"fd73::1"}]'
FAMILY_IPS = (
    '"ips":[{"version":"4","interface":1,"address":"10.73.0.5/32","gateway":"10.73.0.1"},'
    '{"version":"6","interface":1,"address":"fd73::5/128","gateway":"fd73::1"}]'
)
OLD = (
    '"ip4":{"ip":"10.73.0.5/32","gateway":"10.73.0.1","routes":[{"dst":"0.0.0.0/0","gw":"10.73.0.1"}]},'
    '"ip6":{"ip":"fd73::5/128","gateway":"fd73::1","routes":[{"dst":"::/0"}]}'
)
BYTES = {
    "1.1.0": '{"cniVersion":"1.1.0","interfaces":[{"name":"pw0","mac":"0a:58:0a:49:00:01"},'
    '{"name":"eth0","mac":"0a:58:0a:49:00:05","mtu":1500,"sandbox":"/run/netns/c1",'
    '"socketPath":"/run/vhost.sock","pciID":"0000:00:1f.6"}],'
    + IPS
    + ',"routes":[{"dst":"0.0.0.0/0","gw":"10.73.0.1","mtu":1400,"advmss":1360,"priority":10,"table":0,"scope":253},{"dst":"::/0"}],'
    + DNS
    + "}",
    "1.0.0": f'{{"cniVersion":"1.0.0",{PLAIN_INTERFACES},{IPS},{PLAIN_ROUTES},{DNS}}}',
    **{v: f'{{"cniVersion":"{v}",{PLAIN_INTERFACES},{FAMILY_IPS},{PLAIN_ROUTES},{DNS}}}' for v in ("0.4.0", "0.3.1", "0.3.0")},
    **{v: f'{{"cniVersion":"{v}",{OLD},{DNS}}}' for v in ("0.2.0", "0.1.0")},
}


def compact(result: Result, version: str) -> str:
    return json.dumps(result.encode(version), separators=(",", ":"))


@pytest.mark.parametrize("version", spec.SUPPORTED)
def test_the_bytes_of_each_version(version: str) -> None:
    assert compact(DUAL, version) == BYTES[version]


@pytest.mark.parametrize("version", spec.SUPPORTED)
def test_what_a_version_can_say_survives_the_way_up_and_down_again(version: str) -> None:
    wire = json.loads(BYTES[version])
    up = Result.decode(wire, default_version="1.1.0")
    again = Result.decode(up.encode("1.1.0"), default_version="1.1.0").encode(version)
    if version in ("0.1.0", "0.2.0"):  # there a route without gw means the address's gateway, and says so after the way up
        wire["ip6"]["routes"][0]["gw"] = "fd73::1"
    assert again == wire


def test_nothing_is_lost_in_the_newest_version() -> None:
    assert Result.decode(DUAL.encode(spec.NEWEST), spec.NEWEST) == DUAL


def test_the_oldest_versions_keep_the_first_address_of_each_family() -> None:
    ips = tuple(IpConfig(ip_interface(text)) for text in ("10.0.0.1/24", "10.0.0.2/24", "fd00::1/64"))
    assert Result(ips=ips).encode("0.2.0") == {"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.1/24"}, "ip6": {"ip": "fd00::1/64"}}


def test_the_oldest_versions_cannot_say_no_address() -> None:
    with pytest.raises(spec.IncompatibleVersion, match="no address"):
        Result().encode("0.1.0")
    assert Result().encode("1.0.0") == {"cniVersion": "1.0.0"}


def test_the_version_of_a_previous_result_may_be_left_out() -> None:
    assert Result.decode({"ip4": {"ip": "10.0.0.1/24"}}, default_version="0.2.0").ips[0].address == ip_interface("10.0.0.1/24")


@pytest.mark.parametrize("index", [None, 2, -1])
def test_an_unknown_interface_of_an_address_is_no_crash(index: int | None) -> None:
    assert DUAL.interface_of(IpConfig(ip_interface("10.0.0.1/24"), interface=index)) is None


def test_the_version_object_lists_all() -> None:
    assert spec.version_object() == {"cniVersion": "1.1.0", "supportedVersions": list(spec.SUPPORTED)}
