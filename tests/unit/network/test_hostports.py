"""Two pods cannot have one host port; the error says whose it is."""

from ipaddress import ip_address

import pytest

from agent.errors import AlreadyExists
from agent.network import hostports
from agent.network.hostports import HostPorts
from agent.objects.attachment import PortMapping, Protocol

from .conftest import attachment


def port(number: int, host_ip: str = "", protocol: Protocol = Protocol.TCP) -> PortMapping:
    return PortMapping(host_port=number, container_port=80, protocol=protocol, host_ip=ip_address(host_ip) if host_ip else None)


def holder(container_id: str, *ports: PortMapping):
    return attachment("10.73.0.5", container_id=container_id, ports=ports)


def test_a_taken_port_names_its_owner():
    table = HostPorts()
    table.reserve(holder("a", port(8080)))
    with pytest.raises(AlreadyExists, match="hostPort 8080/TCP is held by pod demo/pod-a"):
        table.reserve(holder("b", port(8080)))


@pytest.mark.parametrize(
    ("first", "second", "is_conflict"),
    [
        (port(53), port(53, protocol=Protocol.UDP), False),
        (port(53), port(54), False),
        (port(53, "192.0.2.1"), port(53, "192.0.2.2"), False),
        (port(53, "192.0.2.1"), port(53, "192.0.2.1"), True),
        (port(53, "192.0.2.1"), port(53), True),
        (port(53), port(53, "2001:db8::1"), True),
        (port(53, "0.0.0.0"), port(53, "192.0.2.1"), True),
        (port(53, "0.0.0.0"), port(53, "2001:db8::1"), False),
        (port(53, "0.0.0.0"), port(53, "::"), False),
    ],
)
def test_ports_conflict_when_protocol_port_and_address_overlap(first, second, is_conflict):
    table = HostPorts()
    table.reserve(holder("a", first))
    if is_conflict:
        with pytest.raises(AlreadyExists):
            table.reserve(holder("b", second))
    else:
        table.reserve(holder("b", second))
    assert hostports.conflicts_within((first, second)) is is_conflict


def test_a_refused_reservation_takes_nothing():
    table = HostPorts()
    table.reserve(holder("a", port(80)))
    with pytest.raises(AlreadyExists):
        table.reserve(holder("b", port(81), port(80)))
    table.reserve(holder("c", port(81)))


def test_a_released_port_is_free_and_a_strangers_release_frees_nothing():
    table = HostPorts()
    table.reserve(holder("a", port(80)))
    table.release(holder("b", port(80)))
    with pytest.raises(AlreadyExists):
        table.reserve(holder("c", port(80)))
    table.release(holder("a", port(80)))
    table.reserve(holder("c", port(80)))


def test_where_a_port_is():
    local = [ip_address("192.0.2.1"), ip_address("2001:db8::1")]
    asked = [*local, ip_address("127.0.0.9"), ip_address("198.51.100.1")]
    assert [hostports.whereabouts(port(53), local)(address) for address in asked] == [True, True, True, False]
    assert [hostports.whereabouts(port(53, "0.0.0.0"), local)(address) for address in asked] == [True, False, True, False]
    assert [hostports.whereabouts(port(53, "192.0.2.1"), local)(address) for address in asked] == [True, False, False, False]
