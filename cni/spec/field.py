"""A place in a JSON document that knows its path, so that each complaint names it.

null counts as absent and a key's case is forgiven, as the Go programs on the other side have it: containerd writes
`HostPort` where the conventions say `hostPort`, and the reference plugins read it.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any, Never, TypeVar

from agent.errors import CallerError
from cni.spec.errors import InvalidConfig, Undecodable

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field:
    """`error` is the type that a wrong value raises: the same shapes are code 7 in a config and code 6 in a prevResult."""

    path: str
    value: Any
    error: type[CallerError] = InvalidConfig

    def __bool__(self) -> bool:
        return self.value is not None

    def refuse(self, wanted: str) -> Never:
        shown = json.dumps(self.value)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        raise self.error(f"{self.path or 'document'}: must be {wanted}, got {shown}")

    def get(self, key: str) -> Field:
        """The member `key`; absent when this field is."""
        if self.value is not None and not isinstance(self.value, dict):
            self.refuse("an object")
        members = self.value or {}
        found = key if key in members else next((name for name in members if name.lower() == key.lower()), key)
        return Field(f"{self.path}.{found}" if self.path else found, members.get(found), self.error)

    def __iter__(self) -> Iterator[Field]:
        if self.value is not None and not isinstance(self.value, list):
            self.refuse("a list")
        for index, value in enumerate(self.value or ()):
            yield Field(f"{self.path}[{index}]", value, self.error)

    def text(self, default: str = "") -> str:
        if self.value is None:
            return default
        if not isinstance(self.value, str) or not _is_text(self.value):
            self.refuse("a string")
        return self.value

    def texts(self) -> tuple[str, ...]:
        return tuple(item.text() for item in self)

    def integer(self, low: int = 0, high: int = 2**63 - 1, default: int = 0) -> int:
        if self.value is None:
            return default
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not low <= self.value <= high:
            self.refuse(f"an integer from {low} to {high}")
        return self.value

    def optional_integer(self) -> int | None:
        return self.integer(-(2**63)) if self else None

    def address(self) -> IPAddress | None:
        return self._parsed(ipaddress.ip_address, "an IP address") if self.text() else None

    def interface(self) -> IPInterface:
        """An address with or without a prefix length."""
        return self._parsed(ipaddress.ip_interface, "an IP address, with or without a prefix length")

    def network(self, *, strict: bool = True) -> IPNetwork:
        wanted = "an IP network without host bits" if strict else "an IP network"
        return self._parsed(lambda text: ipaddress.ip_network(text, strict=strict), wanted)

    def _parsed(self, parse: Callable[[str], T], wanted: str) -> T:
        text = self.text()
        try:
            if "%" in text:
                self.refuse(f"{wanted}, without a zone")
            return parse(text)
        except ValueError:
            self.refuse(wanted)


def _is_text(value: str) -> bool:
    r"""JSON can write half a character (\ud800), which nothing can be done with."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {json.dumps(repeated)} appears twice in one object")
    return found


def document(stdin: bytes, *, is_lenient: bool = False) -> Field:
    """Decode a JSON object. Raises Undecodable for anything else, however deep, long or odd.

    Of a key that appears twice programs take the first or the last, so it is refused; `is_lenient` takes the last.
    """
    try:
        value = json.loads(
            stdin.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=None if is_lenient else _refuse_repeated
        )
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"cannot decode the network configuration on stdin: {error}") from None
    if not isinstance(value, dict):
        raise Undecodable("cannot decode the network configuration on stdin: it must be a JSON object")
    return Field("", value)
