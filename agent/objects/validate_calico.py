"""What the types cannot say about Calico's objects: selectors, ports and protocols in text, Calico's limits, what excludes what.

`services` and `http` ask for things that nothing here knows yet. Left out they would make a rule match more, so they are
refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.errors import InvalidObject
from agent.objects.calico.policy import CalicoNetworkPolicy, CalicoPolicySpec, GlobalNetworkPolicy, GlobalNetworkPolicySpec
from agent.objects.calico.rule import Action, EntityRule, ICMPFields, Rule, parse_port, protocol_number
from agent.objects.calico.sets import GlobalNetworkSet, NetworkSet
from agent.objects.calico.tier import BUILT_IN_TIERS, Profile, Tier
from agent.objects.calico_selector import has_global, parse_selector
from agent.objects.meta import CIDR
from agent.objects.names import dns_subdomain_problem, label_key_problem
from agent.objects.network_policy import PolicyType
from agent.objects.validate_policy import duplicates, network_problem

_MAX_RULES, _MAX_NETS, _MAX_PORTS, _MAX_SELECTOR = 1024, 256, 50, 1024
_MAX_ICMP_TYPE, _MAX_ICMP_CODE = 254, 255
_ICMP_FAMILIES = {1: 4, 58: 6}
_WITH_PORTS = (6, 17, 132, 136)

CalicoObject = CalicoNetworkPolicy | GlobalNetworkPolicy | NetworkSet | GlobalNetworkSet | Tier | Profile


def calico_problems(thing: CalicoObject) -> Iterator[str]:
    match thing:
        case CalicoNetworkPolicy() | GlobalNetworkPolicy():
            yield from _policy_problems(thing.spec)
        case NetworkSet() | GlobalNetworkSet():
            yield from _net_problems(thing.spec.nets, "spec.nets")
        case Tier():
            yield from _tier_problems(thing)
        case Profile():
            yield from _profile_problems(thing)


def _policy_problems(spec: CalicoPolicySpec) -> Iterator[str]:
    if problem := dns_subdomain_problem(spec.tier):
        yield f"spec.tier: {problem}"
    yield from duplicates([str(direction) for direction in spec.types], "spec.types")
    for word, text in (("selector", spec.selector), ("serviceAccountSelector", spec.service_account_selector)):
        yield from _selector_problems(text, f"spec.{word}")
    for index, hint in enumerate(spec.performance_hints):
        if hint != "AssumeNeededOnEveryNode":
            yield f'spec.performanceHints[{index}]: "{hint}" is no hint that Calico knows'
    if isinstance(spec, GlobalNetworkPolicySpec):
        yield from _selector_problems(spec.namespace_selector, "spec.namespaceSelector")
        yield from _host_problems(spec)
    yield from _rules_problems(spec.ingress, "spec.ingress")
    yield from _rules_problems(spec.egress, "spec.egress")


def _host_problems(spec: GlobalNetworkPolicySpec) -> Iterator[str]:
    if spec.do_not_track and spec.pre_dnat:
        yield "spec.preDNAT: cannot stand beside doNotTrack"
    if (spec.do_not_track or spec.pre_dnat) and not spec.apply_on_forward:
        yield f"spec.applyOnForward: must be true with {'doNotTrack' if spec.do_not_track else 'preDNAT'}"
    if spec.pre_dnat and (spec.egress or PolicyType.EGRESS in spec.types):
        yield "spec.egress: a preDNAT policy has none"


def _tier_problems(tier: Tier) -> Iterator[str]:
    built_in = {known.metadata.name: known for known in BUILT_IN_TIERS}.get(tier.metadata.name)
    if built_in is not None and tier.spec.default_action != built_in.spec.default_action:
        yield f"spec.defaultAction: the tier {tier.metadata.name} always ends with {built_in.spec.default_action}"
    if built_in is not None and tier.spec.order != built_in.spec.order:
        yield f"spec.order: the tier {tier.metadata.name} is always at {built_in.spec.order:.0f}"


def _profile_problems(profile: Profile) -> Iterator[str]:
    yield from _rules_problems(profile.spec.ingress, "spec.ingress")
    yield from _rules_problems(profile.spec.egress, "spec.egress")
    for word, rules in (("ingress", profile.spec.ingress), ("egress", profile.spec.egress)):
        for index, rule in enumerate(rules):
            if rule.action is Action.PASS:
                yield f"spec.{word}[{index}].action: a profile has no next tier to pass to"
    for key in profile.spec.labels_to_apply:
        if problem := label_key_problem(key):
            yield f"spec.labelsToApply: {problem}"


def _rules_problems(rules: Sequence[Rule], path: str) -> Iterator[str]:
    if len(rules) > _MAX_RULES:
        yield f"{path}: has {len(rules)} rules, at most {_MAX_RULES} are allowed"
    for index, rule in enumerate(rules):
        yield from _rule_problems(rule, f"{path}[{index}]")


def _rule_problems(rule: Rule, path: str) -> Iterator[str]:
    if rule.ip_version not in (None, 4, 6):
        yield f"{path}.ipVersion: {rule.ip_version} is neither 4 nor 6"
    if rule.http is not None:
        yield f"{path}.http: is not supported, rules end at ports"
    for word, protocol in (("protocol", rule.protocol), ("notProtocol", rule.not_protocol)):
        yield from _protocol_problems(protocol, rule.ip_version, f"{path}.{word}")
    number = _number(rule.protocol)
    for word, fields in (("icmp", rule.icmp), ("notICMP", rule.not_icmp)):
        if fields is not None:
            yield from _icmp_problems(fields, number, f"{path}.{word}")
    if rule.not_icmp is not None and rule.not_icmp.type is None:
        yield f"{path}.notICMP: needs a type, else the rule matches nothing"
    for word, end in (("source", rule.source), ("destination", rule.destination)):
        yield from _end_problems(end, number, rule.ip_version, f"{path}.{word}")


def _number(protocol: int | str | None) -> int | None:
    try:
        return None if protocol is None else protocol_number(protocol)
    except ValueError:
        return None


def _protocol_problems(protocol: int | str | None, family: int | None, path: str) -> Iterator[str]:
    if protocol is None:
        return
    try:
        number = protocol_number(protocol)
    except ValueError as error:
        yield f"{path}: {error}"
        return
    if family is not None and _ICMP_FAMILIES.get(number, family) != family:
        yield f"{path}: {protocol} is not a protocol of ipVersion {family}"


def _icmp_problems(fields: ICMPFields, protocol: int | None, path: str) -> Iterator[str]:
    if protocol not in _ICMP_FAMILIES:
        yield f"{path}: needs protocol ICMP or ICMPv6 beside it"
    if fields.code is not None and fields.type is None:
        yield f"{path}.code: needs a type"
    if fields.type is not None and not 0 <= fields.type <= _MAX_ICMP_TYPE:
        yield f"{path}.type: {fields.type} is not between 0 and {_MAX_ICMP_TYPE}"
    if fields.code is not None and not 0 <= fields.code <= _MAX_ICMP_CODE:
        yield f"{path}.code: {fields.code} is not between 0 and {_MAX_ICMP_CODE}"


def _end_problems(end: EntityRule, protocol: int | None, family: int | None, path: str) -> Iterator[str]:
    if end.services is not None:
        yield f"{path}.services: is not supported yet, select the pods behind the Service"
    yield from _selector_problems(end.selector, f"{path}.selector")
    yield from _selector_problems(end.not_selector, f"{path}.notSelector")
    yield from _selector_problems(end.namespace_selector, f"{path}.namespaceSelector", may_be_global=True)
    if end.service_accounts is not None:
        yield from _selector_problems(end.service_accounts.selector, f"{path}.serviceAccounts.selector")
        for index, name in enumerate(end.service_accounts.names):
            if problem := dns_subdomain_problem(name):
                yield f"{path}.serviceAccounts.names[{index}]: {problem}"
    for word, nets in (("nets", end.nets), ("notNets", end.not_nets)):
        if len(nets) > _MAX_NETS:
            yield f"{path}.{word}: has {len(nets)} elements, at most {_MAX_NETS} are allowed; a NetworkSet holds more"
        yield from _net_problems(nets, f"{path}.{word}", family)
    for word, ports in (("ports", end.ports), ("notPorts", end.not_ports)):
        yield from _port_problems(ports, protocol, f"{path}.{word}")


def _net_problems(nets: Sequence[CIDR], path: str, family: int | None = None) -> Iterator[str]:
    for index, net in enumerate(nets):
        if problem := network_problem(net):
            yield f"{path}[{index}]: {problem}"
        if family in (4, 6) and net.version != family:
            yield f"{path}[{index}]: {net} is not of ipVersion {family}"


def _port_problems(ports: Sequence[int | str], protocol: int | None, path: str) -> Iterator[str]:
    if ports and protocol not in _WITH_PORTS:
        yield f"{path}: needs a protocol with ports beside it: TCP, UDP, SCTP or UDPLite"
    if len(ports) > _MAX_PORTS:
        yield f"{path}: has {len(ports)} elements, at most {_MAX_PORTS} are allowed"
    for index, port in enumerate(ports):
        try:
            parse_port(port)
        except ValueError as error:
            yield f"{path}[{index}]: {error}"


def _selector_problems(text: str, path: str, *, may_be_global: bool = False) -> Iterator[str]:
    if len(text) > _MAX_SELECTOR:
        yield f"{path}: is {len(text)} characters long, at most {_MAX_SELECTOR} are allowed"
        return
    try:
        selector = parse_selector(text)
    except InvalidObject as error:
        yield f"{path}: {error.message}"
        return
    if has_global(selector) and not may_be_global:
        yield f"{path}: global() has a meaning only in a rule's namespaceSelector"
