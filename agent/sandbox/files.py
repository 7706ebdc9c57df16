"""The files a pod has of its own: /etc/hosts, /etc/hostname, /etc/resolv.conf.

The texts are pure functions of the pod and of what the node's resolver file says; `write` puts them into the pod's
directory, each replaced at once or not at all. A process that was started before keeps the old file: it is held by
a mount.
The node's resolver file is not always fit for a pod: a stub resolver on a loopback address (systemd-resolved, dnsmasq)
is out of its reach, so the stub's upstream servers are used where they are known, and a warning is returned.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from agent.errors import OutOfSpace
from agent.objects.meta import IPAddress
from agent.objects.pod import DNSConfig, DNSPolicy, Pod

_T = TypeVar("_T")

RESOLVER_FILE = Path("/etc/resolv.conf")
UPSTREAM_FILE = Path("/run/systemd/resolve/resolv.conf")
_MAX_NAMESERVERS, _MAX_SEARCHES = 3, 32
_MAX_HOSTNAME = 64
"""The kernel's limit; a name of a DNS label has at most 63."""

_LOCALHOST_LINES = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::\tip6-localnet",
    "ff00::\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)


@dataclass(frozen=True, slots=True)
class Resolver:
    """What a resolv.conf says. Options are whole words ("ndots:5")."""

    nameservers: tuple[IPAddress, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PodFiles:
    hosts: str
    hostname: str
    resolv_conf: str
    warnings: tuple[str, ...] = ()


def pod_files(
    pod: Pod, pod_ips: Sequence[IPAddress], node: Resolver, *, domain: str = "cluster.local", dns: Sequence[IPAddress] = ()
) -> PodFiles:
    """`dns` are the cluster's own name servers, none if it has none; `node` comes from `node_resolver`."""
    resolver, warnings = resolver_of(pod, node, domain=domain, dns=dns)
    return PodFiles(hosts(pod, pod_ips, domain=domain), hostname_of(pod, domain=domain) + "\n", resolv_conf(resolver), warnings)


def hostname_of(pod: Pod, *, domain: str = "cluster.local") -> str:
    """What the pod's UTS namespace is called."""
    fqdn = _fqdn(pod, domain)
    if pod.spec.set_hostname_as_fqdn and fqdn:
        return fqdn[:_MAX_HOSTNAME]
    return _short_name(pod)


def hosts(pod: Pod, pod_ips: Sequence[IPAddress], *, domain: str = "cluster.local") -> str:
    names = " ".join(name for name in (_fqdn(pod, domain), _short_name(pod)) if name)
    lines = ["# written by podwright for this pod", *_LOCALHOST_LINES]
    lines += [f"{address}\t{names}" for address in pod_ips]
    lines += [f"{alias.ip}\t{' '.join(alias.hostnames)}" for alias in pod.spec.host_aliases]
    return "\n".join(lines) + "\n"


def resolver_of(pod: Pod, node: Resolver, *, domain: str, dns: Sequence[IPAddress]) -> tuple[Resolver, tuple[str, ...]]:
    """The pod's resolver by its dnsPolicy and dnsConfig, and what a user should be told about it."""
    policy = pod.spec.dns_policy
    warnings: list[str] = []
    is_cluster = policy is DNSPolicy.CLUSTER_FIRST_WITH_HOST_NET or (policy is DNSPolicy.CLUSTER_FIRST and not pod.spec.host_network)
    if policy is DNSPolicy.NONE:
        base = Resolver()
    elif is_cluster and dns:
        searches = (f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain, *node.searches)
        base = Resolver(tuple(dns), searches, ("ndots:5",))
    else:
        base = node
        if not pod.spec.host_network:
            base, warnings = _without_loopback(node)
    merged = _merge(base, pod.spec.dns_config or DNSConfig())
    return _within_limits(merged, warnings)


def resolv_conf(resolver: Resolver) -> str:
    lines = [f"nameserver {address}" for address in resolver.nameservers]
    if resolver.searches:
        lines.append("search " + " ".join(resolver.searches))
    if resolver.options:
        lines.append("options " + " ".join(resolver.options))
    return "\n".join(lines) + "\n" if lines else ""


def parse_resolv_conf(text: str) -> Resolver:
    """The last `search` or `domain` wins, as in the C library; an address it cannot read is skipped, as there."""
    nameservers: list[IPAddress] = []
    searches: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        keyword, *words = line.split() or [""]
        if keyword == "nameserver" and words:
            nameservers += _addresses(words[:1])
        elif keyword in ("search", "domain"):
            searches = tuple(words)
        elif keyword == "options":
            options += words
    return Resolver(tuple(nameservers), searches, tuple(options))


def node_resolver(file: Path = RESOLVER_FILE, upstream: Path = UPSTREAM_FILE) -> Resolver:
    """The node's resolver; where it names only a stub on this machine, the stub's upstream."""
    node = parse_resolv_conf(_text(file))
    if node.nameservers and not all(address.is_loopback for address in node.nameservers):
        return node
    behind = parse_resolv_conf(_text(upstream))
    return behind if behind.nameservers else node


def write(directory: Path, files: PodFiles) -> None:
    """hosts, hostname and resolv.conf in `directory`; a file that already says the same is left alone. Raises OutOfSpace."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        for name, text in (("hosts", files.hosts), ("hostname", files.hostname), ("resolv.conf", files.resolv_conf)):
            _replace(directory / name, text)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OutOfSpace(f"cannot write the pod's files in {directory}: the disk is full", hint="make room on its file system") from None


def _short_name(pod: Pod) -> str:
    return (pod.spec.hostname or pod.metadata.name)[: _MAX_HOSTNAME - 1].rstrip("-.")


def _fqdn(pod: Pod, domain: str) -> str:
    """Only a pod with a subdomain has one."""
    if not pod.spec.subdomain:
        return ""
    return f"{_short_name(pod)}.{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{domain}"


def _without_loopback(node: Resolver) -> tuple[Resolver, list[str]]:
    reachable = tuple(address for address in node.nameservers if not address.is_loopback)
    if reachable == node.nameservers:
        return node, []
    lost = ", ".join(str(address) for address in node.nameservers if address.is_loopback)
    advice = "set dnsPolicy: None with dnsConfig.nameservers" if not reachable else "the others are used"
    return Resolver(reachable, node.searches, node.options), [f"the node's name server {lost} cannot be reached from a pod: {advice}"]


def _merge(base: Resolver, extra: DNSConfig) -> Resolver:
    """dnsConfig adds servers and searches; an option of the same name is replaced."""
    options = {word.partition(":")[0]: word for word in base.options}
    options |= {option.name: f"{option.name}:{option.value}" if option.value else option.name for option in extra.options}
    return Resolver(
        _unique((*base.nameservers, *extra.nameservers)),
        _unique((*base.searches, *extra.searches)),
        tuple(options.values()),
    )


def _within_limits(resolver: Resolver, warnings: list[str]) -> tuple[Resolver, tuple[str, ...]]:
    servers, searches = resolver.nameservers, resolver.searches
    told = list(warnings)
    if len(servers) > _MAX_NAMESERVERS:
        told.append(f"only {_MAX_NAMESERVERS} of {len(servers)} name servers are used: resolvers read no more")
    if len(searches) > _MAX_SEARCHES:
        told.append(f"only {_MAX_SEARCHES} of {len(searches)} search domains are used")
    return Resolver(servers[:_MAX_NAMESERVERS], searches[:_MAX_SEARCHES], resolver.options), tuple(told)


def _unique(values: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))


def _addresses(words: Sequence[str]) -> list[IPAddress]:
    try:
        return [ip_address(word) for word in words]
    except ValueError:
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _replace(file: Path, text: str) -> None:
    if _text(file) == text and file.exists():
        return
    draft = file.with_name(f".{file.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o644)
    os.replace(draft, file)
