"""A pod's network through CNI, ADD and DEL as a runtime sees them, against bridge + portmap + firewall.

Both sides are executed as a runtime executes them, with one hostPort and both families, into fresh namespaces. The
reference chain is there with both kinds of iptables, and a newer one with nftables where its plugins know how, each in a
node of its own; the goals count against the fastest. `floor` is what ours cannot go below: the start of its program, and
the bare requests to the kernel.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from rig import crowd, reference
from rig.floor import bare_node
from rig.measure import interleaved, milliseconds
from rig.options import Options
from rig.reference import Flavour
from rig.report import Comparison, Figure, Goal, Report
from rig.runtime import Runtime, ask_agent

from agent.kernel import mount, netns
from cni import conflist
from tests.running import RunningAgent
from tests.runtime.chain import Chain

_PRESENT = 200
_GOALS = {
    ("ADD", 0): Goal(0.18, 0.12),
    ("ADD", _PRESENT): Goal(0.12, 0.09),
    ("DEL", 0): Goal(0.22, 0.14),
    ("DEL", _PRESENT): Goal(0.16, 0.12),
}
_RATE = Goal(60, 100, at_least=True)
_SHARE_MS, _GROWTH = Goal(5, 3), Goal(1.2, 1.05)
_CALLERS, _TOGETHER = 10, 100
_RANGES = ("10.99.0.0/20", "fd99::/64")
_Peers = dict[tuple[str, int], Runtime]
"""By flavour and number of pods that are there."""


def run(options: Options) -> Report:
    reference.require("bridge", "portmap", "firewall", "host-local")
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        root = Path(directory)
        netns.ensure_root(root / "ns")
        stack.callback(mount.remove_, root / "ns")
        # without the peers' pods: the kernel's look-ups in /proc/sys/net slow down with every namespace there is
        found = sum((measured(root, mode, options) for mode in options.modes for measured in (_floor, _alone)), Report())
        present = options.count(_PRESENT, 1)
        peers = {(f.name, n): stack.enter_context(_peer(root, f, n)) for f in reference.flavours() for n in (0, present)}
        found += sum((_against_peers(root, mode, options, peers) for mode in options.modes), Report())
        return found + _callers_of_peers(options, peers)


def _against_peers(root: Path, mode: str, options: Options, peers: _Peers) -> Report:
    found = Report()
    with crowd.agent(mode) as running, _runtime(root, running) as ours:
        for number in sorted({number for _, number in peers}):
            ours.fill(number)
            here = {flavour: peer for (flavour, present), peer in peers.items() if present == number}
            found += _compare(f"{mode}, {number} pods", number, options.pairs, ours, here)
    return found


def _compare(what: str, present: int, pairs: int, ours: Runtime, peers: Mapping[str, Runtime]) -> Report:
    """Against each of them; the goal is set beside the fastest."""
    samples = {}
    for flavour, peer in peers.items():
        for side in (ours, peer):
            side.cycle()  # the first one makes the bridge and the tables
        samples[flavour] = interleaved(ours.cycle, peer.cycle, pairs)
    found = Report()
    for position, verb in enumerate(("ADD", "DEL")):
        sides = {flavour: [tuple(sample[position] for sample in side) for side in both] for flavour, both in samples.items()}
        fastest = min(sides, key=lambda flavour: median(sides[flavour][1]))
        for flavour, (mine, theirs) in sides.items():
            goal = _GOALS.get((verb, present)) if flavour == fastest else None
            peer_name = f"chain {flavour}{', the fastest' if flavour == fastest else ''}"
            found += Report(comparisons=(Comparison(f"{what}: {verb}", "ms", mine, theirs, peer_name, goal),))
    return found


def _floor(root: Path, mode: str, options: Options) -> Report:
    """Each sample is one start and one set of requests, next to each other in time."""
    pods = _directory(root, f"bare-{mode}")
    with crowd.agent(mode) as running, _runtime(root, running), bare_node(mode, root / f"bare-{mode}", pods) as bare:
        bare.cycle()

        def start() -> tuple[float, float]:
            return (_version_ms(running),) * 2

        starts, bares = interleaved(start, bare.cycle, options.pairs)
    figures = [Figure(f"{mode}: the plugin's start (VERSION), in every call", "ms", tuple(one for one, _ in starts))]
    for position, verb in enumerate(("ADD", "DEL")):
        calls = tuple(sample[position] for sample in bares)
        figures.append(Figure(f"{mode}: bare requests to the kernel, {verb}", "ms", calls))
        figures.append(Figure(f"{mode}: floor of {verb}", "ms", tuple(one + call for (one, _), call in zip(starts, calls, strict=True))))
    return Report(tuple(figures))


def _alone(root: Path, mode: str, options: Options) -> Report:
    """What has no peer: the agent's share of a request, many callers at once, growth."""
    with crowd.agent(mode) as running, _runtime(root, running) as ours:
        figures = _callers(mode, options, ours, _RATE)
        ours.fill(options.count(500, 1))
        shares = [_share(running, ours) for _ in range(options.pairs)]
    figures += [
        Figure(f"{mode}: agent's share of an ADD, 500 pods", "ms", tuple(add for add, _ in shares), _SHARE_MS),
        Figure(f"{mode}: agent's share of a DEL, 500 pods", "ms", tuple(delete for _, delete in shares)),
    ]
    if mode == "routed":  # a bridge ends at 1,023 ports
        with crowd.agent(mode) as running, _runtime(root, running) as ours:
            figures.append(_growth(options, running, ours))
    return Report(tuple(figures))


def _share(running: RunningAgent, ours: Runtime) -> tuple[float, float]:
    container = ours.container()
    shares = ask_agent(running.socket_path, "ADD", container), ask_agent(running.socket_path, "DEL", container)
    netns.remove(container.netns.parent)
    return shares


def _growth(options: Options, running: RunningAgent, ours: Runtime) -> Figure:
    """The thousandth ADD through the plugin against the tenth, on an agent without pods: medians of 30 around each. They
    are minutes apart, so each counts in starts of the same program next to it: a load that comes or goes hits both."""
    around = options.count(30, 2)
    medians = []
    for number in (10, options.count(1000, 12)):
        ours.fill(number - len(ours))
        adds, starts = interleaved(lambda: milliseconds(partial(ours.add, ours.container())), lambda: _version_ms(running), around)
        medians.append(median(add / start for add, start in zip(adds, starts, strict=True)))
    return Figure("routed: 1,000th ADD against 10th", "", (medians[1] / medians[0],), _GROWTH)


def _callers(what: str, options: Options, runtime: Runtime, goal: Goal | None = None) -> list[Figure]:
    rates = [runtime.together(_CALLERS, options.count(_TOGETHER, 4)) for _ in range(options.count(3, 1))]
    return [
        Figure(f"{what}: {_CALLERS} callers at once, ADD", "/s", tuple(added for added, _ in rates), goal),
        Figure(f"{what}: {_CALLERS} callers at once, DEL", "/s", tuple(removed for _, removed in rates)),
    ]


def _callers_of_peers(options: Options, peers: _Peers) -> Report:
    empty = sorted(flavour for flavour, number in peers if not number)
    figures = [figure for flavour in empty for figure in _callers(f"chain {flavour}", options, peers[flavour, 0])]
    return Report(tuple(figures))


def _runtime(root: Path, running: RunningAgent) -> Runtime:
    """Ours, as `podwright cni install` leaves it."""
    folder = running.run_dir.parent
    conflist.install(folder / "net.d", folder / "bin", socket=running.socket_path, spool=running.state_dir / "spool")
    chain = Chain("podwright", folder / "bin", [{"type": "podwright", "capabilities": {"portMappings": True}}])
    return Runtime(chain, _directory(root, folder.name))


@contextmanager
def _peer(root: Path, flavour: Flavour, present: int) -> Iterator[Runtime]:
    """The reference chain in a node of its own, with pods that are there already."""
    name = f"{flavour.name}-{present}".replace(", ", "-")
    with reference.namespace(root / name) as node:
        chain = flavour.hostport_chain(_RANGES, node, root / f"data-{name}")
        with Runtime(chain, _directory(root, f"pods-{name}")) as runtime:
            runtime.fill(present)
            yield runtime


def _directory(root: Path, name: str) -> Path:
    (directory := root / "ns" / name).mkdir()
    return directory


def _version_ms(running: RunningAgent) -> float:
    command: Sequence[str] = [str(running.run_dir.parent / "bin/podwright")]
    return milliseconds(lambda: subprocess.run(command, env={"CNI_COMMAND": "VERSION"}, stdout=subprocess.DEVNULL, check=True))
