"""Volumes of pods on a running agent: mounted before the pod is ready, seen by its programs, gone with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.kernel import mount
from tests.places import eventually
from tests.running import RunningAgent, is_sandboxed

pytestmark = pytest.mark.kernel

PODS = "/api/v1/namespaces/default/pods"
MIB = 1 << 20


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    running = RunningAgent(Path(tmp_path_factory.mktemp("volumes")))
    running.start()
    yield running
    running.clear()


def pod(name: str, *volumes: dict[str, Any], mounts: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    """Each volume at /NAME unless `mounts` says otherwise."""
    shown = mounts if mounts is not None else [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    container = {"name": "c", "volumeMounts": shown, **spec.pop("container", {})}
    metadata = {"name": name, "labels": spec.pop("labels", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], "volumes": list(volumes), "terminationGracePeriodSeconds": 0, **spec},
    }


def config_map(name: str, *, kind: str = "ConfigMap", **data: str) -> dict[str, Any]:
    field = "data" if kind == "ConfigMap" else "stringData"
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, field: data}


def built(agent: RunningAgent, *documents: dict[str, Any]) -> dict[str, Any]:
    """Apply them; the last is a pod, which is returned when it stands."""
    agent.apply("\n---\n".join(json.dumps(document) for document in documents))
    name = documents[-1]["metadata"]["name"]
    found: dict[str, Any] = {}

    def stands() -> bool:
        found.update(agent.client.get(f"{PODS}/{name}"))
        return is_sandboxed(found)

    eventually(stands, 10)
    return found


def reason(agent: RunningAgent, name: str) -> str:
    """Why the pod is not ready, once it says so."""

    def said() -> str:
        status = agent.client.get(f"{PODS}/{name}").get("status", {})
        return f"{status.get('reason')}: {status.get('message')}" if status.get("message") else ""

    return eventually(said, 10)


def delete(agent: RunningAgent, *names: str, kind: str = "pod") -> None:
    agent.cli("delete", kind, *names, "--wait")


def run(agent: RunningAgent, name: str, line: str, *, check: bool = True) -> str:
    return agent.cli("exec", name, "--", "sh", "-c", f"exec 2>&1; {line}", check=check)


def place(agent: RunningAgent, found: dict[str, Any]) -> Path:
    return agent.state_dir / "pods" / found["metadata"]["uid"]


# ── emptyDir ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("source", [{}, {"sizeLimit": "10Mi"}, {"medium": "Memory", "sizeLimit": "8Mi"}], ids=["disk", "limited", "memory"])
def test_an_empty_dir_is_empty_writable_for_all_and_gone_with_its_pod(agent: RunningAgent, source: dict[str, Any]) -> None:
    found = built(agent, pod("scratch", {"name": "data", "emptyDir": source}, securityContext={"runAsUser": 1000}))
    assert run(agent, "scratch", "ls -A /data; stat -c %a /data; echo kept > /data/file; cat /data/file") == "777\nkept\n"
    assert run(agent, "scratch", "cat /data/file") == "kept\n"
    directory = place(agent, found)
    assert (directory / "volumes/kubernetes.io~empty-dir/data/file").read_text() == "kept\n"
    delete(agent, "scratch")
    assert not directory.exists()
    assert not [m for m in mount.list_() if str(directory) in m.target]


@pytest.mark.parametrize("mib", [1, 10, 64, 300])
def test_a_size_limit_is_hard_at_once_and_exact(agent: RunningAgent, mib: int) -> None:
    built(agent, pod("limited", {"name": "data", "emptyDir": {"sizeLimit": f"{mib}Mi"}}))
    assert run(agent, "limited", f"head -c {mib * MIB} /dev/zero > /data/f && sync /data/f && stat -c %s /data/f") == f"{mib * MIB}\n"
    said = run(agent, "limited", f"rm /data/f; head -c {(mib + 1) * MIB} /dev/zero > /data/f && sync /data/f", check=False)
    assert "No space left on device" in said
    delete(agent, "limited")


def test_a_memory_dir_is_no_larger_than_the_pods_memory(agent: RunningAgent) -> None:
    limited = {"resources": {"limits": {"memory": "32Mi"}}}
    built(agent, pod("small", {"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}, container=limited))
    assert run(agent, "small", "df -B1M /data | tail -1 | tr -s ' ' | cut -d' ' -f1,2") == "podwright 32\n"
    delete(agent, "small")


def test_fs_group_owns_the_scratch_space(agent: RunningAgent) -> None:
    who = {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2345}
    volumes = [{"name": name, "emptyDir": source} for name, source in (("a", {}), ("b", {"sizeLimit": "1Mi"}), ("c", {"medium": "Memory"}))]
    built(agent, pod("grouped", *volumes, securityContext=who))
    lines = run(agent, "grouped", "for v in a b c; do touch /$v/new; stat -c '%a %g' /$v; stat -c %g /$v/new; done").split("\n")
    assert lines == ["2777 2345", "2345"] * 3 + [""]
    delete(agent, "grouped")


def test_huge_pages_that_the_node_does_not_have_are_named(agent: RunningAgent) -> None:
    if Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages").read_text() != "0\n":
        pytest.skip("needs a node without huge pages")
    agent.apply(json.dumps(pod("huge", {"name": "data", "emptyDir": {"medium": "HugePages-2Mi"}})))
    assert "FailedMount: cannot mount volumes of pod default/huge: volume data: this node has no huge pages of 2048 KiB" in reason(
        agent, "huge"
    )
    delete(agent, "huge")


# ── files of objects ──────────────────────────────────────────────────────────────────────────────


def test_config_map_files_and_their_updates(agent: RunningAgent) -> None:
    source = {"name": "settings", "configMap": {"name": "web", "defaultMode": 0o440}}
    found = built(agent, config_map("web", a="1", b="2"), pod("reader", source))
    assert run(agent, "reader", "cd /settings; ls; cat a b; stat -Lc %a a; touch /settings/x", check=False).startswith(
        "a\nb\n12440\ntouch: "
    )
    agent.apply(json.dumps(config_map("web", a="one", c="3")))
    directory = place(agent, found) / "volumes/kubernetes.io~configmap/settings"
    eventually((directory / "c").exists)
    assert run(agent, "reader", "cd /settings; ls; cat a c") == "a\nc\none3"
    delete(agent, "reader")
    delete(agent, "web", kind="configmap")


def test_a_secret_is_on_tmpfs_and_nowhere_else(agent: RunningAgent) -> None:
    source = {"name": "key", "secret": {"secretName": "login", "items": [{"key": "password", "path": "deep/pass", "mode": 0o400}]}}
    found = built(agent, config_map("login", kind="Secret", password="hunter2-in-the-log", user="x"), pod("holder", source))
    assert run(agent, "holder", "cd /key; ls -R; cat deep/pass; stat -Lc %a deep/pass") == ".:\ndeep\nhunter2-in-the-log400\n"
    shown = mount.find(place(agent, found).resolve() / "volumes/kubernetes.io~secret/key")
    assert shown is not None
    assert shown.fstype == "tmpfs"
    agent.cli("describe", "pod", "holder")
    agent.apply(json.dumps(pod("broken", {"name": "key", "secret": {"secretName": "login", "items": [{"key": "no", "path": "x"}]}})))
    assert reason(agent, "broken").endswith("volume key: secret login has no key no")
    assert "hunter2" not in agent.log.read_text()
    delete(agent, "holder", "broken")
    delete(agent, "login", kind="secret")


def test_a_pod_waits_for_its_config_map_and_goes_on_without_it(agent: RunningAgent) -> None:
    agent.apply(json.dumps(pod("early", {"name": "settings", "configMap": {"name": "late"}})))
    assert (
        reason(agent, "early") == "FailedMount: cannot mount volumes of pod default/early: volume settings: configmap late does not exist"
    )
    built(agent, config_map("late", a="1"), pod("early", {"name": "settings", "configMap": {"name": "late"}}))
    delete(agent, "late", kind="configmap")
    assert run(agent, "early", "cat /settings/a") == "1"
    delete(agent, "early")


def test_projected_and_downward_files(agent: RunningAgent) -> None:
    down = {
        "items": [
            {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}},
        ]
    }
    sources = [{"configMap": {"name": "p"}}, {"downwardAPI": down}, {"secret": {"name": "nonesuch", "optional": True}}]
    volume = {"name": "all", "projected": {"sources": sources}}
    limited = {"resources": {"limits": {"cpu": "250m"}}}
    first = pod("mixed", volume, labels={"app": "web"}, container=limited)
    built(agent, config_map("p", key="value"), first)
    assert run(agent, "mixed", "cd /all; ls; cat key name cpu labels") == 'cpu\nkey\nlabels\nname\nvaluemixed250app="web"'
    agent.cli("label", "pod", "mixed", "app=db", "--overwrite")
    eventually(lambda: 'app="db"' in run(agent, "mixed", "cat /all/labels"))
    delete(agent, "mixed")
    delete(agent, "p", kind="configmap")


def test_variables_come_from_config_maps_secrets_and_resources(agent: RunningAgent) -> None:
    env = [
        {"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "e", "key": "A"}}},
        {"name": "TWO", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "no", "optional": True}}},
        {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    container = {"env": env, "envFrom": [{"prefix": "P_", "configMapRef": {"name": "e"}}], "resources": {"limits": {"memory": "64Mi"}}}
    found = built(agent, config_map("e", A="a"), config_map("s", kind="Secret", token="t"), pod("env", container=container))
    assert run(agent, "env", 'echo "$ONE $TWO [$NONE] $MEM $P_A $IP"') == f"a t [] 64 a {found['status']['podIP']}\n"
    delete(agent, "s", kind="secret")
    assert "env[TWO]: secret s does not exist" in run(agent, "env", "true", check=False)
    delete(agent, "env")
    delete(agent, "e", kind="configmap")


# ── how they are mounted ──────────────────────────────────────────────────────────────────────────


def test_sub_paths_are_made_and_stay_inside(agent: RunningAgent) -> None:
    volume = {"name": "data", "emptyDir": {}}
    mounts = [
        {"name": "data", "mountPath": "/all"},
        {"name": "data", "mountPath": "/part", "subPath": "a/b"},
        {"name": "data", "mountPath": "/mine", "subPathExpr": "of/$(HOSTNAME)"},
    ]
    built(agent, pod("parts", volume, mounts=mounts))
    assert run(agent, "parts", "touch /part/x /mine/y; cd /all; find . -type f | sort; stat -c %a a/b") == "./a/b/x\n./of/parts/y\n777\n"
    run(agent, "parts", "rm -r /all/a; ln -s /etc /all/a")
    assert "subPath a/b leads out of the volume" in run(agent, "parts", "true", check=False)
    run_without = pod("parts2", volume, mounts=[{"name": "data", "mountPath": "/p", "subPathExpr": "$(UNSET)"}])
    built(agent, run_without)
    assert "subPathExpr: no variable UNSET is set" in run(agent, "parts2", "true", check=False)
    delete(agent, "parts", "parts2")


def test_a_config_map_file_can_be_a_sub_path(agent: RunningAgent) -> None:
    mounts = [{"name": "settings", "mountPath": "/etc/one.conf", "subPath": "one.conf"}]
    built(agent, config_map("f", **{"one.conf": "x\n"}), pod("filed", {"name": "settings", "configMap": {"name": "f"}}, mounts=mounts))
    assert run(agent, "filed", "cat /etc/one.conf; stat -c %F /etc/one.conf") == "x\nregular file\n"
    delete(agent, "filed")
    delete(agent, "f", kind="configmap")


@pytest.mark.parametrize(("recursive", "expected"), [(None, "top: ro, inner: rw"), ("Enabled", "top: ro, inner: ro")])
def test_read_only_and_recursive_read_only(agent: RunningAgent, tmp_path: Path, recursive: str | None, expected: str) -> None:
    inner = tmp_path / "inner"
    mount.ensure_tmpfs(inner)
    shown = {"name": "host", "mountPath": "/host", "readOnly": True, **({"recursiveReadOnly": recursive} if recursive else {})}
    built(agent, pod("reads", {"name": "host", "hostPath": {"path": str(tmp_path)}}, mounts=[shown]))
    tries = "t() { touch $2/x 2>/dev/null && echo $1: rw || echo $1: ro; }; t top /host; t inner /host/inner"
    assert run(agent, "reads", tries).strip().replace("\n", ", ") == expected
    delete(agent, "reads")
    mount.remove_(inner)


@pytest.mark.parametrize(
    ("propagation", "expected"), [("None", "in: -, out: -"), ("HostToContainer", "in: x, out: -"), ("Bidirectional", "in: x, out: x")]
)
def test_mount_propagation(agent: RunningAgent, tmp_path: Path, propagation: str, expected: str) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    shown = {"name": "host", "mountPath": "/host", "mountPropagation": propagation}
    container = {"securityContext": {"privileged": True}}
    source = {"name": "host", "hostPath": {"path": str(tmp_path)}}
    found = built(agent, pod("passing", source, mounts=[shown], container=container))
    script = (
        "mount -t tmpfs x /host/out && touch /host/out/x /host/go; until [ -e /host/look ]; do sleep 0.02; done; ls /host/in > /host/seen"
    )
    agent.cli("exec", "--detach", "passing", "--", "sh", "-c", script)
    eventually((tmp_path / "go").exists)
    out = "".join(os.listdir(tmp_path / "out"))
    mount.ensure_tmpfs(tmp_path / "in")
    (tmp_path / "in/x").touch()
    (tmp_path / "look").touch()
    eventually((tmp_path / "seen").exists)
    seen = eventually(lambda: (tmp_path / "seen").read_text().strip() or (propagation == "None" and "-"))
    assert f"in: {seen or '-'}, out: {out or '-'}" == expected
    for name in ("in", "out"):
        mount.remove_(tmp_path / name)
    delete(agent, "passing")
    assert found["status"]["phase"] == "Pending"


def test_only_this_pods_volumes_are_seen(agent: RunningAgent) -> None:
    volume = {"name": "data", "emptyDir": {"medium": "Memory"}}
    built(agent, pod("one", volume))
    built(agent, pod("two", volume))
    seen = run(agent, "two", "grep -c kubernetes.io~empty-dir /proc/self/mountinfo; grep -c ' /data ' /proc/self/mountinfo", check=False)
    assert seen == "0\n1\n"
    delete(agent, "one", "two")


# ── the agent is not always there ─────────────────────────────────────────────────────────────────


def test_volumes_outlive_the_agent(agent: RunningAgent) -> None:
    volumes = [
        {"name": "disk", "emptyDir": {}},
        {"name": "limited", "emptyDir": {"sizeLimit": "4Mi"}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "secret", "secret": {"secretName": "kept"}},
    ]
    found = built(agent, config_map("kept", kind="Secret", a="1"), pod("lasting", *volumes))
    run(agent, "lasting", "for v in disk limited memory; do echo $v > /$v/f; done")
    before = [m.id for m in mount.list_() if str(place(agent, found)) in m.target and "/volumes/" in m.target]
    agent.kill()
    agent.start()
    agent.wait_for_pods(1)
    assert run(agent, "lasting", "cat /disk/f /limited/f /memory/f /secret/a") == "disk\nlimited\nmemory\n1"
    assert [m.id for m in mount.list_() if str(place(agent, found)) in m.target and "/volumes/" in m.target] == before
    agent.kill()
    agent.start()
    delete(agent, "lasting")
    delete(agent, "kept", kind="secret")
    assert not place(agent, found).exists()


def test_a_limited_dir_comes_back_after_a_reboot(agent: RunningAgent) -> None:
    found = built(agent, pod("rebooted", {"name": "data", "emptyDir": {"sizeLimit": "4Mi"}}))
    run(agent, "rebooted", "echo kept > /data/f; sync /data/f")
    agent.stop()
    mount.remove_(place(agent, found) / "volumes/kubernetes.io~empty-dir/data")
    agent.start()
    eventually(lambda: mount.is_mount_point(place(agent, found) / "volumes/kubernetes.io~empty-dir/data"))
    assert run(agent, "rebooted", "ls -A /data; cat /data/f") == "f\nkept\n"
    delete(agent, "rebooted")


def test_a_pod_that_went_while_the_agent_was_down_is_cleared(agent: RunningAgent) -> None:
    left = agent.state_dir / "pods/gone-uid"
    (left / "volumes/kubernetes.io~empty-dir/data/deep").mkdir(parents=True)
    (left / "volumes/kubernetes.io~csi/pv/mount").mkdir(parents=True)
    agent.stop()
    mount.ensure_tmpfs(left / "volumes/kubernetes.io~csi/pv")
    (left / "volumes/kubernetes.io~csi/pv/precious").touch()
    agent.start()
    eventually(lambda: not (left / "volumes/kubernetes.io~empty-dir/data").exists())
    assert [m for m in mount.list_() if "gone-uid" in m.target] == []
