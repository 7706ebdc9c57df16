"""What a configuration list would do with podwright in it, told before it is installed. Pure.

Each podwright entry is judged by the same code that judges a request; the rest of the list matters by its order only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from agent.errors import PodwrightError
from cni import spec
from cni.conflist import TYPE
from cni.spec.field import Field, document

_CAPABILITIES = ("portMappings", "bandwidth", "ips", "mac", "ipRanges", "dns")
_STAND_IN = {"CNI_CONTAINERID": "check", "CNI_NETNS": "/run/netns/check", "CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin"}


@dataclass
class Report:
    facts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check(content: bytes) -> Report:
    report = Report()
    try:
        listed = document(content)
        plugins = list(listed.get("plugins")) or [listed]
        name = listed.get("name").text()
        versions = _versions(listed, report)
        ours = [index for index, plugin in enumerate(plugins) if plugin.get("type").text() == TYPE]
    except PodwrightError as error:
        report.problems.append(error.message)
        return report
    if not ours:
        report.problems.append(f"plugins: none is of type {TYPE}")
    for index in ours:
        _judge(index, plugins, name, versions, report)
    return report


def _versions(listed: Field, report: Report) -> str:
    offered = [listed.get("cniVersion").text() or spec.SUPPORTED[0], *listed.get("cniVersions").texts()]
    known = [version for version in spec.SUPPORTED if version in offered]
    report.facts.append(f"network {listed.get('name').text() or '(none)'}, CNI {', '.join(offered)}")
    if not known:
        report.problems.append(f"cniVersion: none of {', '.join(offered)} is known; podwright speaks {' '.join(spec.SUPPORTED)}")
    return known[-1] if known else spec.NEWEST


def _judge(index: int, plugins: list[Field], name: str, version: str, report: Report) -> None:
    plugin = plugins[index]
    where = plugin.path or "the file"
    request: dict[str, Any] = {**plugin.value, "cniVersion": version, "name": name}
    try:
        config = spec.parse({"CNI_COMMAND": "ADD", **_STAND_IN}, json.dumps(request).encode()).config
    except PodwrightError as error:
        report.problems.append(f"{where}: {error.message}")
        return
    before = [each.get("type").text() for each in plugins[:index]]
    if before and config.ipam_type:
        report.problems.append(f"{where}: ipam.type: {config.ipam_type!r} cannot be used behind {before[0]}, which makes the interface")
    role = f"filters the interface that {before[0]} makes" if before else "makes the interface"
    source = "that plugin's" if before else f"from {config.ipam_type}" if config.ipam_type else "from the node's pod CIDRs"
    report.facts.append(f"{where}: podwright {role}; addresses {source}")
    if after := [each.get("type").text() for each in plugins[index + 1 :]]:
        report.facts.append(f"{where}: afterwards run {', '.join(after)}")
    if labels := config.labels:
        report.facts.append(f"{where}: pods without labels get {', '.join(f'{label.key}={label.value}' for label in labels)}")
    declared = plugin.get("capabilities").value or {}
    if missing := [each for each in _CAPABILITIES if not declared.get(each)]:
        report.facts.append(f"{where}: runtimes are not asked for {', '.join(missing)} (capabilities)")
