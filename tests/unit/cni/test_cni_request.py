"""What a runtime may and may not say: environment, arguments, order of complaints."""

import json

import pytest

from cni import spec
from cni.spec import Command

ENVIRONMENT = {
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/c1",
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/opt/cni/bin:/usr/lib/cni",
}
CONFIG = {"cniVersion": "1.1.0", "name": "pods", "type": "podwright"}


def parse(command: str, config: object = CONFIG, without: tuple[str, ...] = (), **changes: str) -> spec.CniRequest:
    environment = {"CNI_COMMAND": command, **ENVIRONMENT, **changes}
    for name in without:
        del environment[name]
    return spec.parse(environment, json.dumps(config).encode())


def test_add_is_read_whole() -> None:
    request = parse("ADD", CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u1;FOO=bar")
    assert (request.command, request.container_id, request.netns, request.ifname) == (Command.ADD, "c1", "/run/netns/c1", "eth0")
    assert request.path == ("/opt/cni/bin", "/usr/lib/cni")
    assert (request.args.pod_namespace, request.args.pod_name, request.args.pod_uid) == ("shop", "web", "u1")
    assert (request.config.name, request.config.cni_version) == ("pods", "1.1.0")


ALL = ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH")


@pytest.mark.parametrize(
    ("command", "required"),
    [
        ("ADD", ALL),
        ("CHECK", ALL),
        ("DEL", ("CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH")),
        ("GC", ("CNI_PATH",)),
        ("STATUS", ("CNI_PATH",)),
    ],
)
def test_all_missing_variables_are_named_in_one_message(command: str, required: tuple[str, ...]) -> None:
    with pytest.raises(spec.InvalidEnvironment) as caught:
        parse(command, without=ALL)
    assert caught.value.message == f"required env variables [{','.join(required)}] missing"
    assert caught.value.cni_code == 4


def test_version_needs_neither_environment_nor_stdin() -> None:
    assert spec.parse({"CNI_COMMAND": "VERSION"}, b"").command is Command.VERSION


@pytest.mark.parametrize("command", ["", "add", "UPDATE"])
def test_an_unknown_command_is_code_4(command: str) -> None:
    with pytest.raises(spec.InvalidEnvironment, match="CNI_COMMAND"):
        parse(command)


@pytest.mark.parametrize("name", ["", "abcdefghijklmnop", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\u00a0b", "eth0\n", "é" * 8])
def test_bad_interface_names_are_code_4(name: str) -> None:
    with pytest.raises(spec.InvalidEnvironment, match="CNI_IFNAME"):
        parse("ADD", CNI_IFNAME=name)


@pytest.mark.parametrize("name", ["a", "abcdefghijklmno", "eth0.5", "net-1", "..."])
def test_good_interface_names_pass(name: str) -> None:
    assert parse("ADD", CNI_IFNAME=name).ifname == name


@pytest.mark.parametrize("container_id", ["../etc", "-a", "a b", "a/b", "a\n", ".a", "é"])
def test_bad_container_ids_are_code_4(container_id: str) -> None:
    with pytest.raises(spec.InvalidEnvironment, match="CNI_CONTAINERID"):
        parse("DEL", CNI_CONTAINERID=container_id)


def test_del_takes_an_empty_namespace_and_a_missing_one() -> None:
    assert parse("DEL", CNI_NETNS="").netns == ""
    assert parse("DEL", without=("CNI_NETNS",)).netns == ""


@pytest.mark.parametrize("stdin", [b"", b"{", b"[]", b"null", b'"x"', b"\xff{}", b'{"name":NaN}', b"[" * 100_000])
def test_what_is_no_json_object_is_code_6(stdin: bytes) -> None:
    with pytest.raises(spec.Undecodable) as caught:
        spec.parse({"CNI_COMMAND": "ADD", **ENVIRONMENT}, stdin)
    assert caught.value.cni_code == 6


def test_a_key_that_appears_twice_is_refused_except_by_del() -> None:
    twice = b'{"name":"pods","dns":{"domain":"a","domain":"b"}}'
    with pytest.raises(spec.Undecodable, match='key "domain" appears twice'):
        spec.parse({"CNI_COMMAND": "ADD", **ENVIRONMENT}, twice)
    assert spec.parse({"CNI_COMMAND": "DEL", **ENVIRONMENT}, twice).config.name == "pods"


@pytest.mark.parametrize("name", [None, "", "a/b", "../x", 7])
def test_a_missing_or_odd_network_name_is_code_7(name: object) -> None:
    with pytest.raises(spec.InvalidConfig, match="name"):
        parse("ADD", {**CONFIG, "name": name})


@pytest.mark.parametrize("version", ["1.2.0", "9", "1.0"])
def test_an_unknown_version_is_code_1_and_says_what_is_known(version: str) -> None:
    with pytest.raises(spec.IncompatibleVersion) as caught:
        parse("ADD", {**CONFIG, "cniVersion": version})
    assert caught.value.cni_code == 1
    assert f"config is '{version}'" in caught.value.hint
    assert "plugin supports [0.1.0 0.2.0 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0]" in caught.value.hint


def test_no_version_means_0_1_0() -> None:
    assert parse("ADD", {"name": "pods"}).config.cni_version == "0.1.0"


@pytest.mark.parametrize(("command", "version"), [("CHECK", "0.3.1"), ("GC", "1.0.0"), ("STATUS", "1.0.0")])
def test_a_verb_younger_than_the_configuration_is_code_1(command: str, version: str) -> None:
    with pytest.raises(spec.IncompatibleVersion, match=command):
        parse(command, {**CONFIG, "cniVersion": version})


@pytest.mark.parametrize("args", ["FOO=bar", "IgnoreUnknown=0;FOO=bar", "IgnoreUnknown=false;FOO=bar"])
def test_unknown_arguments_are_refused(args: str) -> None:
    with pytest.raises(spec.InvalidEnvironment, match="FOO"):
        parse("ADD", CNI_ARGS=args)


@pytest.mark.parametrize("args", ["", ";", "IgnoreUnknown=1;FOO=bar", "FOO=bar;IgnoreUnknown=True", "IP=10.0.0.5/24"])
def test_arguments_that_pass(args: str) -> None:
    assert parse("ADD", CNI_ARGS=args).command is Command.ADD


@pytest.mark.parametrize("args", ["FOO", "=x", "IgnoreUnknown=maybe", "IP=300.0.0.1", "IP=fe80::1%eth0", "MAC=zz"])
def test_malformed_arguments_are_code_4(args: str) -> None:
    with pytest.raises(spec.InvalidEnvironment, match="CNI_ARGS"):
        parse("ADD", CNI_ARGS=args)


def test_del_does_not_care_for_broken_arguments_or_fields() -> None:
    broken = {**CONFIG, "runtimeConfig": 7, "prevResult": "lost"}
    assert parse("DEL", broken, CNI_ARGS="FOO").config.name == "pods"


def test_check_needs_the_result_of_add() -> None:
    with pytest.raises(spec.InvalidConfig, match="prevResult"):
        parse("CHECK")


def test_a_previous_result_may_be_older_but_not_newer() -> None:
    old = {"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.5/24"}}
    previous = parse("CHECK", {**CONFIG, "prevResult": old}).prev_result
    assert previous is not None
    assert str(previous.ips[0].address) == "10.0.0.5/24"
    with pytest.raises(spec.IncompatibleVersion, match="prevResult"):
        parse("CHECK", {**CONFIG, "prevResult": {"cniVersion": "2.0.0"}})


@pytest.mark.parametrize("previous", [7, {"ips": 7}, {"ips": [{"address": "x"}]}, {"interfaces": [{"name": 5}]}])
def test_an_undecodable_previous_result_is_code_6(previous: object) -> None:
    with pytest.raises(spec.Undecodable, match="prevResult"):
        parse("CHECK", {**CONFIG, "prevResult": previous})


def test_the_wire_form_of_the_shim_is_undone() -> None:
    assert spec.split_wire(b"CNI_COMMAND=ADD\0CNI_ARGS=A=B;C=D\0\0{\0}") == ({"CNI_COMMAND": "ADD", "CNI_ARGS": "A=B;C=D"}, b"{\0}")
    assert spec.split_wire(b"\0{}") == ({}, b"{}")
    with pytest.raises(spec.InvalidEnvironment):
        spec.split_wire(b"CNI_COMMAND=ADD")


class TestPrecedence:
    """runtimeConfig before args.cni before CNI_ARGS."""

    THREE = {
        **CONFIG,
        "runtimeConfig": {"ips": ["10.0.0.1/24", "fd00::1"], "mac": "02:00:00:00:00:01"},
        "args": {"cni": {"ips": ["10.0.0.2"], "mac": "02:00:00:00:00:02"}},
    }
    ARGS = "IP=10.0.0.3;MAC=02:00:00:00:00:03"

    def test_all_three(self) -> None:
        request = parse("ADD", self.THREE, CNI_ARGS=self.ARGS)
        assert [str(ip.ip) for ip in request.wanted_ips] == ["10.0.0.1", "fd00::1"]
        assert request.wanted_mac == "02:00:00:00:00:01"

    def test_args_win_over_the_environment(self) -> None:
        request = parse("ADD", {**self.THREE, "runtimeConfig": None}, CNI_ARGS=self.ARGS)
        assert [str(ip.ip) for ip in request.wanted_ips] == ["10.0.0.2"]
        assert request.wanted_mac == "02:00:00:00:00:02"

    def test_the_environment_alone(self) -> None:
        request = parse("ADD", CNI_ARGS=self.ARGS)
        assert [str(ip.ip) for ip in request.wanted_ips] == ["10.0.0.3"]
        assert request.wanted_mac == "02:00:00:00:00:03"
