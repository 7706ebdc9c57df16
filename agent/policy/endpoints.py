"""Endpoints as the compiler wants them: every label that any policy may ask for in one mapping, interned.

Kubernetes' selectors ask for a namespace's labels and name under prefixes that no label may begin with, so that neither
a pod's own labels nor what Calico's profiles make of a namespace can be mistaken for them.
"""

from __future__ import annotations

from agent.objects.attachment import Protocol
from agent.policy import world
from agent.policy.rules import Endpoint, Identity, NamedPort
from agent.policy.traffic import SCTP, TCP, UDP

NAMESPACE, NAMESPACE_LABEL = "@namespace", "@namespace."
NUMBER = {Protocol.TCP: TCP, Protocol.UDP: UDP, Protocol.SCTP: SCTP}
_Labels = frozenset[tuple[str, str]]


class Interner:
    """Gives each set of labels its one Identity. Those of pods that are gone are kept: few, and they tend to return."""

    def __init__(self) -> None:
        self._known: dict[_Labels, Identity] = {}

    def endpoint(self, known: world.World, found: world.Endpoint) -> Endpoint:
        """`known` is asked for what namespace and service account add."""
        inherited = {NAMESPACE_LABEL + key: value for key, value in known.namespace_labels(found.namespace).items()}
        where = {NAMESPACE: found.namespace} if found.namespace else {}
        labels = {**known.calico_labels(found), **inherited, **where}
        key = frozenset(labels.items())
        identity = self._known.get(key)
        if identity is None:
            identity = self._known[key] = Identity(labels)
        ports = tuple(NamedPort(port.name, NUMBER[port.protocol], port.port) for port in found.ports)
        return Endpoint(str(found), identity, found.addresses, ports, found.is_local)
