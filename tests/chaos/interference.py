"""What others do to a node behind the agent's back, as root and with the tools everybody has."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.network import datapath
from agent.network.node import POD_NETWORK
from agent.objects.attachment import AttachmentKey
from agent.sandbox.manager import POD_IFNAME
from tests.chaos.stage import Stage, addresses

Pod = dict[str, Any]
BOTH = ("bridge", "routed")


@dataclass(frozen=True)
class Interference:
    """`act` does it to one pod of the node. `only_dead`: a living agent's ownership of its tables forbids it."""

    name: str
    act: Callable[[Stage, Pod], None]
    modes: tuple[str, ...] = BOTH
    only_dead: bool = False


def run(*words: str | Path) -> None:
    subprocess.run(words, check=True, capture_output=True)


def host_link(stage: Stage, pod: Pod) -> str:
    return datapath.host_ifname(AttachmentKey(POD_NETWORK, pod["metadata"]["uid"], POD_IFNAME))


def delete_link(stage: Stage, pod: Pod) -> None:
    run("ip", "link", "delete", host_link(stage, pod))


def take_link_down(stage: Stage, pod: Pod) -> None:
    run("ip", "link", "set", host_link(stage, pod), "down")


def take_link_off_the_bridge(stage: Stage, pod: Pod) -> None:
    run("ip", "link", "set", host_link(stage, pod), "nomaster")


def rename_owner(stage: Stage, pod: Pod) -> None:
    run("ip", "link", "set", host_link(stage, pod), "alias", "somebody else")


def delete_bridge(stage: Stage, _: Pod) -> None:
    run("ip", "link", "delete", stage.node.config.network.bridge)


def take_bridge_down(stage: Stage, _: Pod) -> None:
    run("ip", "link", "set", stage.node.config.network.bridge, "down")


def flush_gateways(stage: Stage, _: Pod) -> None:
    run("ip", "address", "flush", "dev", stage.node.config.network.bridge)


def delete_neighbours(stage: Stage, pod: Pod) -> None:
    device = stage.node.config.network.bridge if stage.mode == "bridge" else host_link(stage, pod)
    run("ip", "neighbour", "flush", "dev", device, "nud", "permanent")


def delete_forwarding_entry(stage: Stage, pod: Pod) -> None:
    attachment = next(each for each in stage.node.records().attachments if each.host_ifname == host_link(stage, pod))
    run("bridge", "fdb", "delete", attachment.mac, "dev", attachment.host_ifname, "master")


def delete_routes(_: Stage, pod: Pod) -> None:
    for address in addresses(pod):
        run("ip", "route", "delete", address)


def unmount_namespace(stage: Stage, pod: Pod) -> None:
    run("umount", stage.place(pod))


def remove_namespaces(stage: Stage, pod: Pod) -> None:
    for kind in ("net", "uts", "ipc"):
        run("umount", stage.place(pod).with_name(kind))
        stage.place(pod).with_name(kind).unlink()
    stage.place(pod).parent.rmdir()


def remove_cgroup(_: Stage, pod: Pod) -> None:
    for directory in Path("/sys/fs/cgroup").rglob(f"pod{pod['metadata']['uid']}"):
        directory.rmdir()


def stop_forwarding(_: Stage, __: Pod) -> None:
    for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
        Path("/proc/sys", name).write_text("0")


def flush_ruleset(_: Stage, __: Pod) -> None:
    run("nft", "flush", "ruleset")


def delete_inet_table(_: Stage, __: Pod) -> None:
    run("nft", "delete", "table", "inet", "podwright")


def delete_layer2_table(stage: Stage, _: Pod) -> None:
    run("nft", "delete", "table", "bridge" if stage.mode == "bridge" else "netdev", "podwright")


def flush_chain(_: Stage, __: Pod) -> None:
    run("nft", "flush", "chain", "inet", "podwright", "hostports")


def add_a_drop(_: Stage, __: Pod) -> None:
    run("nft", "insert", "rule", "inet", "podwright", "forward", "drop")


def flush_set(_: Stage, __: Pod) -> None:
    run("nft", "flush", "set", "inet", "podwright", "pods4")


ALL = (
    Interference("link deleted", delete_link),
    Interference("link taken down", take_link_down),
    Interference("link taken off the bridge", take_link_off_the_bridge, ("bridge",)),
    Interference("link renamed to another owner", rename_owner),
    Interference("bridge deleted", delete_bridge, ("bridge",)),
    Interference("bridge taken down", take_bridge_down, ("bridge",)),
    Interference("gateway addresses flushed", flush_gateways, ("bridge",)),
    Interference("neighbours deleted", delete_neighbours),
    Interference("forwarding entry deleted", delete_forwarding_entry, ("bridge",)),
    Interference("routes deleted", delete_routes, ("routed",)),
    Interference("namespace unmounted", unmount_namespace),
    Interference("namespaces removed", remove_namespaces),
    Interference("cgroup removed", remove_cgroup),
    Interference("forwarding switched off", stop_forwarding),
    Interference("ruleset flushed", flush_ruleset),
    Interference("inet table deleted", delete_inet_table, only_dead=True),
    Interference("layer 2 table deleted", delete_layer2_table, only_dead=True),
    Interference("chain flushed", flush_chain, only_dead=True),
    Interference("rule added", add_a_drop, only_dead=True),
    Interference("set flushed", flush_set, only_dead=True),
)


def in_mode(mode: str) -> list[Interference]:
    return [each for each in ALL if mode in each.modes]


def is_refused(interference: Interference, stage: Stage, pod: Pod) -> bool:
    """Whether the kernel kept others from doing it."""
    try:
        interference.act(stage, pod)
    except subprocess.CalledProcessError as error:
        return os.strerror(1).encode() in error.stderr
    return False
