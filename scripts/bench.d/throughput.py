"""One TCP stream from pod to pod on one node: bytes per second and processor time, against the reference bridge plugin.

The peer is `bridge` alone, no masquerade, in a node of its own without any rule, bridge netfilter off: the least that
the plugin can cost. Ours filters, tracks connections and checks senders meanwhile. MTU and offloads are the same.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from rig import crowd, reference, stream
from rig.measure import interleaved
from rig.options import Options
from rig.report import Comparison, Goal, Report
from rig.stream import Transfer

_SIZE = 1_000_000_000
_MORE = Goal(must=1.0, aim=1.1, at_least=True)
_LESS = Goal(must=1.0, aim=0.9)
_PEER = "bridge 1.1.1"
_RANGES = ("10.99.0.0/24", "fd99::/64")
Run = Callable[[str, int], Transfer]
"""One transfer to the receiving pod's address of a family."""


def run(options: Options) -> Report:
    reference.require("bridge", "host-local")
    with _peer_pods() as peer:
        return sum((_of_mode(mode, options, peer) for mode in options.modes), Report())


def _of_mode(mode: str, options: Options, peer: tuple[Path, Path, list[str]]) -> Report:
    size = options.count(_SIZE, 10_000_000)
    found = Report()
    with crowd.agent(mode) as running:
        first, second = crowd.raise_crowd(running, 2)
        ours = (running.namespace_of(first), running.namespace_of(second), crowd.addresses(second))
        _refuse_unequal(ours[:2], peer[:2])
        for family in (0, 1):
            found += _compare(f"{mode}, IPv{(4, 6)[family]}", options.pairs, *(_mover(side, family, size) for side in (ours, peer)))
    return found


def _mover(side: tuple[Path, Path, list[str]], family: int, size: int) -> Callable[[], Transfer]:
    source, target, addresses = side
    return lambda: stream.transfer(source, target, addresses[family], size)


def _compare(what: str, pairs: int, ours: Callable[[], Transfer], peer: Callable[[], Transfer]) -> Report:
    for side in (ours, peer):
        side()  # the first one fills caches and grows windows' defaults
    mine, theirs = interleaved(ours, peer, pairs)
    speed = tuple(tuple(one.gigabytes_per_second for one in side) for side in (mine, theirs))
    cost = tuple(tuple(one.cpu_seconds_per_gigabyte for one in side) for side in (mine, theirs))
    return Report(
        comparisons=(
            Comparison(f"{what}: throughput", "GB/s", *speed, _PEER, _MORE),
            Comparison(f"{what}: processor", "s/GB", *cost, _PEER, _LESS),
        ),
        notes=(f"{what}: {8 * median(speed[0]):.1f} Gbit/s, peer {8 * median(speed[1]):.1f}",),
    )


@contextmanager
def _peer_pods() -> Iterator[tuple[Path, Path, list[str]]]:
    """Two namespaces on the reference bridge, and the addresses of the second."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        node, first, second = (stack.enter_context(reference.namespace(Path(directory, name))) for name in ("node", "first", "second"))
        off = "for f in /proc/sys/net/bridge/bridge-nf-call-*tables; do [ ! -e $f ] || echo 0 > $f; done"
        subprocess.run(["nsenter", f"--net={node}", "sh", "-c", off], check=True)
        chain = reference.Chain("bench", reference.PLUGINS, [reference.bridge("bench0", _RANGES, ipMasq=False)], node=node)
        results = {}
        for pod in (first, second):
            results[pod] = chain.add(pod.name, pod)
            stack.callback(chain.delete, pod.name, pod)
        yield first, second, reference.addresses(results[second])


def _refuse_unequal(ours: tuple[Path, ...], peer: tuple[Path, ...]) -> None:
    mine, theirs = ({_link(pod) for pod in side} for side in (ours, peer))
    if mine != theirs:
        sys.exit(f"MTU or offloads differ, this would compare nothing: ours {mine}, peer {theirs}")


def _link(pod: Path) -> tuple[str, ...]:
    """MTU and features of eth0, in ip(8)'s and ethtool's words where they are installed."""
    show = "cat /sys/class/net/eth0/mtu; ethtool -k eth0 2>/dev/null || true"
    done = subprocess.run(
        ["nsenter", f"--net={pod}", "unshare", "--mount", "sh", "-c", f"mount -t sysfs sysfs /sys; {show}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return tuple(done.stdout.splitlines())
