"""Policy kept in force: what the store and the attachments say, compiled, and committed as it changes.

It lives in the network's tables and commits through them (`Committer`), under their lock: a table that is repaired or
replaced while a change is under way gets either state whole. Events only say which object to read anew, so their order
does not matter; a watch that fell behind reads everything. A pod's own policy is committed before the network opens it
(`admit`), with all that was stored by then: isolation is in place before ADD returns.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from loguru import logger

from agent import metrics
from agent.errors import Conflict, PodwrightError
from agent.kernel.nft import Batch, Element, Ruleset, Set, Table
from agent.objects.attachment import Attachment
from agent.objects.meta import IPAddress, Key, Object
from agent.objects.node import Node
from agent.objects.pod import Pod
from agent.policy import gather, readback, world
from agent.policy.compile import Flow
from agent.policy.endpoints import Interner
from agent.policy.engine import Delta, Engine
from agent.policy.render import Options, Renderer
from agent.policy.revoke import Revoker
from agent.policy.standing import Standing
from agent.policy.status import StatusWriter
from agent.store.base import Store, Watch

KINDS = tuple(kind for kind in gather.KINDS if kind != "Attachment")
_RETRY_S = 1.0
_QUIET_S = 1.0
_SHOWN = 6
_PodName = tuple[str, str]


class Committer(Protocol):
    """The network's tables."""

    def exclusive(self) -> AbstractContextManager[object]: ...

    def commit(self, batch: Batch) -> None: ...

    def list_elements(self, a_set: Set) -> Collection[Element]: ...

    def repair(self, distrusted: Collection[Table]) -> Batch: ...


class PolicyManager:
    def __init__(self, store: Store, tables: Committer, options: Options, *, node_name: str, node_addresses: Iterable[IPAddress]) -> None:
        self._store, self._tables, self._node_name = store, tables, node_name
        self._engine, self._renderer = Engine(), Renderer(options)
        self._interner = Interner()
        self._statuses = StatusWriter(store)
        self._standing = Standing(node_name, node_addresses)
        self._objects: dict[Key, Object] = {}
        self._attached: defaultdict[_PodName, dict[str, Attachment]] = defaultdict(dict)
        self._names_by_namespace: defaultdict[str, set[_PodName]] = defaultdict(set)
        self._watch: Watch | None = None
        self._unread: set[Set] = set()
        self._revoker = Revoker(self.allows) if options.reevaluates else None
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="policy", daemon=True)

    # -- for the network --------------------------------------------------------------------------------------

    def begin(self, attachments: Iterable[Attachment]) -> None:
        """Before anything is committed: read all there is. With the tables' lock held, like the next three."""
        for attachment in attachments:
            self._attached[_pod_name(attachment)][attachment.metadata.name] = attachment
        self._read_all()
        self._engine.take()
        self._renderer.reset(self._engine.program)

    def wanted(self) -> Ruleset:
        """All of ours, as it should stand."""
        return self._renderer.whole(self._engine.program)

    def admit(self, attachment: Attachment) -> None:
        """Isolate a pod that can send nothing yet, by everything that is stored by now. Raises KernelError."""
        self._attached[_pod_name(attachment)][attachment.metadata.name] = attachment
        self._catch_up()
        self._look_at(_pod_name(attachment))
        self._commit()

    def dismiss(self, attachment: Attachment) -> None:
        """After the network closed the pod."""
        name = _pod_name(attachment)
        self._attached[name].pop(attachment.metadata.name, None)
        if not self._attached[name]:
            del self._attached[name]
        self._look_at(name)
        self._commit()

    # -- following the store ----------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopped.set()
        with self._tables.exclusive():
            if self._watch is not None:
                self._watch.close()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        self._statuses.tell(self._standing.broken)
        while not self._is_stopped.is_set():
            try:
                assert self._watch is not None
                event = self._watch.next(_QUIET_S if self._unread else None)
                if event is not None:
                    self._hear([event.object.key])
                elif self._unread:
                    self._read_back()
            except Conflict as error:
                logger.debug("policy reads everything again: {}", error)
                with self._tables.exclusive():
                    self._read_all()
                    self._commit()
            except PodwrightError as error:
                logger.warning("policy: {}; trying again", error)
                self._is_stopped.wait(_RETRY_S)
            except Exception as error:  # noqa: BLE001 - a bug must not end the thread that enforces policy
                logger.opt(exception=error).error("policy failed; trying again")
                self._is_stopped.wait(_RETRY_S)

    def _hear(self, keys: list[Key]) -> None:
        with self._tables.exclusive():
            self._look_at_objects(keys)
            self._catch_up()
            delta = self._commit()
            broken = dict(self._standing.broken)
        if self._revoker is not None and delta:
            self._revoker.revoke(delta)
        self._statuses.tell(broken)

    def _read_back(self) -> None:
        with self._tables.exclusive():
            sets, self._unread = self._unread, set()
            sets &= {*self._renderer.maps(), *(each for r in self._engine.program.rulings.values() for each in self._renderer.maps_of(r))}
            found = tuple(readback.differences(self._renderer, self._engine.program, sets, self._tables.list_elements))
            if found:
                metrics.POLICY_DRIFTS.inc()
                logger.error("policy in the kernel differed from what was committed: {}; putting it right", "; ".join(found[:_SHOWN]))
                self._tables.repair(())

    def _catch_up(self) -> None:
        """Everything that is stored by now."""
        if self._watch is None:
            return
        try:
            while keys := [event.object.key for event in self._watch.pending()]:  # it may first give what it had read before
                self._look_at_objects(keys)
        except Conflict:
            self._read_all()

    def _read_all(self) -> None:
        if self._watch is not None:
            self._watch.close()
        self._watch = self._store.watch(KINDS)
        found = {thing.key for kind in KINDS for thing in self._store.list(kind)[0]}
        self._look_at_objects([*found, *(self._objects.keys() - found)])
        for name in list(self._attached):
            self._look_at(name)

    # -- objects to endpoints and policies --------------------------------------------------------------------

    def _look_at_objects(self, keys: Iterable[Key]) -> None:
        """Policies and what endpoints inherit first, so that each endpoint is made once."""
        pods: dict[_PodName, None] = {}
        others: dict[Key, Object | None] = {}
        for key in dict.fromkeys(keys):
            new, old = self._store.find(key), self._objects.get(key)
            if new is None:
                self._objects.pop(key, None)
            else:
                self._objects[key] = new
            if key.kind == "Pod":
                pods[key.namespace, key.name] = None
            elif _is_news(old, new):
                others[key] = new
        if others:
            pods.update(dict.fromkeys(self._change_world(others)))
        for name in pods:
            self._look_at(name)

    def _change_world(self, changes: Mapping[Key, Object | None]) -> Iterator[_PodName]:
        """The pods whose labels may be others now."""
        before = self._standing.world
        self._engine.set_policies(self._standing.change(changes))
        after = self._standing.world
        if (before.service_accounts, before.profiles) != (after.service_accounts, after.profiles):
            for names in self._names_by_namespace.values():
                yield from names
            return
        for namespace in before.namespaces.keys() | after.namespaces.keys():
            if before.namespaces.get(namespace) != after.namespaces.get(namespace):
                yield from self._names_by_namespace.get(namespace, ())

    def _look_at(self, name: _PodName) -> None:
        found = self._endpoint(name)
        if found is None:
            self._names_by_namespace[name[0]].discard(name)
            self._engine.remove_endpoint("/".join(name))
            return
        self._names_by_namespace[name[0]].add(name)
        self._engine.set_endpoint(self._interner.endpoint(self._standing.world, found))

    def _endpoint(self, name: _PodName) -> world.Endpoint | None:
        """A pod that only a runtime knows is one without labels."""
        namespace, pod_name = name
        addresses = tuple(address for attachment in self._attached.get(name, {}).values() for address in attachment.addresses)
        pod = self._objects.get(Key("Pod", namespace, pod_name))
        if isinstance(pod, Pod):
            return gather.endpoint_of(pod, addresses, self._node_name)
        return world.Endpoint(namespace=namespace, name=pod_name, addresses=addresses) if addresses else None

    # -- to the kernel ----------------------------------------------------------------------------------------

    def allows(self, flow: Flow) -> bool:
        with self._tables.exclusive():
            return self._engine.program.allows(flow)

    def _commit(self) -> Delta:
        delta = self._engine.take()
        if delta:
            with metrics.POLICY_COMMIT_SECONDS.time():
                for batch in self._renderer.batches(delta):
                    self._tables.commit(batch)
            self._unread |= readback.touched(self._renderer, delta)
            metrics.POLICY_SUBJECTS.set(len(self._engine.program.subjects))
            metrics.POLICY_RULINGS.set(len(self._engine.program.rulings))
            logger.debug("policy: {}", delta)
        return delta


def _pod_name(attachment: Attachment) -> _PodName:
    return attachment.pod.namespace, attachment.pod.name or attachment.container_id


def _is_news(old: Object | None, new: Object | None) -> bool:
    """Our own statuses are none, and a node's heartbeat neither."""
    if old is None or new is None:
        return old is not new
    if isinstance(old, Node) and isinstance(new, Node):
        return (old.metadata.labels, old.status.addresses) != (new.metadata.labels, new.status.addresses)
    return (old.metadata.labels, getattr(old, "spec", old)) != (new.metadata.labels, getattr(new, "spec", new))
