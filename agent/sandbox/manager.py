"""Builds, reports and ends the sandboxes of this node's pods: namespaces, cgroup, network; name files when needed.

One call of `reconcile` brings one pod one step to where it should be, whatever state it is found in; the caller
never runs two for one pod at once and repeats what raises. Everything is named after the pod's uid, so a
pod that was deleted and made anew under its name never meets its predecessor's remains.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from loguru import logger

from agent import teardown
from agent.errors import Exhausted, NotFound, PodwrightError, Unavailable
from agent.kernel import mount, netns, process
from agent.kernel.cgroup import Cgroups, CgroupUsage
from agent.network.manager import NetworkManager
from agent.network.node import POD_NETWORK
from agent.network.request import AttachRequest
from agent.objects.attachment import Attachment, AttachmentKey, PodReference, PortMapping
from agent.objects.bandwidth import bandwidth_of
from agent.objects.meta import IPAddress, Key, Object
from agent.objects.pod import SANDBOX_FINALIZER, Pod
from agent.objects.pod_status import PodStatus
from agent.sandbox import execplan, files, lifecycle, resources, settings, status
from agent.sandbox.capacity import Ledger, Resources
from agent.sandbox.execplan import ExecOptions, PodPaths
from agent.sandbox.lifecycle import Step
from agent.sandbox.status import Problem
from agent.store.base import Store
from agent.volume.pods import PodVolumes

POD_IFNAME = "eth0"
Record = Callable[[Object, Literal["Normal", "Warning"], str, str], None]
_LOOK_FOR_ROOM_S, _LOOK_AT_ENDING_S = 1.0, 0.1
_LOOK_AGAIN_S = 60.0
"""A pod that stands is looked at again: somebody may have deleted its link or its cgroup (1 ms a pod)."""
_ETC, _LOGS, _SHM = "etc", "logs", "shm"
"""What a pod's directory holds; only these are ever deleted there."""
_HOST_SHM = Path("/dev/shm")  # noqa: S108 - POSIX shared memory lives there, and is part of IPC


@dataclass(frozen=True, slots=True)
class Node:
    """What of the node goes into its pods."""

    name: str
    addresses: tuple[IPAddress, ...]
    namespaces_dir: Path
    pods_dir: Path
    allocatable: Resources


class SandboxManager:
    """`now` gives RFC 3339 times, `record` writes an event for people."""

    def __init__(  # noqa: PLR0913 (what a sandbox is made of)
        self,
        node: Node,
        *,
        store: Store,
        network: NetworkManager,
        volumes: PodVolumes,
        cgroups: Cgroups,
        now: Callable[[], str],
        record: Record,
    ) -> None:
        self._node, self._store, self._network, self._cgroups = node, store, network, cgroups
        self._volumes, self._now, self._record = volumes, now, record
        self._ledger, self._ledger_lock = Ledger(node.allocatable), threading.Lock()
        self._uids: dict[Key, str] = {}
        self._ending: dict[str, float] = {}
        """When the processes of a pod were asked to end."""
        self._exec_lock = threading.Lock()

    def start(self, lost: Iterable[Attachment]) -> None:
        """After the store is read: remove what belongs to pods that are no more. `lost` attachments of living pods
        keep their addresses for the rebuild; all others are given back."""
        netns.ensure_root(self._node.namespaces_dir)
        netns.remove_half_made(self._node.namespaces_dir)
        pods = {pod.metadata.uid: pod for pod in self._store.list("Pod")[0] if isinstance(pod, Pod)}
        self._uids = {pod.key: uid for uid, pod in pods.items() if pod.spec.node_name in ("", self._node.name)}
        for pod in pods.values():
            if pod.spec.node_name == self._node.name:
                self._ledger.hold(pod)
        for attachment in lost:
            if attachment.ipam is not None:
                continue  # its plugin has to be told: RuntimeInterfaces.collect_dead
            if attachment.network != POD_NETWORK or attachment.container_id not in pods:
                self._network.detach(attachment.attachment_key)
        for uid in sorted(self._found_uids() - pods.keys()):
            logger.info("removing what is left of pod {}", uid)
            try:
                self._remove(uid)
            except PodwrightError as error:  # what is left of one pod must not keep the others from their agent
                logger.error("cannot remove all that is left of pod {}: {}", uid, error)

    def clear(self) -> None:
        """Remove every sandbox of this node, on record or not, and what holds them. Not to be started again."""
        removals = [lambda uid=uid: self._remove(uid) for uid in sorted(self._found_uids())]
        teardown.run_all([*removals, self._cgroups.remove_parent, self._volumes.clear, lambda: mount.remove_(self._node.namespaces_dir)])

    def _found_uids(self) -> set[str]:
        """Of every pod that something is there of."""
        in_cgroups = {name.removeprefix("pod") for name in self._cgroups.list_()}
        on_disk = {entry.name for entry in self._node.pods_dir.iterdir()} if self._node.pods_dir.is_dir() else set()
        return {*netns.list_(self._node.namespaces_dir), *on_disk, *in_cgroups}

    def reconcile(self, key: Key) -> float | None:
        """One pod, one step. Raises what the caller shall retry; returns seconds after which to look again, if any."""
        pod = self._store.find(key)
        assert pod is None or isinstance(pod, Pod)
        known = self._uids.get(key)
        if known is not None and (pod is None or pod.metadata.uid != known):
            self._remove(known)
            self._volumes.forget(key)
            del self._uids[key]
        if pod is not None:
            return self._step(pod, lifecycle.next_step(pod, self._node.name))
        return None

    def _step(self, pod: Pod, step: Step) -> float | None:
        if step is Step.BUILD:
            self._uids[pod.key] = pod.metadata.uid
            return self._build(pod)
        if step is Step.END:
            return self._end(pod)
        if step is Step.END_NETWORK:
            self._network.detach(self._attachment_key(pod.metadata.uid))
        return None

    # -- building -----------------------------------------------------------------------------------------------

    def _build(self, pod: Pod) -> float | None:
        if reasons := self._ledger_admits(pod):
            problem = Problem("Unschedulable", f"0/1 nodes have room: {'; '.join(reasons)}", is_scheduled=False)
            self._report(pod, status.not_ready(pod, problem, (), self._now()))
            return _LOOK_FOR_ROOM_S
        bound = _bound(pod, self._node.name)
        doing, failed = "mount volumes", "FailedMount"
        try:
            self._ensure_volumes(bound)
            doing, failed = "build sandbox", "SandboxFailed"
            addresses = self._ensure(bound)
        except PodwrightError as error:
            reason = "InsufficientAddresses" if isinstance(error, Exhausted) and failed == "SandboxFailed" else failed
            problem = Problem(reason, f"cannot {doing} of pod {pod.metadata.namespace}/{pod.metadata.name}: {error.message}")
            self._record(pod, "Warning", reason, problem.message)
            self._report(pod, status.not_ready(bound, problem, self._node.addresses, self._now()), bound)
            raise
        if not pod.is_sandboxed:
            where = ", ".join(str(address) for address in addresses) or "no address"
            self._record(pod, "Normal", "SandboxCreated", f"the sandbox stands on node {self._node.name}, with {where}")
        self._report(pod, status.ready(bound, addresses, self._node.addresses, self._now()), bound)
        return _LOOK_AGAIN_S

    def _ledger_admits(self, pod: Pod) -> tuple[str, ...]:
        """Why there is no room for the pod; () and its requests are held. A pod that was bound here stays."""
        with self._ledger_lock:
            if pod.spec.node_name:
                self._ledger.hold(pod)
                return ()
            return self._ledger.admit(pod)

    def _ensure_volumes(self, pod: Pod) -> None:
        """A pod that stands goes on with the volumes it has when one cannot be brought up to date."""
        if not pod.spec.volumes:
            return
        try:
            self._volumes.ensure_(pod)
        except PodwrightError as error:
            if not pod.is_sandboxed:
                raise
            self._record(pod, "Warning", "FailedMount", error.message)

    def _ensure(self, pod: Pod) -> tuple[IPAddress, ...]:
        uid = pod.metadata.uid
        self._cgroups.ensure_(_cgroup_name(uid), resources.limits(pod))
        is_new = netns.create(self._node.namespaces_dir / uid, kinds=settings.namespace_kinds(pod), hostname=files.hostname_of(pod))
        attachment = None if pod.spec.host_network else self._ensure_attached(pod, is_new)
        settings.ensure(pod, self._node.namespaces_dir / uid)
        return status.addresses_of(attachment, pod, self._node.addresses)

    def _ensure_attached(self, pod: Pod, is_new: bool) -> Attachment:
        """A new interface, or the one that stands; one that was lost is made again with the addresses it had. It is lost
        with its namespace, even though its host veth is still there for a moment."""
        key = self._attachment_key(pod.metadata.uid)
        held = self._network.get(key)
        path = str(self._node.namespaces_dir / pod.metadata.uid / "net")
        limits = bandwidth_of(pod.metadata.annotations)
        if held is not None:
            stands = self._network.is_alive(key) and not is_new
            attachment = held if stands else self._network.rebuild(key, path)
            self._network.limit(key, limits)
            return attachment
        request = AttachRequest(
            key=key,
            netns=path,
            pod=PodReference(namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid),
            ports=_ports(pod),
            bandwidth=limits,
        )
        return self._network.attach(request)

    def _report(self, pod: Pod, new: PodStatus, bound: Pod | None = None) -> None:
        """One write for the binding to this node and the status."""
        wanted = msgspec.structs.replace(bound or pod, status=new)
        if wanted != pod:
            self._store.update(wanted)

    # -- ending -------------------------------------------------------------------------------------------------

    def _end(self, pod: Pod) -> float | None:
        """Processes first, so that they can still say goodbye over the network; the finalizer last."""
        uid = pod.metadata.uid
        if wait_s := self._ask_processes(pod):
            return wait_s
        self._remove(uid)
        self._uids.pop(pod.key, None)
        self._volumes.forget(pod.key)
        self._record(pod, "Normal", "SandboxRemoved", "its processes have ended, its network and namespaces are gone")
        remaining = tuple(name for name in pod.metadata.finalizers if name != SANDBOX_FINALIZER)
        metadata = msgspec.structs.replace(pod.metadata, finalizers=remaining)
        self._store.update(msgspec.structs.replace(pod, metadata=metadata))
        return None

    def _ask_processes(self, pod: Pod) -> float | None:
        """TERM once, then seconds until the next look while the grace period lasts; None when it is time to remove."""
        uid, given = pod.metadata.uid, pod.metadata.deletion_grace_period_seconds
        grace_s = pod.spec.termination_grace_period_seconds if given is None else given
        if grace_s <= 0 or not self._cgroup_pids(uid):
            return None
        asked_at = self._ending.get(uid)
        if asked_at is None:
            process.terminate(lambda: self._cgroup_pids(uid))
            asked_at = self._ending[uid] = time.monotonic()
            self._record(pod, "Normal", "Killing", f"its processes were asked to end, and have {grace_s} s for it")
        left_s = asked_at + grace_s - time.monotonic()
        return min(left_s, _LOOK_AT_ENDING_S) if left_s > 0 else None

    def _remove(self, uid: str) -> None:
        """Everything a pod had on this node. Absence is success; an error does not stop the rest."""
        self._ending.pop(uid, None)
        with self._ledger_lock:
            self._ledger.release(uid)
        teardown.run_all(
            (
                lambda: process.end_all(lambda: self._cgroup_pids(uid), grace_s=0),
                lambda: self._network.detach(self._attachment_key(uid)),
                lambda: netns.remove(self._node.namespaces_dir / uid),
                lambda: self._cgroups.remove_(_cgroup_name(uid)),
                lambda: self._volumes.remove_(uid),
                lambda: self._remove_pod_dir(uid),
            )
        )

    def _remove_pod_dir(self, uid: str) -> None:
        """By name, never by walking: something of a user's may be mounted in there."""
        directory = self.pod_dir(uid)
        mount.remove_(directory / _SHM)
        for name in (_ETC, _LOGS):
            shutil.rmtree(directory / name, ignore_errors=True)
        for empty in (directory / _SHM, directory):
            with suppress(FileNotFoundError):
                empty.rmdir()

    # -- questions ----------------------------------------------------------------------------------------------

    def exec_plan(self, namespace: str, name: str, options: ExecOptions) -> Mapping[str, Any]:
        """How to run a command in the pod. Raises NotFound, Unavailable while there is no sandbox."""
        pod = self._store.get(Key("Pod", namespace, name))
        assert isinstance(pod, Pod)
        if pod.spec.node_name not in ("", self._node.name):
            raise NotFound(
                f"pod {namespace}/{name} is on node {pod.spec.node_name}", hint=f"run podwright there, this is {self._node.name}"
            )
        if not pod.is_sandboxed:
            raise Unavailable(f"pod {namespace}/{name} has no sandbox yet: {pod.status.message or 'it is being built'}")
        with self._exec_lock:
            paths = self._exec_paths(pod)
        plan, warnings = execplan.exec_plan(pod, options, paths, self._volumes.lookup(pod))
        return {"plan": msgspec.to_builtins(plan), "warnings": list(warnings)}

    def _exec_paths(self, pod: Pod) -> PodPaths:
        """Name files and the shared memory tmpfs are made at the first exec: most pods of a node never need them."""
        uid = pod.metadata.uid
        directory, namespaces = self.pod_dir(uid), self._node.namespaces_dir / uid
        addresses = [entry.ip for entry in pod.status.pod_ips]
        files.write(directory / _ETC, files.pod_files(pod, addresses, files.node_resolver()))
        (directory / _LOGS).mkdir(exist_ok=True)
        if not pod.spec.host_ipc:
            mount.ensure_tmpfs(directory / _SHM, data="mode=1777,size=64m")
        shown = self._volumes.ensure_(pod)
        return PodPaths(
            namespaces={kind: namespaces / kind for kind in settings.namespace_kinds(pod)},
            cgroup_files=(*self._cgroups.join_files(_cgroup_name(uid)), *self._volumes.join_files(uid)),
            etc=directory / _ETC,
            shm=_HOST_SHM if pod.spec.host_ipc else directory / _SHM,
            logs=directory / _LOGS,
            room=self._node.allocatable.quantities(),
            volumes={name: volume.path for name, volume in shown.items()},
            read_only_volumes=frozenset(name for name, volume in shown.items() if volume.read_only),
        )

    def usage_of_all(self) -> dict[str, CgroupUsage]:
        """By uid. A pod that ends meanwhile is left out."""
        found: dict[str, CgroupUsage] = {}
        for uid in list(self._uids.values()):
            with suppress(PodwrightError):
                found[uid] = self._cgroups.usage(_cgroup_name(uid))
        return found

    def readers(self, changed: Key) -> frozenset[Key]:
        """The pods that have files made of this ConfigMap or Secret."""
        return self._volumes.readers(changed)

    def is_ours(self, container_id: str) -> bool:
        """True for the uid of a standalone pod, which is not a runtime's to collect."""
        return container_id in self._uids.values()

    def pod_dir(self, uid: str) -> Path:
        return self._node.pods_dir / uid

    def _attachment_key(self, uid: str) -> AttachmentKey:
        return AttachmentKey(POD_NETWORK, uid, POD_IFNAME)

    def _cgroup_pids(self, uid: str) -> tuple[int, ...]:
        return self._cgroups.processes(_cgroup_name(uid))


def _bound(pod: Pod, node_name: str) -> Pod:
    return pod if pod.spec.node_name else msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, node_name=node_name))


def _cgroup_name(uid: str) -> str:
    return f"pod{uid}"


def _ports(pod: Pod) -> tuple[PortMapping, ...]:
    return tuple(
        PortMapping(host_port=port.host_port, container_port=port.container_port, protocol=port.protocol, host_ip=port.host_ip)
        for container in pod.spec.containers
        for port in container.ports
        if port.host_port
    )
