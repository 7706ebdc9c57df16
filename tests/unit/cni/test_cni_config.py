"""The network configuration: shapes of every capability, and complaints that name the field."""

import json
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from cni import spec
from cni.spec import IpRange, Label, PortMap, Rates, ValidAttachment

ENVIRONMENT = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/c1", "CNI_IFNAME": "eth0", "CNI_PATH": "/x"}


def read(**fields: object) -> spec.NetConf:
    config = {"cniVersion": "1.1.0", "name": "pods", "type": "podwright", **fields}
    return spec.parse(ENVIRONMENT, json.dumps(config).encode()).config


def test_every_capability_is_typed() -> None:
    runtime = read(
        runtimeConfig={
            "portMappings": [
                {"hostPort": 8080, "containerPort": 80, "protocol": "TCP", "hostIP": ""},
                {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "::1"},
                {"hostPort": 9, "containerPort": 9},
            ],
            "bandwidth": {"ingressRate": 1000, "ingressBurst": 2000, "egressRate": 3000, "egressBurst": 4000},
            "ips": ["10.0.0.1/24", "fd00::5"],
            "mac": "C2:11:22:33:44:55",
            "ipRanges": [[{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.8", "rangeEnd": "10.0.0.15", "gateway": "10.0.0.1"}]],
            "dns": {"servers": ["10.0.0.53"], "searches": ["cluster.local"], "options": ["ndots:5"]},
        }
    ).runtime
    assert runtime.port_mappings == (PortMap(8080, 80, "tcp"), PortMap(53, 53, "udp", ip_address("::1")), PortMap(9, 9, "tcp"))
    assert runtime.bandwidth == Rates(1000, 2000, 3000, 4000)
    assert runtime.ips == (ip_interface("10.0.0.1/24"), ip_interface("fd00::5"))
    assert runtime.mac == "c2:11:22:33:44:55"
    bounds = [ip_address(f"10.0.0.{last}") for last in (8, 15, 1)]
    assert runtime.ip_ranges == ((IpRange(ip_network("10.0.0.0/24"), *bounds),),)
    assert runtime.dns == spec.Dns(("10.0.0.53",), "", ("cluster.local",), ("ndots:5",))


def test_a_key_in_another_case_is_that_key_as_containerd_sends_it() -> None:
    """It used to be passed over, and a pod's host ports with it."""
    limits = {"IngressRate": 1000, "IngressBurst": 2000, "EgressRate": 0, "EgressBurst": 0}
    ports = [{"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""}]
    ranges = [[{"Subnet": "10.0.0.0/24", "RangeStart": "10.0.0.8", "RangeEnd": "", "Gateway": ""}]]
    runtime = read(runtimeConfig={"portMappings": ports, "bandwidth": limits, "ipRanges": ranges}).runtime
    assert runtime.port_mappings == (PortMap(8080, 80, "tcp"),)
    assert runtime.bandwidth == Rates(1000, 2000)
    assert runtime.ip_ranges == ((IpRange(ip_network("10.0.0.0/24"), ip_address("10.0.0.8")),),)


def test_of_two_keys_that_differ_by_case_the_exact_one_counts() -> None:
    port = {"HOSTPORT": 1, "hostPort": 8080, "HostPort": 2, "containerPort": 80}
    assert read(runtimeConfig={"portMappings": [port]}).runtime.port_mappings == (PortMap(8080, 80, "tcp"),)


def test_what_we_do_not_know_passes_and_is_kept() -> None:
    config = read(bridge="cni0", capabilities={"portMappings": True}, runtimeConfig={"io.kubernetes.cri.pod-annotations": {"a": "b"}})
    assert config.raw["bridge"] == "cni0"
    assert config.runtime == spec.RuntimeConfig()


def test_labels_of_args_cni() -> None:
    assert read(args={"cni": {"labels": [{"key": "app", "value": "web"}]}}).args.labels == (Label("app", "web"),)


def test_host_port_0_opens_nothing() -> None:
    assert read(runtimeConfig={"portMappings": [{"hostPort": 0, "containerPort": 80}]}).runtime.port_mappings == ()


def test_null_counts_as_absent() -> None:
    assert read(runtimeConfig=None, args=None, dns=None, ipam=None, prevResult=None).runtime == spec.RuntimeConfig()


@pytest.mark.parametrize(
    ("runtime", "path"),
    [
        ({"portMappings": [{"hostPort": 70000, "containerPort": 80}]}, "runtimeConfig.portMappings[0].hostPort"),
        ({"portMappings": [{"hostPort": "80", "containerPort": 80}]}, "runtimeConfig.portMappings[0].hostPort"),
        ({"portMappings": [{"hostPort": 80}]}, "runtimeConfig.portMappings[0].containerPort"),
        ({"portMappings": [{"hostPort": 80, "containerPort": 80, "protocol": "icmp"}]}, "runtimeConfig.portMappings[0].protocol"),
        ({"portMappings": [{"hostPort": 80, "containerPort": 80, "hostIP": "localhost"}]}, "runtimeConfig.portMappings[0].hostIP"),
        ({"portMappings": {}}, "runtimeConfig.portMappings"),
        ({"bandwidth": {"ingressRate": -1}}, "runtimeConfig.bandwidth.ingressRate"),
        ({"bandwidth": {"egressBurst": True}}, "runtimeConfig.bandwidth.egressBurst"),
        ({"ips": ["10.0.0.300"]}, "runtimeConfig.ips[0]"),
        ({"mac": "02:00"}, "runtimeConfig.mac"),
        ({"mac": "01:00:5e:00:00:01"}, "runtimeConfig.mac"),
        ({"ips": ["\ud800"]}, "runtimeConfig.ips[0]"),
        ({"dns": {"servers": [53]}}, "runtimeConfig.dns.servers[0]"),
        ("yes", "runtimeConfig"),
    ],
)
def test_a_wrong_value_is_code_7_and_named_by_its_path(runtime: object, path: str) -> None:
    with pytest.raises(spec.InvalidConfig) as caught:
        read(runtimeConfig=runtime)
    assert caught.value.message.startswith(f"{path}: must be ")
    assert caught.value.cni_code == 7


@pytest.mark.parametrize("field", ["type", "ipam.type"])
@pytest.mark.parametrize("name", ["../../bin/reboot", "/bin/sh", "a/b", "..", "a\n"])
def test_a_plugin_is_a_name_and_never_a_path(field: str, name: str) -> None:
    fields = {"type": name} if field == "type" else {"ipam": {"type": name}}
    with pytest.raises(spec.InvalidConfig, match=f"^{field}: must be the name of a plugin"):
        read(**fields)


class TestGarbageCollection:
    PAIR = {"containerID": "c1", "ifname": "eth0"}

    @pytest.mark.parametrize("key", ["cni.dev/valid-attachments", "cni.dev/attachments"])
    def test_both_spellings_of_the_key(self, key: str) -> None:
        assert read(**{key: [self.PAIR]}).valid_attachments == (ValidAttachment("c1", "eth0"),)

    def test_an_empty_list_is_authoritative_and_null_is_not(self) -> None:
        assert read(**{"cni.dev/valid-attachments": []}).valid_attachments == ()
        assert read(**{"cni.dev/valid-attachments": None}).valid_attachments is None
        assert read().valid_attachments is None

    def test_half_an_attachment_collects_nothing(self) -> None:
        with pytest.raises(spec.InvalidConfig, match="containerID and ifname"):
            read(**{"cni.dev/valid-attachments": [{"containerID": "c1"}]})
