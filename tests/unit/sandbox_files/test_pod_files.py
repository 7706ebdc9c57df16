"""What a pod finds in /etc/hosts, /etc/hostname and /etc/resolv.conf."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.objects.meta import decode_hook
from agent.objects.pod import Pod
from agent.sandbox import files
from agent.sandbox.files import Resolver

UPSTREAM = Resolver((IPv4Address("192.0.2.53"),), ("example.net",))
CLUSTER_DNS = (IPv4Address("10.96.0.10"),)


def pod(**spec: Any) -> Pod:
    tree = {"metadata": {"name": "web-0", "namespace": "shop"}, "spec": {"containers": [{"name": "c"}], **spec}}
    return msgspec.convert(tree, Pod, dec_hook=decode_hook)


def resolver(spec: dict[str, Any], node: Resolver = UPSTREAM, dns: tuple[IPv4Address, ...] = ()) -> tuple[str, tuple[str, ...]]:
    found, warnings = files.resolver_of(pod(**spec), node, domain="cluster.local", dns=dns)
    return files.resolv_conf(found), warnings


def test_hosts_names_the_pod_at_each_of_its_addresses() -> None:
    text = files.hosts(pod(), [IPv4Address("10.4.0.5"), IPv6Address("fd00::5")])
    assert "127.0.0.1\tlocalhost" in text.splitlines()
    assert "10.4.0.5\tweb-0" in text.splitlines()
    assert "fd00::5\tweb-0" in text.splitlines()


def test_hosts_with_a_subdomain_has_the_full_name_first() -> None:
    text = files.hosts(pod(hostname="db", subdomain="mysql"), [IPv4Address("10.4.0.5")])
    assert "10.4.0.5\tdb.mysql.shop.svc.cluster.local db" in text


def test_hosts_ends_with_the_aliases() -> None:
    text = files.hosts(pod(hostAliases=[{"ip": "192.0.2.9", "hostnames": ["a.example", "b.example"]}]), [])
    assert text.endswith("192.0.2.9\ta.example b.example\n")


@pytest.mark.parametrize(
    ("spec", "hostname"),
    [
        ({}, "web-0"),
        ({"hostname": "db"}, "db"),
        ({"hostname": "db", "subdomain": "mysql"}, "db"),
        ({"hostname": "db", "subdomain": "mysql", "setHostnameAsFQDN": True}, "db.mysql.shop.svc.cluster.local"),
        ({"setHostnameAsFQDN": True}, "web-0"),
        ({"hostname": "x" * 70}, "x" * 63),
    ],
)
def test_hostname(spec: dict[str, Any], hostname: str) -> None:
    assert files.hostname_of(pod(**spec)) == hostname


def test_default_policy_uses_the_nodes_resolver() -> None:
    assert resolver({"dnsPolicy": "Default"}) == ("nameserver 192.0.2.53\nsearch example.net\n", ())


def test_cluster_first_searches_the_pods_namespace_first() -> None:
    text, _ = resolver({}, dns=CLUSTER_DNS)
    assert text == ("nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local example.net\noptions ndots:5\n")


def test_cluster_first_without_a_cluster_server_is_the_nodes() -> None:
    assert resolver({"dnsPolicy": "ClusterFirst"}) == resolver({"dnsPolicy": "Default"})


def test_cluster_first_on_the_hosts_network_is_the_nodes_unless_asked_otherwise() -> None:
    on_host = {"hostNetwork": True}
    assert "10.96.0.10" not in resolver(on_host, dns=CLUSTER_DNS)[0]
    assert "10.96.0.10" in resolver({**on_host, "dnsPolicy": "ClusterFirstWithHostNet"}, dns=CLUSTER_DNS)[0]


def test_dns_config_adds_servers_and_replaces_options() -> None:
    config = {
        "nameservers": ["198.51.100.1", "10.96.0.10"],
        "searches": ["corp.example"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    }
    text, _ = resolver({"dnsConfig": config}, dns=CLUSTER_DNS)
    assert text.splitlines()[:2] == ["nameserver 10.96.0.10", "nameserver 198.51.100.1"]
    assert "corp.example" in text
    assert text.endswith("options ndots:2 edns0\n")


def test_policy_none_has_only_the_dns_config() -> None:
    assert resolver({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["2001:db8::53"]}}) == ("nameserver 2001:db8::53\n", ())


def test_a_loopback_server_is_left_out_and_told() -> None:
    text, warnings = resolver({}, Resolver((IPv4Address("127.0.0.1"), IPv4Address("192.0.2.1"))))
    assert text == "nameserver 192.0.2.1\n"
    assert warnings == ("the node's name server 127.0.0.1 cannot be reached from a pod: the others are used",)


def test_a_host_network_pod_reaches_the_stub() -> None:
    assert resolver({"hostNetwork": True}, Resolver((IPv4Address("127.0.0.53"),))) == ("nameserver 127.0.0.53\n", ())


def test_more_servers_than_resolvers_read_are_told() -> None:
    node = Resolver(tuple(IPv4Address(f"192.0.2.{n}") for n in range(1, 5)))
    text, warnings = resolver({}, node)
    assert text.count("nameserver") == 3
    assert warnings == ("only 3 of 4 name servers are used: resolvers read no more",)


def test_parsing_takes_the_last_search_and_skips_what_is_no_address() -> None:
    text = "# comment\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver nonsense\ndomain a\nsearch b c\noptions rotate ndots:3\n"
    parsed = files.parse_resolv_conf(text)
    assert [str(address) for address in parsed.nameservers] == ["192.0.2.1", "fe80::1%eth0"]
    assert parsed.searches == ("b", "c")
    assert parsed.options == ("rotate", "ndots:3")


def test_a_stub_resolver_is_replaced_by_its_upstream(tmp_path: Path) -> None:
    (stub := tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\n", encoding="utf-8")
    (upstream := tmp_path / "upstream.conf").write_text("nameserver 192.0.2.1\n", encoding="utf-8")
    assert files.node_resolver(stub, upstream).nameservers == (IPv4Address("192.0.2.1"),)
    assert files.node_resolver(stub, tmp_path / "absent").nameservers == (IPv4Address("127.0.0.53"),)


def test_write_replaces_only_what_changed(tmp_path: Path) -> None:
    directory = tmp_path / "etc"
    first = files.pod_files(pod(), [], UPSTREAM)
    files.write(directory, first)
    before = {name: (directory / name).stat().st_ino for name in ("hosts", "hostname", "resolv.conf")}
    files.write(directory, files.pod_files(pod(), [IPv4Address("10.4.0.5")], UPSTREAM))
    after = {name: (directory / name).stat().st_ino for name in before}
    assert {name for name in before if before[name] != after[name]} == {"hosts"}
    assert sorted(path.name for path in directory.iterdir()) == ["hostname", "hosts", "resolv.conf"]
    assert (directory / "hostname").read_text(encoding="utf-8") == "web-0\n"
