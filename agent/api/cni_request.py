"""A judged CNI request as what the network is asked for. Pure.

What is asked for and cannot be had is an error, never a silent substitution. With a previous result another plugin made
the interface: its addresses are the endpoint's, and what is meant for whoever makes it (ips, mac, ipRanges) is not ours.
A configuration with `ipam` has its addresses from that plugin, which reads the same configuration.
"""

from __future__ import annotations

import dataclasses
from ipaddress import summarize_address_range

from agent.network.request import AttachRequest
from agent.objects.attachment import AttachmentKey, Bandwidth, IpamPlugin, PodReference, PortMapping, Protocol
from agent.objects.meta import IPAddress, IPNetwork
from agent.objects.names import label_key_problem, label_value_problem
from cni import spec
from cni.spec import CniRequest


def key_of(request: CniRequest) -> AttachmentKey:
    return AttachmentKey(request.config.name, request.container_id, request.ifname)


def attach_request(request: CniRequest) -> AttachRequest:
    """Raises UnsupportedField, InvalidConfig."""
    _refuse_unsupported(request)
    runtime, args = request.config.runtime, request.args
    rates = runtime.bandwidth
    common = AttachRequest(
        key=key_of(request),
        netns=request.netns,
        pod=PodReference(namespace=args.pod_namespace, name=args.pod_name, uid=args.pod_uid),
        labels=_labels(request),
        ports=tuple(
            PortMapping(host_port=p.host_port, container_port=p.container_port, protocol=Protocol(p.protocol.upper()), host_ip=p.host_ip)
            for p in runtime.port_mappings
        ),
        bandwidth=Bandwidth(
            ingress_rate=rates.ingress_rate,
            ingress_burst=rates.ingress_burst,
            egress_rate=rates.egress_rate,
            egress_burst=rates.egress_burst,
        ),
    )
    if request.prev_result is not None:
        return dataclasses.replace(common, is_chained=True, addresses=_chained_addresses(request))
    if request.config.ipam_type:
        return dataclasses.replace(common, mac=request.wanted_mac, ipam=ipam_plugin(request))
    return dataclasses.replace(
        common,
        mac=request.wanted_mac,
        addresses=tuple(wanted.ip for wanted in request.wanted_ips),
        ranges=tuple(tuple(net for item in ranges for net in _networks(item)) for ranges in runtime.ip_ranges),
    )


def ipam_plugin(request: CniRequest) -> IpamPlugin | None:
    if not request.config.ipam_type:
        return None
    return IpamPlugin(type=request.config.ipam_type, path=":".join(request.path), args=request.raw_args, config=request.raw_config)


def addresses_of(request: CniRequest) -> tuple[IPAddress, ...]:
    """The addresses the previous result gives this interface; one of an unknown interface counts as ours."""
    result = request.prev_result or spec.Result()
    owners = [(ip.address.ip, result.interface_of(ip)) for ip in result.ips]
    return tuple(address for address, owner in owners if owner is None or (owner.name == request.ifname and owner.sandbox))


def _chained_addresses(request: CniRequest) -> tuple[IPAddress, ...]:
    addresses = addresses_of(request)
    if not addresses:
        raise spec.InvalidConfig(
            f"prevResult: has no address for {request.ifname}", hint="podwright filters by address: chain it behind a plugin with ipam"
        )
    return addresses


def _labels(request: CniRequest) -> dict[str, str]:
    """args.cni.labels, or else those of the configuration. (A Pod object of that name comes before both, when it is asked.)"""
    args, config = request.config.args.labels, request.config.labels
    path = "args.cni.labels" if args else "labels"
    labels = {label.key: label.value for label in args or config}
    for key, value in labels.items():
        if problem := label_key_problem(key) or label_value_problem(value):
            raise spec.InvalidConfig(f"{path}: {problem}")
    return labels


def _networks(item: spec.IpRange) -> list[IPNetwork]:
    """A range is the networks that make it up. Its gateway, the first address unless another is named, is no pod's."""
    gateway, first, last = item.gateway or item.subnet[1], item.first, item.last
    is_among = int(first) <= int(gateway) <= int(last)
    parts = [(first, gateway - 1), (gateway + 1, last)] if is_among else [(first, last)]
    return [network for low, high in parts if int(low) <= int(high) for network in summarize_address_range(low, high)]


def _refuse_unsupported(request: CniRequest) -> None:
    config = request.config
    if request.prev_result is not None and config.ipam_type:
        raise spec.UnsupportedField("ipam.type", config.ipam_type, hint="the plugin that makes the interface has the ipam: remove it here")
    if config.ipam_type or request.prev_result is not None:
        return
    if request.args.gateway:
        raise spec.UnsupportedField("CNI_ARGS.GATEWAY", request.args.gateway, hint="the gateway is the node's: remove it")
    for outer, ranges in enumerate(config.runtime.ip_ranges):
        for inner, item in enumerate(ranges):
            if item.gateway is not None and int(item.gateway) != int(item.subnet.network_address) + 1:
                path = f"runtimeConfig.ipRanges[{outer}][{inner}].gateway"
                raise spec.UnsupportedField(path, str(item.gateway), hint=f"the gateway is the first address of {item.subnet}")
