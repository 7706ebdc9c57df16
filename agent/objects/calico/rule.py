"""One rule of a Calico policy or profile, and the words in it: actions, protocols, ports.

Everything that is set must match, the negated fields must not; within a list one is enough. Ports and protocols keep
their text as written; `protocol_number` and `parse_port` say what it means and raise ValueError where it is nothing.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from agent.objects.meta import CIDR, Value

PROTOCOL_NUMBERS = {"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}
_FOLDED = {name.lower(): number for name, number in PROTOCOL_NUMBERS.items()}
_RANGE = re.compile(r"(\d{1,5}):(\d{1,5})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
_MAX_PORT = 65535


class Action(StrEnum):
    ALLOW = "Allow"
    DENY = "Deny"
    PASS = "Pass"  # noqa: S105
    LOG = "Log"


class PortRange(NamedTuple):
    first: int
    last: int


class ICMPFields(Value, frozen=True):
    type: int | None = None
    code: int | None = None


class HTTPPath(Value, frozen=True):
    exact: str = ""
    prefix: str = ""


class HTTPMatch(Value, frozen=True):
    methods: tuple[str, ...] = ()
    paths: tuple[HTTPPath, ...] = ()


class ServiceMatch(Value, frozen=True):
    name: str = ""
    namespace: str = ""


class ServiceAccountMatch(Value, frozen=True):
    """Both set: both must match."""

    names: tuple[str, ...] = ()
    selector: str = ""


class EntityRule(Value, frozen=True):
    """One end of a connection. Selectors are texts of calico_selector.py; "" is not set."""

    nets: tuple[CIDR, ...] = ()
    not_nets: tuple[CIDR, ...] = ()
    selector: str = ""
    not_selector: str = ""
    namespace_selector: str = ""
    service_accounts: ServiceAccountMatch | None = None
    services: ServiceMatch | None = None
    ports: tuple[int | str, ...] = ()
    not_ports: tuple[int | str, ...] = ()


class RuleMetadata(Value, frozen=True):
    annotations: dict[str, str] = {}


class Rule(Value, frozen=True, kw_only=True):
    action: Action
    ip_version: int | None = None
    protocol: int | str | None = None
    not_protocol: int | str | None = None
    icmp: ICMPFields | None = None
    not_icmp: ICMPFields | None = None
    source: EntityRule = EntityRule()
    destination: EntityRule = EntityRule()
    http: HTTPMatch | None = None
    metadata: RuleMetadata | None = None


def protocol_number(protocol: int | str) -> int:
    """1 to 255. Names in any case, and numbers in quotes, as Calico takes them."""
    number = protocol if isinstance(protocol, int) else _FOLDED.get(protocol.lower())
    if number is None and isinstance(protocol, str) and protocol.isascii() and protocol.isdecimal():
        number = int(protocol)
    if number is None or not 1 <= number <= 255:
        raise ValueError(f'"{protocol}" is not a protocol: use {", ".join(PROTOCOL_NUMBERS)} or a number from 1 to 255')
    return number


def parse_port(port: int | str) -> PortRange | str:
    """80, "80", "8000:8999"; any other word is a port's name."""
    if isinstance(port, int) or (port.isascii() and port.isdecimal()):
        first = last = int(port)
    elif found := _RANGE.fullmatch(port):
        first, last = int(found[1]), int(found[2])
    elif _NAME.fullmatch(port):
        return port
    else:
        raise ValueError(f'"{port}" is not a port: use a number, a range such as "8000:8999", or a port\'s name')
    if not 1 <= first <= last <= _MAX_PORT:
        raise ValueError(f'"{port}" is not a port or a range of ports from 1 to {_MAX_PORT}, the smaller first')
    return PortRange(first, last)
