"""One TCP stream from pod to pod on one node: bytes per second and processor time, against the reference bridge plugin.

The peer is `bridge` alone, no masquerade, in a node of its own without any rule: the least that the plugin can cost. It
is there twice, with bridge netfilter off, and on as kubelets and Docker set it; the first one counts. Ours routes, tracks
connections and checks senders meanwhile. MTU and offloads are the same.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from rig import crowd, probes, reference, stream
from rig.measure import interleaved
from rig.options import Options
from rig.report import Comparison, Goal, Report
from rig.stream import Transfer

from tests.runtime import chain

_SIZE = 1_000_000_000
_MORE = Goal(must=1.0, aim=1.1, at_least=True)
_RANGES = ("10.99.0.0/24", "fd99::/64")
_NETFILTER = {0: "bridge", 1: "bridge, nf-call=1"}


class _Pair(NamedTuple):
    """Who sends, who receives, and the receiver's addresses, one per family."""

    source: Path
    target: Path
    addresses: list[str]


def run(options: Options) -> Report:
    reference.require("bridge", "host-local")
    with ExitStack() as stack:
        peers = {name: stack.enter_context(_peer_pods(netfilter)) for netfilter, name in _NETFILTER.items()}
        return sum((_of_mode(mode, options, peers) for mode in options.modes), Report())


def _of_mode(mode: str, options: Options, peers: dict[str, _Pair]) -> Report:
    found = Report()
    with crowd.agent(mode) as running:
        first, second = crowd.raise_crowd(running, 2)
        ours = _Pair(running.namespace_of(first), running.namespace_of(second), crowd.addresses(second))
        for name, peer in peers.items():
            _refuse_unequal(ours, peer)
            found += sum((_compare(mode, family, options, ours, (name, peer)) for family in (4, 6)), Report())
    return found


def _compare(mode: str, family: int, options: Options, ours: _Pair, named_peer: tuple[str, _Pair]) -> Report:
    name, peer = named_peer
    move_ours, move_peers = (_mover(pair, family, options.count(_SIZE, 10_000_000)) for pair in (ours, peer))
    for warm_up in (move_ours, move_peers):
        warm_up()
    mine, theirs = interleaved(move_ours, move_peers, options.pairs)
    what = f"{mode}, IPv{family}"
    speed = [tuple(8 * one.gigabytes_per_second for one in side) for side in (mine, theirs)]
    cost = [tuple(one.cpu_seconds_per_gigabyte for one in side) for side in (mine, theirs)]
    return Report(
        comparisons=(
            Comparison(f"{what}: throughput", "Gbit/s", speed[0], speed[1], name, _MORE if name == _NETFILTER[0] else None),
            Comparison(f"{what}: processor", "s/GB", cost[0], cost[1], name),
        )
    )


def _mover(pair: _Pair, family: int, size: int) -> Callable[[], Transfer]:
    address = next(address for address in pair.addresses if probes.family(address) == family)
    return lambda: stream.transfer(pair.source, pair.target, address, size)


@contextmanager
def _peer_pods(netfilter: int) -> Iterator[_Pair]:
    """Two namespaces on the reference bridge."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        node, first, second = (stack.enter_context(reference.namespace(Path(directory, name))) for name in ("node", "first", "second"))
        switch = f"for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do [ ! -e $f ] || echo {netfilter} > $f; done"
        subprocess.run(["nsenter", f"--net={node}", "sh", "-c", switch], check=True)
        plugin = chain.bridge("bench0", _RANGES, data=Path(directory, "leases"), ipMasq=False)
        peer = chain.Chain("bench", chain.DEBIAN, [plugin], node=node)
        results = {}
        for pod in (first, second):
            call = chain.Call(pod.name, pod)
            results[pod] = peer.add(call)
            stack.callback(peer.delete, call)
        yield _Pair(first, second, reference.addresses(results[second]))


def _refuse_unequal(ours: _Pair, peer: _Pair) -> None:
    mine, theirs = ({_link(pod) for pod in (pair.source, pair.target)} for pair in (ours, peer))
    if mine != theirs:
        sys.exit(f"MTU or segmentation differ, this would compare nothing: ours {mine}, peer {theirs}")


def _link(pod: Path) -> tuple[str, ...]:
    """MTU and segmentation limits of eth0, in ip(8)'s words; and what it offloads, where ethtool is installed."""
    enter = ["nsenter", f"--net={pod}", "--"]
    words = subprocess.run([*enter, "ip", "-d", "-o", "link", "show", "eth0"], check=True, capture_output=True, text=True).stdout.split()
    limits = tuple(f"{word} {value}" for word, value in pairwise(words) if word in {"mtu", "gso_max_size", "gro_max_size"})
    show = "command -v ethtool > /dev/null && ethtool -k eth0 || true"
    offloads = subprocess.run([*enter, "sh", "-c", show], check=True, capture_output=True, text=True).stdout
    return (*limits, *offloads.splitlines())
