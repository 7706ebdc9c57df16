"""Every conformance case with real packets: the kernel must do what the case expects, step by step.

The pods are made once; a case brings its own labels, ports and policies, and the next one starts from there by taking
away what the last one left. A step is right when all its questions are answered as expected, and stays so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from ipaddress import ip_address
from itertools import islice
from pathlib import Path

import pytest

from agent.objects.kinds import KINDS
from tests.conformance import case as cases
from tests.conformance.case import Address, Case, Document, State
from tests.matrix_prober import Asked, MatrixProber
from tests.places import NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS, eventually, pod_of, run
from tests.running import RunningAgent, is_sandboxed

pytestmark = [pytest.mark.kernel]

FILES = sorted(Path(cases.__file__).parent.glob("cases/*.yaml"))
CASES = [pytest.param(case, id=f"{file.stem}: {case.name}") for file in FILES for case in cases.load(file)]
CASES_BY_NAME = {param.values[0].name: number for number, param in enumerate(CASES)}
SAMPLE = 6
SETTLED_S = 5.0
TOPOLOGY = Case("", ()).topology()
RANGES = {4: "10.73.0.0/20", 6: "fd73:7077:7269::/64"}


class Node:
    """An agent with the pods of every case, and what was applied last. `places` and the prober follow the pods."""

    def __init__(self, agent: RunningAgent, stack: ExitStack) -> None:
        self.agent, self._stack = agent, stack
        self.objects: dict[str, Document] = {}
        self.places: dict[str, tuple[Path, Mapping[int, str]]] = {}
        self.prober = MatrixProber({})
        self.apply(TOPOLOGY)

    def state(self, case: Case, number: int, family: int) -> State:
        """After a step, with the addresses that the pods have now."""
        addresses: dict[str, Address] = {name: ip_address(found[family]) for name, (_, found) in self.places.items()}
        return next(islice(case.states(addresses), number, None))

    def apply(self, wanted: Mapping[str, Document]) -> bool:
        """New and changed objects, then what is no longer there. True: pods are others now, with other addresses."""
        remade = [name for name in wanted if self._must_be_remade(name, wanted[name])]
        gone = [name for name in self.objects if name not in wanted]
        for name in remade:
            self.agent.client.request("DELETE", path_of(name))
        eventually(lambda: not {name for name in self._there() if f"Pod {name}" in remade})
        changed = [document for name, document in wanted.items() if self.objects.get(name) != document or name in remade]
        if changed:
            self.agent.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": changed}))
        for name in gone:
            self.agent.client.request("DELETE", path_of(name))
        pods = {name.removeprefix("Pod ") for name in wanted if name.startswith("Pod ")}
        is_other = bool(remade) or pods != {name.removeprefix("Pod ") for name in self.objects if name.startswith("Pod ")}
        self.objects = dict(wanted)
        if is_other:
            self._open(eventually(lambda: (found := self._there()).keys() == pods and all(map(is_sandboxed, found.values())) and found))
        return is_other

    def _must_be_remade(self, name: str, document: Document) -> bool:
        """A pod's ports and account never change."""
        known = self.objects.get(name)
        return name.startswith("Pod ") and known is not None and known["spec"] != document["spec"]

    def _there(self) -> dict[str, Document]:
        pods = self.agent.client.get("/api/v1/pods")["items"]
        return {f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": pod for pod in pods}

    def _open(self, pods: Mapping[str, Document]) -> None:
        self._stack.close()
        made = {name: pod_of(self.agent, pod) for name, pod in pods.items()}
        self.places = {**{name: (pod.place, pod.addresses) for name, pod in made.items()}, "out": (OUTSIDE, OUTSIDE_ADDRESS)}
        self.prober = self._stack.enter_context(MatrixProber(self.places, but_no_pods=["out"]))


def path_of(name: str) -> str:
    """The API's, of "Kind namespace/name"."""
    kind, _, where = name.partition(" ")
    namespace, _, short = where.rpartition("/")
    known = KINDS[kind]
    version = known.api_versions[0]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{root}/{f'namespaces/{namespace}/' if namespace else ''}{known.plural}/{short}"


@pytest.fixture(scope="module")
def agent(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """Pods and `outside` see each other's own addresses."""
    seen = ",".join((*RANGES.values(), *(f"{address}/{32 if family == 4 else 128}" for family, address in OUTSIDE_ADDRESS.items())))
    running = RunningAgent(Path(tmp_path_factory.mktemp(mode)), network__mode=mode, network__non_masquerade_cidrs=seen)
    running.start()
    for family, pods in RANGES.items():
        run(OUTSIDE, f"ip -{family} route replace {pods} via {NODE_ADDRESS[family]}")
    yield running
    for family, pods in RANGES.items():
        run(OUTSIDE, f"ip -{family} route del {pods}")
    running.clear()


@pytest.fixture(scope="module")
def node(agent: RunningAgent) -> Iterator[Node]:
    with ExitStack() as stack:
        yield Node(agent, stack)


def wrong(state: State, prober: MatrixProber, family: int) -> list[str]:
    expected = {Asked(q.source, q.destination, q.probe.protocol, q.probe.port): is_allowed for q, is_allowed in state.expected.items()}
    arrived = prober.arrived(expected, family)
    return [
        f"{asked} should be {'allowed' if is_allowed else 'denied'}"
        for asked, is_allowed in expected.items()
        if (asked in arrived) != is_allowed
    ]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_agrees(case: Case, family: int, node: Node, mode: str, request: pytest.FixtureRequest) -> None:
    if mode == "routed" and CASES_BY_NAME[case.name] % SAMPLE and not request.config.getoption("--long"):
        pytest.skip("long: the whole of them on the second datapath runs with --long")
    for number in range(len(case.steps)):
        wanted = node.state(case, number, family)
        while node.apply(wanted.objects):
            wanted = node.state(case, number, family)
        deadline = time.monotonic() + SETTLED_S
        while found := wrong(wanted, node.prober, family):
            assert time.monotonic() < deadline, f"step {number + 1}: " + "\n".join(found[:20])
