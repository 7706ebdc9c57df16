"""Which attachment holds which host port: a reservation table, so that a conflict is an error that names the owner.

Two mappings conflict when protocol and port are equal and their host addresses overlap; no host address means all of
both families.
Not thread-safe: the caller holds the lock under which it also allocates addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from agent.errors import AlreadyExists
from agent.objects.attachment import Attachment, PortMapping, Protocol
from agent.objects.meta import IPAddress

_Slot = tuple[Protocol, int]


class HostPorts:
    def __init__(self) -> None:
        self._holders: dict[_Slot, dict[IPAddress | None, Attachment]] = {}

    def reserve(self, owner: Attachment) -> None:
        """All of the owner's ports or none. Raises AlreadyExists."""
        for port in owner.ports:
            self._refuse_conflict(port, owner)
        for port in owner.ports:
            self._holders.setdefault(_slot(port), {})[port.host_ip] = owner

    def release(self, owner: Attachment) -> None:
        for port in owner.ports:
            holders = self._holders.get(_slot(port), {})
            if (held := holders.get(port.host_ip)) and held.metadata.name == owner.metadata.name:
                del holders[port.host_ip]

    def _refuse_conflict(self, port: PortMapping, owner: Attachment) -> None:
        for host_ip, holder in self._holders.get(_slot(port), {}).items():
            if holder.metadata.name != owner.metadata.name and _overlap(host_ip, port.host_ip):
                raise AlreadyExists(
                    f"hostPort {port.host_port}/{port.protocol} is held by {describe(holder)}",
                    hint="choose another hostPort or delete its owner",
                )


def _overlap(one: IPAddress | None, other: IPAddress | None) -> bool:
    """0.0.0.0 and :: are all addresses of their family."""
    if one is None or other is None or one == other:
        return True
    return one.version == other.version and (one.is_unspecified or other.is_unspecified)


def whereabouts(port: PortMapping, local: Collection[IPAddress]) -> Callable[[IPAddress], bool]:
    """Is the mapping on an address? `local`: those that the node's links hold; all of 127/8 is local too."""
    return lambda address: (address in local or address.is_loopback) and _overlap(port.host_ip, address)


def _slot(port: PortMapping) -> _Slot:
    return port.protocol, port.host_port


def describe(attachment: Attachment) -> str:
    """For messages: "pod a/b", or the container id where no pod is known."""
    if attachment.pod.name:
        return f"pod {attachment.pod.namespace}/{attachment.pod.name}"
    return f"container {attachment.container_id} ({attachment.ifname})"


def conflicts_within(ports: Sequence[PortMapping]) -> bool:
    """True if one list asks twice for the same port."""
    seen: dict[_Slot, list[IPAddress | None]] = {}
    for port in ports:
        others = seen.setdefault(_slot(port), [])
        if any(_overlap(other, port.host_ip) for other in others):
            return True
        others.append(port.host_ip)
    return False
