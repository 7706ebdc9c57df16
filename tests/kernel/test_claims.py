"""From a claim in YAML to bytes in a pod, by a running agent: made, kept over restarts, removed with the claim."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.kernel import loop, mount
from tests.running import RunningAgent

pytestmark = [pytest.mark.kernel, pytest.mark.needs("mkfs.ext4", "/dev/loop-control")]

CLASS = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
provisioner: csi.podwright.io
parameters: {allocation: thin}
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
"""
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [%(mode)s]
  storageClassName: fast
  resources: {requests: {storage: 32Mi}}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %(name)s}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: none, volumeMounts: [{name: data, mountPath: /data}]}
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    running = RunningAgent(Path(tmp_path_factory.mktemp("claims")))
    running.start()
    running.client.apply(CLASS.encode())
    yield running
    running.clear()


def wait_for(what: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to pass")


def get(agent: RunningAgent, plural: str, name: str, namespace: str = "default") -> dict[str, Any] | None:
    where = f"/api/v1/namespaces/{namespace}/{plural}" if namespace else f"/api/v1/{plural}"
    found = [item for item in agent.client.get(where)["items"] if item["metadata"]["name"] == name]
    return found[0] if found else None


def is_ready(agent: RunningAgent, name: str) -> bool:
    pod = get(agent, "pods", name)
    conditions = {c["type"]: c["status"] for c in (pod or {}).get("status", {}).get("conditions", ())}
    return conditions.get("PodReadyToStartContainers") == "True"


def apply(agent: RunningAgent, text: str) -> None:
    reply = agent.client.apply(text.encode())
    assert not [item for item in reply["items"] if item["error"]], reply


def delete(agent: RunningAgent, plural: str, name: str) -> None:
    agent.client.delete(f"/api/v1/namespaces/default/{plural}/{name}")
    wait_for(lambda: get(agent, plural, name) is None)


@pytest.fixture
def pod(agent: RunningAgent) -> Iterator[str]:
    apply(agent, CLAIM % {"mode": "ReadWriteOnce"})
    apply(agent, POD % {"name": "web"})
    wait_for(lambda: is_ready(agent, "web"))
    yield "web"
    for plural, name in (("pods", "web"), ("persistentvolumeclaims", "data")):
        if get(agent, plural, name):
            delete(agent, plural, name)
    wait_for(lambda: not agent.client.get("/api/v1/persistentvolumes")["items"])
    assert agent.client.get("/volumes")["items"] == []
    assert not any(path.is_file() for path in (agent.state_dir / "pool").rglob("*"))


def test_data_outlives_the_pod_and_the_agent(agent: RunningAgent, pod: str) -> None:
    agent.cli("exec", pod, "--", "sh", "-c", "echo kept >/data/file")
    agent.kill()
    agent.start()
    wait_for(lambda: is_ready(agent, pod))
    assert agent.cli("exec", pod, "--", "cat", "/data/file").strip() == "kept"
    delete(agent, "pods", pod)
    assert not [m for m in mount.list_() if "kubernetes.io~csi" in m.target or "globalmount" in m.target]
    assert not [
        each
        for each in loop.list_()
        if Path(f"/sys/block/loop{each.number}/loop/backing_file").read_text().startswith(str(agent.state_dir))
    ]
    apply(agent, POD % {"name": pod})
    wait_for(lambda: is_ready(agent, pod))
    assert agent.cli("exec", pod, "--", "cat", "/data/file").strip() == "kept"


def test_growth_reaches_the_pod(agent: RunningAgent, pod: str) -> None:
    claim = "/api/v1/namespaces/default/persistentvolumeclaims/data"
    agent.client.patch(claim, {"spec": {"resources": {"requests": {"storage": "64Mi"}}}})
    status = wait_for(lambda: agent.client.get(claim)["status"].get("allocatedResources"))
    assert status["storage"] == "64Mi"
    delete(agent, "pods", pod)  # an ext4 grows while it is mounted only with the capability SYS_RESOURCE
    wait_for(lambda: agent.client.get(claim)["status"]["capacity"]["storage"] == "64Mi")
    apply(agent, POD % {"name": pod})
    wait_for(lambda: is_ready(agent, pod))
    size = agent.cli("exec", pod, "--", "df", "-k", "--output=size", "/data").split()[-1]
    assert int(size) > 50_000


def test_a_claim_in_use_is_kept(agent: RunningAgent, pod: str) -> None:
    agent.client.delete("/api/v1/namespaces/default/persistentvolumeclaims/data")
    time.sleep(0.2)
    claim = get(agent, "persistentvolumeclaims", "data")
    assert claim is not None
    assert claim["metadata"]["deletionTimestamp"]
    delete(agent, "pods", pod)
    wait_for(lambda: get(agent, "persistentvolumeclaims", "data") is None)


def test_a_second_pod_waits_for_a_claim_that_is_one_pods_alone(agent: RunningAgent) -> None:
    apply(agent, CLAIM % {"mode": "ReadWriteOncePod"})
    apply(agent, POD % {"name": "first"})
    wait_for(lambda: is_ready(agent, "first"))
    apply(agent, POD % {"name": "second"})
    wait_for(lambda: "ReadWriteOncePod" in str((get(agent, "pods", "second") or {}).get("status")))
    delete(agent, "pods", "first")
    wait_for(lambda: is_ready(agent, "second"), 40)
    delete(agent, "pods", "second")
    delete(agent, "persistentvolumeclaims", "data")
    wait_for(lambda: not agent.client.get("/volumes")["items"])


def test_an_inline_volume_is_gone_with_its_pod(agent: RunningAgent) -> None:
    inline = POD.replace("persistentVolumeClaim: {claimName: data}", "csi: {driver: csi.podwright.io, volumeAttributes: {size: 16Mi}}")
    apply(agent, inline % {"name": "web"})
    wait_for(lambda: is_ready(agent, "web"))
    agent.cli("exec", "web", "--", "sh", "-c", "echo mine >/data/file")
    assert len(agent.client.get("/volumes")["items"]) == 1
    delete(agent, "pods", "web")
    assert agent.client.get("/volumes")["items"] == []


def test_a_block_volume_is_a_device_in_the_pod(agent: RunningAgent) -> None:
    block = (CLAIM % {"mode": "ReadWriteOnce"}).replace("spec:", "spec:\n  volumeMode: Block")
    apply(agent, block)
    apply(
        agent,
        (POD % {"name": "web"}).replace(
            "volumeMounts: [{name: data, mountPath: /data}]", "volumeDevices: [{name: data, devicePath: /dev/disk}]"
        ),
    )
    wait_for(lambda: is_ready(agent, "web"))
    delete(agent, "pods", "web")
    delete(agent, "persistentvolumeclaims", "data")
    wait_for(lambda: not agent.client.get("/volumes")["items"])


def test_a_node_that_is_cleared_keeps_the_data_and_the_way_to_it(agent: RunningAgent, pod: str) -> None:
    agent.cli("exec", pod, "--", "sh", "-c", "echo kept >/data/file")
    agent.clear()
    assert not mount.below(agent.state_dir)
    agent.start()
    assert agent.client.get("/api/v1/pods")["items"] == []
    apply(agent, POD % {"name": pod})
    wait_for(lambda: is_ready(agent, pod))
    assert agent.cli("exec", pod, "--", "cat", "/data/file").strip() == "kept"
