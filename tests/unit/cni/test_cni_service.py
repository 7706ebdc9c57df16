"""The verbs, with a network that lives in memory: what reaches it, and what the runtime reads."""

import json
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from agent.api.cni import CniService, Reply
from agent.errors import AlreadyExists, Exhausted, NotFound, Unavailable
from agent.network.request import AttachRequest, AttachResult, InterfaceAddress, Readiness
from agent.objects.attachment import AttachmentKey, Bandwidth, IpamPlugin, PodReference, PortMapping, Protocol
from agent.objects.meta import IPAddress

KEY = AttachmentKey("pods", "c1", "eth0")
ADDRESSES = (
    InterfaceAddress(ip_address("10.73.0.5"), 32, ip_address("10.73.0.1")),
    InterfaceAddress(ip_address("fd73::5"), 128, ip_address("fd73::1")),
)


class MemoryNetwork:
    def __init__(self) -> None:
        self.attached: dict[AttachmentKey, AttachRequest] = {}
        self.collected: list[tuple[str, frozenset[AttachmentKey] | None]] = []
        self.readiness = Readiness()
        self.failure: Exception | None = None
        self.addresses: tuple[InterfaceAddress, ...] = ADDRESSES
        self.bridge = "pw0"

    def attach(self, request: AttachRequest) -> AttachResult:
        self._fail()
        if request.key in self.attached:
            raise AlreadyExists(f"{request.key} is attached already")
        self.attached[request.key] = request
        return AttachResult(
            key=request.key,
            host_ifindex=100,
            mac="0a:58:0a:49:00:05",
            mtu=1500,
            netns=request.netns,
            host_ifname="pwv1",
            host_mac="ee:ee:ee:ee:ee:ee",
            bridge=self.bridge,
            bridge_mac="0a:58:0a:49:00:01" if self.bridge else "",
            addresses=self.addresses,
        )

    def detach(self, key: AttachmentKey, ipam: IpamPlugin | None = None) -> None:
        self._fail()
        self.attached.pop(key, None)

    def ask_ipam(self, verb: str, plugin: IpamPlugin, key: AttachmentKey | None = None, netns: str = "") -> None:
        raise NotImplementedError(verb)

    def take_back(self, attached: AttachResult) -> None:
        self.detach(attached.key)

    def check(self, key: AttachmentKey, netns: str, addresses: Sequence[IPAddress]) -> None:
        if key not in self.attached or set(addresses) != {a.address for a in self.addresses}:
            raise NotFound(f"{key} is not attached with {addresses}")

    def collect(self, network: str, valid: frozenset[AttachmentKey] | None) -> None:
        self.collected.append((network, valid))

    def status(self, network: str) -> Readiness:
        self._fail()
        return self.readiness

    def _fail(self) -> None:
        if self.failure:
            raise self.failure


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


@pytest.fixture
def namespaces(tmp_path: Path) -> Path:
    """Two files stand for two namespaces: identity is all the service looks at."""
    for name in ("own", "pod"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def service(network: MemoryNetwork, namespaces: Path) -> CniService:
    return CniService(network, own_namespace=str(namespaces / "own"))


@pytest.fixture
def request_of(namespaces: Path) -> Any:
    def request_of(command: str, environment: dict[str, str] | None = None, **fields: object) -> bytes:
        given = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": "c1",
            "CNI_NETNS": str(namespaces / "pod"),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/opt/cni/bin",
            **(environment or {}),
        }
        entries = b"".join(f"{name}={value}\0".encode() for name, value in given.items())
        config = {"cniVersion": "1.1.0", "name": "pods", "type": "podwright", **fields}
        return entries + b"\0" + json.dumps(config).encode()

    return request_of


@pytest.fixture
def call(service: CniService, request_of: Any) -> Any:
    def call(command: str, environment: dict[str, str] | None = None, **fields: object) -> Reply:
        return service.handle(request_of(command, environment, **fields))

    return call


def failure(reply: Reply) -> dict[str, Any]:
    assert reply.exit_code == 1
    wire: dict[str, Any] = json.loads(reply.body)
    return wire


class TestAdd:
    def test_everything_asked_for_reaches_the_network(self, call: Any, network: MemoryNetwork, namespaces: Path) -> None:
        reply = call(
            "ADD",
            {"CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u1"},
            runtimeConfig={
                "portMappings": [{"hostPort": 53, "containerPort": 5353, "protocol": "udp", "hostIP": "10.0.0.1"}],
                "bandwidth": {"ingressRate": 1000, "ingressBurst": 2000},
                "ips": ["10.73.0.5/20"],
                "mac": "02:00:00:00:00:01",
                "ipRanges": [[{"subnet": "10.73.0.0/24", "rangeStart": "10.73.0.4", "rangeEnd": "10.73.0.9"}]],
            },
        )
        assert reply.exit_code == 0
        assert network.attached[KEY] == AttachRequest(
            key=KEY,
            netns=str(namespaces / "pod"),
            pod=PodReference(namespace="shop", name="web", uid="u1"),
            addresses=(ip_address("10.73.0.5"),),
            ranges=((ip_network("10.73.0.4/30"), ip_network("10.73.0.8/31")),),
            mac="02:00:00:00:00:01",
            ports=(PortMapping(host_port=53, container_port=5353, protocol=Protocol.UDP, host_ip=ip_address("10.0.0.1")),),
            bandwidth=Bandwidth(ingress_rate=1000, ingress_burst=2000),
        )

    def test_the_result_of_bridge_mode(self, call: Any, namespaces: Path) -> None:
        reply = call("ADD", dns={"nameservers": ["10.0.0.53"]})
        assert reply.attached is not None
        assert reply.attached.key == KEY
        assert json.loads(reply.body) == {
            "cniVersion": "1.1.0",
            "interfaces": [
                {"name": "pw0", "mac": "0a:58:0a:49:00:01"},
                {"name": "pwv1", "mac": "ee:ee:ee:ee:ee:ee", "mtu": 1500},
                {"name": "eth0", "mac": "0a:58:0a:49:00:05", "mtu": 1500, "sandbox": str(namespaces / "pod")},
            ],
            "ips": [
                {"interface": 2, "address": "10.73.0.5/32", "gateway": "10.73.0.1"},
                {"interface": 2, "address": "fd73::5/128", "gateway": "fd73::1"},
            ],
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.73.0.1"}, {"dst": "::/0", "gw": "fd73::1"}],
            "dns": {"nameservers": ["10.0.0.53"]},
        }

    def test_routed_mode_has_no_bridge(self, call: Any, network: MemoryNetwork) -> None:
        network.bridge = ""
        result = json.loads(call("ADD").body)
        assert [item["name"] for item in result["interfaces"]] == ["pwv1", "eth0"]
        assert [item["interface"] for item in result["ips"]] == [1, 1]

    def test_the_result_speaks_the_version_of_the_configuration(self, call: Any) -> None:
        result = json.loads(call("ADD", cniVersion="0.2.0").body)
        assert result["cniVersion"] == "0.2.0"
        assert result["ip4"]["ip"] == "10.73.0.5/32"

    def test_a_result_that_cannot_be_told_is_undone(self, call: Any, network: MemoryNetwork) -> None:
        network.addresses = ()
        assert failure(call("ADD", cniVersion="0.2.0"))["code"] == 1
        assert network.attached == {}

    def test_a_second_add_is_an_error_that_names_the_first(self, call: Any) -> None:
        call("ADD")
        error = failure(call("ADD"))
        assert error["code"] == 101
        assert "c1" in error["msg"]

    def test_the_agents_own_namespace_is_refused_before_anything_is_touched(
        self, call: Any, network: MemoryNetwork, namespaces: Path
    ) -> None:
        own = {"CNI_NETNS": str(namespaces / "own")}
        assert failure(call("ADD", own))["code"] == 8
        assert network.attached == {}
        assert failure(call("ADD", {**own, "CNI_NETNS_OVERRIDE": "1"}))["code"] == 8, "the override is about the caller's namespace"

    def test_a_namespace_that_is_not_there_is_code_8(self, call: Any) -> None:
        error = failure(call("ADD", {"CNI_NETNS": "/nowhere/ns"}))
        assert (error["code"], error["msg"]) == (8, "cannot open CNI_NETNS '/nowhere/ns': no such file or directory")

    @pytest.mark.parametrize(
        ("environment", "fields", "words"),
        [
            ({}, {"ipam": {"type": "host-local"}, "prevResult": {"ips": [{"address": "10.0.0.2/24"}]}}, ["ipam.type", "host-local"]),
            ({"CNI_ARGS": "GATEWAY=10.0.0.9"}, {}, ["GATEWAY", "10.0.0.9"]),
            (
                {},
                {"runtimeConfig": {"ipRanges": [[{"subnet": "10.0.0.0/24", "gateway": "10.0.0.9"}]]}},
                ["runtimeConfig.ipRanges[0][0].gateway", "10.0.0.9"],
            ),
        ],
    )
    def test_what_is_not_done_is_code_2_with_key_and_value(self, call: Any, environment: Any, fields: Any, words: list[str]) -> None:
        error = failure(call("ADD", environment, **fields))
        assert error["code"] == 2
        assert all(word in error["msg"] for word in words)

    def test_a_full_network_asks_to_try_again(self, call: Any, network: MemoryNetwork) -> None:
        network.failure = Exhausted("cannot attach pod shop/web: no free address in 10.73.0.0/20", hint="widen network.podCIDRs")
        assert failure(call("ADD", cniVersion="1.0.0")) == {
            "cniVersion": "1.0.0",
            "code": 11,
            "msg": "cannot attach pod shop/web: no free address in 10.73.0.0/20",
            "details": "widen network.podCIDRs",
        }

    def test_a_bug_is_a_cni_error_too(self, call: Any, network: MemoryNetwork) -> None:
        network.failure = ZeroDivisionError("division by zero")
        error = failure(call("ADD"))
        assert error["code"] == 100
        assert "ZeroDivisionError" in error["msg"]

    def test_an_answer_knows_how_it_is_undone(self, service: CniService, request_of: Any, network: MemoryNetwork) -> None:
        answer = service.answer(request_of("ADD"))
        assert answer.undo is not None
        answer.undo()
        assert network.attached == {}

    def test_only_an_add_that_succeeded_can_be_undone(self, service: CniService, request_of: Any) -> None:
        service.answer(request_of("ADD"))
        assert [service.answer(request_of(verb)).undo for verb in ("ADD", "DEL", "STATUS")] == [None, None, None]

    def test_the_spool_goes_first(self, network: MemoryNetwork, namespaces: Path) -> None:
        seen: list[int] = []
        service = CniService(network, own_namespace=str(namespaces / "own"), before_attach=lambda: seen.append(len(network.attached)))
        environment = f"CNI_COMMAND=ADD\0CNI_CONTAINERID=c1\0CNI_NETNS={namespaces}/pod\0CNI_IFNAME=eth0\0CNI_PATH=/x\0\0"
        assert service.handle(environment.encode() + b'{"cniVersion":"1.0.0","name":"pods"}').exit_code == 0
        assert seen == [0]


class TestDel:
    @pytest.mark.parametrize("netns", ["", "/nowhere/ns", "own"])
    def test_it_goes_by_its_key_whatever_became_of_the_namespace(
        self, call: Any, network: MemoryNetwork, namespaces: Path, netns: str
    ) -> None:
        call("ADD")
        reply = call("DEL", {"CNI_NETNS": str(namespaces / netns) if netns == "own" else netns})
        assert (reply.exit_code, reply.body, network.attached) == (0, b"", {})

    def test_twice_and_without_an_add_is_success(self, call: Any) -> None:
        assert [call("DEL").exit_code for _ in range(2)] == [0, 0]

    def test_only_the_named_interface_of_the_named_network_goes(self, call: Any, network: MemoryNetwork) -> None:
        call("ADD")
        call("ADD", {"CNI_IFNAME": "eth1"})
        call("ADD", name="other")
        call("DEL")
        assert set(network.attached) == {KEY._replace(ifname="eth1"), KEY._replace(network="other")}


class TestCheck:
    def test_against_the_result_of_add(self, call: Any) -> None:
        result = json.loads(call("ADD").body)
        assert call("CHECK", prevResult=result).exit_code == 0
        result["ips"][0]["address"] = "10.73.0.6/32"
        assert failure(call("CHECK", prevResult=result))["code"] == 3

    def test_addresses_of_another_interface_are_not_ours(self, call: Any) -> None:
        result = json.loads(call("ADD").body)
        result["interfaces"].append({"name": "net1", "sandbox": "/run/netns/c1"})
        result["ips"].append({"interface": 3, "address": "192.0.2.1/24"})
        assert call("CHECK", prevResult=result).exit_code == 0


class TestGc:
    def test_the_list_is_handed_on_as_keys(self, call: Any, network: MemoryNetwork) -> None:
        call("GC", **{"cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}]})
        call("GC", **{"cni.dev/attachments": []})
        call("GC")
        assert network.collected == [("pods", frozenset({KEY})), ("pods", frozenset()), ("pods", None)]


class TestStatus:
    def test_ready_says_nothing(self, call: Any) -> None:
        assert (call("STATUS").exit_code, call("STATUS").body) == (0, b"")

    @pytest.mark.parametrize(("hurts", "code"), [(False, 50), (True, 51)])
    def test_problems_and_whom_they_hurt(self, call: Any, network: MemoryNetwork, hurts: bool, code: int) -> None:
        network.readiness = Readiness(("no free address", "pw0 is gone"), hurts)
        error = failure(call("STATUS"))
        assert error["code"] == code
        assert "no free address; pw0 is gone" in error["msg"]

    def test_a_network_that_cannot_tell_is_not_ready(self, call: Any, network: MemoryNetwork) -> None:
        network.failure = Unavailable("still starting")
        assert failure(call("STATUS"))["code"] == 50


def test_an_error_in_an_unknown_version_is_told_in_the_newest(call: Any) -> None:
    error = failure(call("ADD", cniVersion="7.0.0"))
    assert (error["cniVersion"], error["code"]) == ("1.1.0", 1)


@pytest.mark.parametrize("raw", [b"", b"\0", b"CNI_COMMAND=ADD", b"\xff\0\0", b"CNI_COMMAND=ADD\0\0"])
def test_garbage_is_answered_as_the_specification_wants(service: CniService, raw: bytes) -> None:
    assert failure(service.handle(raw))["code"] == 4
