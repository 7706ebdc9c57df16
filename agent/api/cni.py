"""The CNI verbs: one raw request from the shim in, one reply that the shim prints verbatim out.

A request is the caller's CNI_* environment (NUL-terminated entries, then an empty one) and its stdin, unparsed.
cni.spec parses and judges it, an Attacher acts, this module translates between the two and turns every error
into a CNI error object in the caller's version. The namespace of ADD and CHECK is compared with the agent's own
before anything is touched; DEL goes by its key alone and never opens the path it is given, which may by now
belong to someone else.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface, summarize_address_range
from typing import Protocol

from loguru import logger

from agent.api.backend import CniReply
from agent.errors import InternalError, PodwrightError
from agent.metrics import CNI_REQUESTS, CNI_SECONDS
from agent.network.request import AttachRequest, AttachResult, Readiness
from agent.objects.attachment import AttachmentKey, Bandwidth, PodReference, PortMapping
from agent.objects.attachment import Protocol as Transport
from agent.objects.meta import IPAddress, IPNetwork
from cni import spec
from cni.spec import CniRequest, Command

OWN_NAMESPACE = "/proc/self/ns/net"


class Attacher(Protocol):
    """What the verbs need of the network. Every method may be called from several threads at once.

    Errors are agent.errors types; their `cni_code` is what the runtime sees.
    """

    def attach(self, request: AttachRequest) -> AttachResult:
        """All or nothing. Raises AlreadyExists (naming it) when the key is attached, Exhausted, Unavailable, KernelError."""

    def detach(self, key: AttachmentKey) -> None:
        """Absence is success, the namespace may be gone. When it returns, address, host link and hostPorts are free."""

    def take_back(self, attached: AttachResult) -> None:
        """As detach, but of this very attachment: a later one under its key stays."""

    def check(self, key: AttachmentKey, netns: str, addresses: Sequence[IPAddress]) -> None:
        """Raise NotFound or KernelError unless lease, links, addresses and rules are as attach() left them."""

    def collect(self, network: str, valid: frozenset[AttachmentKey] | None) -> None:
        """Detach what `network` has beyond `valid`; None: only what is provably dead. Goes on after an error, reports all."""

    def status(self, network: str) -> Readiness: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What the shim prints and exits with. `attached` is what must be undone if nobody is there to read it."""

    body: bytes = b""
    error: PodwrightError | None = None
    attached: AttachResult | None = None

    @property
    def exit_code(self) -> int:
        return 1 if self.error else 0


class CniService:
    """`before_attach` runs ahead of each ADD: a DEL that waits in the spool must not meet the attachment that follows it."""

    def __init__(
        self, attacher: Attacher, *, own_namespace: str = OWN_NAMESPACE, before_attach: Callable[[], object] = lambda: None
    ) -> None:
        self._attacher = attacher
        self._own = os.stat(own_namespace)
        self._before_attach = before_attach
        self._verbs: dict[Command, Callable[[CniRequest], Reply]] = {
            Command.ADD: self._add,
            Command.DEL: self._del,
            Command.CHECK: self._check,
            Command.GC: self._gc,
            Command.STATUS: self._status,
            Command.VERSION: lambda _: Reply(_json(spec.version_object())),
        }

    def handle(self, raw: bytes) -> Reply:
        """Never raises: whatever goes wrong is a reply."""
        started, label, verb = time.monotonic(), "request", "none"
        try:
            environment, stdin = spec.split_wire(raw)
            label = ascii(" ".join(environment.get(f"CNI_{name}", "-") for name in ("COMMAND", "CONTAINERID", "IFNAME")))
            request = spec.parse(environment, stdin)
            verb = request.command.value
            reply = self._verbs[request.command](request)
        except PodwrightError as error:
            reply = _refusal(error, raw)
        except Exception as error:  # noqa: BLE001 - a bug must reach the runtime as CNI JSON, and the log as a traceback
            logger.exception("cni {} failed", label)
            reply = _refusal(InternalError(f"{type(error).__name__}: {error}", hint="this is a bug: see the agent's log"), raw)
        seconds = time.monotonic() - started
        CNI_REQUESTS.inc(verb, str(reply.error.cni_code if reply.error else 0))
        CNI_SECONDS.observe(seconds, verb)
        _log(label, reply, seconds)
        return reply

    def answer(self, raw: bytes) -> CniReply:
        reply = self.handle(raw)
        return CniReply(reply.exit_code, reply.body, partial(self._undo, reply.attached) if reply.attached else None)

    def _undo(self, attached: AttachResult) -> None:
        """The caller went away and knows nothing of what was attached. What fails here its DEL, or the sweep, repeats."""
        logger.warning("cni ADD of {} undone: its caller went away", "/".join(attached.key))
        try:
            self._attacher.take_back(attached)
        except PodwrightError as error:
            logger.error("cannot undo the ADD of {}: {}", "/".join(attached.key), error)

    def _add(self, request: CniRequest) -> Reply:
        self._refuse_own_namespace(request)
        _refuse_unsupported(request)
        wanted = attach_request(request)
        self._before_attach()
        attached = self._attacher.attach(wanted)
        try:
            result = cni_result(attached, request).encode(request.config.cni_version)
        except PodwrightError:
            self._attacher.take_back(attached)
            raise
        return Reply(_json(result), attached=attached)

    def _del(self, request: CniRequest) -> Reply:
        self._attacher.detach(_key(request))
        return Reply()

    def _check(self, request: CniRequest) -> Reply:
        self._refuse_own_namespace(request)
        self._attacher.check(_key(request), request.netns, _addresses_of(request))
        return Reply()

    def _gc(self, request: CniRequest) -> Reply:
        listed, network = request.config.valid_attachments, request.config.name
        valid = None if listed is None else frozenset(AttachmentKey(network, v.container_id, v.ifname) for v in listed)
        self._attacher.collect(network, valid)
        return Reply()

    def _status(self, request: CniRequest) -> Reply:
        try:
            readiness = self._attacher.status(request.config.name)
        except PodwrightError as error:
            raise spec.NotReady(error.message, hint=error.hint) from error
        if not readiness.problems:
            return Reply()
        verdict = spec.NotReadyDegraded if readiness.limits_existing_pods else spec.NotReady
        raise verdict(f"network {request.config.name} cannot take new pods: {'; '.join(readiness.problems)}")

    def _refuse_own_namespace(self, request: CniRequest) -> None:
        try:
            found = os.stat(request.netns)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise spec.InvalidNamespace(f"cannot open CNI_NETNS {request.netns!r}: {reason.lower()}") from None
        if os.path.samestat(found, self._own) and not request.netns_override:
            raise spec.InvalidNamespace(
                f"CNI_NETNS {request.netns!r} is the agent's own network namespace", hint="pass the path of the pod's namespace"
            )


def attach_request(request: CniRequest) -> AttachRequest:
    runtime, args = request.config.runtime, request.args
    rates = runtime.bandwidth
    return AttachRequest(
        key=_key(request),
        netns=request.netns,
        pod=PodReference(namespace=args.pod_namespace, name=args.pod_name, uid=args.pod_uid),
        addresses=tuple(wanted.ip for wanted in request.wanted_ips),
        ranges=tuple(tuple(net for item in ranges for net in _networks(item)) for ranges in runtime.ip_ranges),
        mac=request.wanted_mac,
        ports=tuple(
            PortMapping(host_port=p.host_port, container_port=p.container_port, protocol=Transport(p.protocol.upper()), host_ip=p.host_ip)
            for p in runtime.port_mappings
        ),
        bandwidth=Bandwidth(
            ingress_rate=rates.ingress_rate,
            ingress_burst=rates.ingress_burst,
            egress_rate=rates.egress_rate,
            egress_burst=rates.egress_burst,
        ),
    )


def cni_result(attached: AttachResult, request: CniRequest) -> spec.Result:
    """Bridge (if there is one), host side, pod side; each address with a default route through its gateway."""
    bridge = (spec.Interface(attached.bridge, attached.bridge_mac),) if attached.bridge else ()
    host = spec.Interface(attached.host_ifname, attached.host_mac, attached.mtu)
    pod = spec.Interface(attached.ifname, attached.mac, attached.mtu, sandbox=attached.netns)
    interfaces = (*bridge, host, pod)
    index = len(interfaces) - 1
    return spec.Result(
        interfaces,
        tuple(spec.IpConfig(_with_prefix(a.address, a.prefix_length), a.gateway, index) for a in attached.addresses),
        tuple(_default_routes(attached)),
        request.config.runtime.dns or request.config.dns,
    )


def _with_prefix(address: IPAddress, length: int) -> IPv4Interface | IPv6Interface:
    return ip_interface((address, length))


def _default_routes(attached: AttachResult) -> list[spec.Route]:
    """One per family, even when a pod holds several addresses of it."""
    gateways = {a.gateway.version: a.gateway for a in reversed(attached.addresses)}
    return [spec.Route(_EVERYWHERE[family], gateways[family]) for family in sorted(gateways)]


_EVERYWHERE: dict[int, IPNetwork] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}


def _key(request: CniRequest) -> AttachmentKey:
    return AttachmentKey(request.config.name, request.container_id, request.ifname)


def _networks(item: spec.IpRange) -> list[IPNetwork]:
    """A range is the networks that make it up. Its gateway, the first address unless another is named, is no pod's."""
    gateway, first, last = item.gateway or item.subnet[1], item.first, item.last
    is_among = int(first) <= int(gateway) <= int(last)
    parts = [(first, gateway - 1), (gateway + 1, last)] if is_among else [(first, last)]
    return [network for low, high in parts if int(low) <= int(high) for network in summarize_address_range(low, high)]


def _addresses_of(request: CniRequest) -> tuple[IPAddress, ...]:
    """The addresses the previous result gives this interface; one of an unknown interface counts as ours."""
    result = request.prev_result or spec.Result()
    owners = [(ip.address.ip, result.interface_of(ip)) for ip in result.ips]
    return tuple(address for address, owner in owners if owner is None or (owner.name == request.ifname and owner.sandbox))


def _refuse_unsupported(request: CniRequest) -> None:
    """What is asked for and not done is an error, never a silent substitution."""
    config = request.config
    if request.prev_result is not None:
        raise spec.UnsupportedField("prevResult", "present", hint="podwright makes the interface: list it first in the conflist")
    if config.ipam_type:
        raise spec.UnsupportedField("ipam.type", config.ipam_type, hint="podwright gives the addresses itself: remove ipam")
    if request.args.gateway:
        raise spec.UnsupportedField("CNI_ARGS.GATEWAY", request.args.gateway, hint="the gateway is the node's: remove it")
    for outer, ranges in enumerate(config.runtime.ip_ranges):
        for inner, item in enumerate(ranges):
            if item.gateway is not None and int(item.gateway) != int(item.subnet.network_address) + 1:
                path = f"runtimeConfig.ipRanges[{outer}][{inner}].gateway"
                raise spec.UnsupportedField(path, str(item.gateway), hint=f"the gateway is the first address of {item.subnet}")


def _refusal(error: PodwrightError, raw: bytes) -> Reply:
    try:
        version = spec.version_of(spec.split_wire(raw)[1])
    except PodwrightError:
        version = spec.NEWEST
    return Reply(_json(spec.error_object(error, version)), error=error)


def _json(value: object) -> bytes:
    return json.dumps(value, indent=4).encode() + b"\n"


def _log(label: str, reply: Reply, seconds: float) -> None:
    if reply.error:
        logger.warning("cni {} refused after {:.1f} ms: {}", label, seconds * 1e3, reply.error.message)
    else:
        logger.info("cni {} done in {:.1f} ms", label, seconds * 1e3)
