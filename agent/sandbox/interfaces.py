"""Pod interfaces on behalf of a container runtime: what the CNI verbs ask of the agent.

The runtime owns the sandbox, so only the network (and later policy) of a pod is made here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial

from agent import teardown
from agent.errors import NotFound
from agent.network.manager import NetworkManager
from agent.network.request import AttachRequest, AttachResult, Readiness
from agent.objects.attachment import Attachment, AttachmentKey, IpamPlugin
from agent.objects.meta import IPAddress
from agent.sandbox import ipam_plugin, node_limits


class RuntimeInterfaces:
    """`is_ours(container_id)`: the attachment belongs to a standalone pod, which no runtime may collect. `state_dir` is
    where records go."""

    def __init__(self, network: NetworkManager, is_ours: Callable[[str], bool], state_dir: str = "/") -> None:
        self._state_dir = state_dir
        self._network = network
        self._is_ours = is_ours

    def attach(self, request: AttachRequest) -> AttachResult:
        if request.ipam is None:
            return self._network.result_of(self._network.attach(request))
        with ExitStack() as undo:
            undo.callback(ipam_plugin.give_back, request.ipam, request.key, request.netns)
            leased = ipam_plugin.lease(request.ipam, request.key, request.netns)
            addresses = tuple(ip.address.ip for ip in leased.ips)
            attachment = self._network.attach(dataclasses.replace(request, addresses=addresses))
            undo.pop_all()
        return dataclasses.replace(self._network.result_of(attachment), dns=leased.dns)

    def detach(self, key: AttachmentKey, ipam: IpamPlugin | None = None) -> None:
        """The interface first: its address must not be another's before. A caller repeats what failed."""
        held = self._network.get(key)
        plugin = ipam or (held.ipam if held else None)
        steps: list[Callable[[], object]] = [partial(self._network.detach, key)]
        if plugin and not (held and held.is_chained):
            steps.append(partial(self.ask_ipam, "DEL", plugin, key, held.netns.path if held else ""))
        teardown.run_all(steps)

    def take_back(self, attached: AttachResult) -> None:
        self._release(attached.key, lambda held: held.host_ifindex == attached.host_ifindex)

    def ask_ipam(self, verb: str, plugin: IpamPlugin, key: AttachmentKey | None = None, netns: str = "") -> None:
        ipam_plugin.call(verb, plugin, key, netns)

    def _release(self, key: AttachmentKey, only_if: Callable[[Attachment], bool] = lambda _: True) -> None:
        """Without a caller who would repeat it: what an IPAM plugin does not take back stays on record for the next time."""
        held = self._network.get(key)
        if held is not None and held.ipam and only_if(held):
            self.ask_ipam("DEL", held.ipam, key, held.netns.path)
        self._network.detach(key, only_if=only_if)

    def check(self, key: AttachmentKey, netns: str, addresses: Sequence[IPAddress]) -> None:
        attachment = self._network.check(key, netns)
        missing = [str(address) for address in addresses if address not in attachment.addresses]
        if missing:
            raise NotFound(f"{', '.join(missing)} is not leased to interface {key.ifname} of container {key.container_id}")

    def collect(self, network: str, valid: frozenset[AttachmentKey] | None) -> None:
        """Without a list only what is provably dead goes; a list is authoritative."""
        keys = [key for key in self._network.list_keys(network) if not self._is_ours(key.container_id)]
        if valid is None:
            self._detach_dead(keys)
        else:
            teardown.run_all(partial(self._release, key) for key in keys if key not in valid)

    def collect_dead(self) -> None:
        """What is provably dead, of every network."""
        self._detach_dead([key for key in self._network.list_keys() if not self._is_ours(key.container_id)])

    def _detach_dead(self, keys: Iterable[AttachmentKey]) -> None:
        """Looked at twice, the second time when no ADD of that key is under way: one that begins has no link yet."""
        dead = [key for key in keys if not self._network.is_alive(key)]
        teardown.run_all(partial(self._release, key, self._is_dead) for key in dead)

    def _is_dead(self, attachment: Attachment) -> bool:
        return not self._network.is_alive(attachment.attachment_key)

    def status(self, network: str) -> Readiness:
        usages = self._network.usage()
        roomy = {usage.network.version for usage in usages if usage.free or usage.quarantined}  # an ADD waits for these
        full = [f"no free address in {usage}" for usage in usages if usage.network.version not in roomy]
        lost, crowded = self._network.problems()
        return Readiness((*lost, *full, *crowded, *node_limits.problems(self._state_dir)), limits_existing_pods=bool(lost))
