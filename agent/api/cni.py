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
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface
from typing import Protocol

from loguru import logger

from agent import teardown
from agent.api.backend import CniReply
from agent.api.cni_request import addresses_of, attach_request, ipam_plugin, key_of
from agent.errors import InternalError, PodwrightError
from agent.metrics import CNI_REQUESTS, CNI_SECONDS
from agent.network.request import AttachRequest, AttachResult, Readiness
from agent.objects.attachment import AttachmentKey, IpamPlugin
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

    def detach(self, key: AttachmentKey, ipam: IpamPlugin | None = None) -> None:
        """Absence is success, the namespace may be gone. When it returns, address, host link and hostPorts are free; with
        `ipam` that plugin's lease too, whatever is on record."""

    def take_back(self, attached: AttachResult) -> None:
        """As detach, but of this very attachment: a later one under its key stays."""

    def check(self, key: AttachmentKey, netns: str, addresses: Sequence[IPAddress]) -> None:
        """Raise NotFound or KernelError unless lease, links, addresses and rules are as attach() left them."""

    def ask_ipam(self, verb: str, plugin: IpamPlugin, key: AttachmentKey | None = None, netns: str = "") -> None:
        """CHECK, GC and STATUS, which the specification wants forwarded."""

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
        wanted = attach_request(request)
        self._before_attach()
        attached = self._attacher.attach(wanted)
        try:
            result = told_result(attached, request)
        except PodwrightError:
            self._attacher.take_back(attached)
            raise
        return Reply(_json(result), attached=attached)

    def _del(self, request: CniRequest) -> Reply:
        self._attacher.detach(key_of(request), ipam_plugin(request))
        return Reply()

    def _check(self, request: CniRequest) -> Reply:
        self._refuse_own_namespace(request)
        if plugin := ipam_plugin(request):
            self._attacher.ask_ipam("CHECK", plugin, key_of(request), request.netns)
        self._attacher.check(key_of(request), request.netns, addresses_of(request))
        return Reply()

    def _gc(self, request: CniRequest) -> Reply:
        listed, network = request.config.valid_attachments, request.config.name
        valid = None if listed is None else frozenset(AttachmentKey(network, v.container_id, v.ifname) for v in listed)
        steps: list[Callable[[], object]] = [partial(self._attacher.collect, network, valid)]
        if plugin := ipam_plugin(request):
            steps.append(partial(self._attacher.ask_ipam, "GC", plugin))
        teardown.run_all(steps)
        return Reply()

    def _status(self, request: CniRequest) -> Reply:
        try:
            if plugin := ipam_plugin(request):
                self._attacher.ask_ipam("STATUS", plugin)
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
        if os.path.samestat(found, self._own):
            raise spec.InvalidNamespace(
                f"CNI_NETNS {request.netns!r} is the node's own network namespace", hint="pass the path of the pod's namespace"
            )


def told_result(attached: AttachResult, request: CniRequest) -> dict[str, object]:
    """In the caller's version. Behind another main plugin its result passes as it is."""
    version = request.config.cni_version
    if request.prev_result is None:
        return cni_result(attached, request).encode(version)
    given = request.config.raw["prevResult"]
    same = given.get("cniVersion", version) == version
    return {**given, "cniVersion": version} if same else request.prev_result.encode(version)


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
        request.config.runtime.dns or (request.config.dns if request.config.dns != spec.Dns() else attached.dns),
    )


def _with_prefix(address: IPAddress, length: int) -> IPv4Interface | IPv6Interface:
    return ip_interface((address, length))


def _default_routes(attached: AttachResult) -> list[spec.Route]:
    """One per family, even when a pod holds several addresses of it."""
    gateways = {a.gateway.version: a.gateway for a in reversed(attached.addresses)}
    return [spec.Route(_EVERYWHERE[family], gateways[family]) for family in sorted(gateways)]


_EVERYWHERE: dict[int, IPNetwork] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}


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
