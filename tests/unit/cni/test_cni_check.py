"""What `podwright cni check-config` says of a list, and that every code an error can carry has its page."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from agent import errors
from agent.sandbox import ipam_plugin
from cni import spec
from cni.check import check
from cni.codes import PAGES
from cni.conflist import conflist

OURS: dict[str, Any] = {"type": "podwright", "capabilities": {"portMappings": True}}


def listed(*plugins: dict[str, Any], **fields: object) -> bytes:
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": plugins, **fields}).encode()


def test_what_install_writes_is_sound() -> None:
    report = check(conflist().encode())
    assert report.problems == []
    assert report.facts[1:] == ["plugins[0]: podwright makes the interface; addresses from the node's pod CIDRs"]


def test_behind_another_plugin_and_before_one() -> None:
    report = check(listed({"type": "bridge"}, {**OURS, "labels": {"app": "web"}}, {"type": "tuning"}))
    assert report.problems == []
    assert report.facts[1:] == [
        "plugins[1]: podwright filters the interface that bridge makes; addresses that plugin's",
        "plugins[1]: afterwards run tuning",
        "plugins[1]: pods without labels get app=web",
        "plugins[1]: runtimes are not asked for bandwidth, ips, mac, ipRanges, dns (capabilities)",
    ]


def test_delegated_addresses() -> None:
    assert "addresses from host-local" in check(listed({**OURS, "ipam": {"type": "host-local"}})).facts[1]


def test_a_single_plugin_configuration_is_read_too() -> None:
    assert check(b'{"cniVersion":"0.2.0","name":"pods","type":"podwright"}').problems == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "cannot decode"),
        (listed({"type": "bridge"}), "none is of type podwright"),
        (listed(OURS, cniVersion="9.9.9"), "cniVersion: none of 9.9.9 is known"),
        (listed(OURS, name="a/b"), "plugins[0]: name: must be letters"),
        (listed({**OURS, "ipam": {"type": "../x"}}), "plugins[0]: ipam.type: must be the name of a plugin"),
        (listed({**OURS, "labels": ["app"]}), "plugins[0]: labels: must be an object of strings"),
        (listed({"type": "ptp"}, {**OURS, "ipam": {"type": "static"}}), "cannot be used behind ptp"),
    ],
)
def test_what_would_not_work_is_told(content: bytes, problem: str) -> None:
    problems = check(content).problems
    assert len(problems) == 1
    assert problem in problems[0]


def carried(base: type[errors.PodwrightError]) -> Iterator[int]:
    yield base.cni_code
    for each in base.__subclasses__():
        yield from carried(each)


def test_every_code_has_its_page_and_every_page_its_code() -> None:
    assert spec.NotReady.cni_code == 50
    assert ipam_plugin.IpamFailed.cni_code == 104
    told_by_the_binary = {5}
    assert set(PAGES) == set(carried(errors.PodwrightError)) | told_by_the_binary
