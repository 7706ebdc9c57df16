"""Kubernetes quantities ("100m", "1Gi", "1e3"): exact, ordered, and printed as Kubernetes would.

A quantity is a whole number of nano units, so no sum or comparison ever meets a float. What is finer than a
nano unit is rounded up, away from zero, as Kubernetes does. The style of writing (binary, decimal, exponent)
is remembered for printing and takes no part in comparisons: "1Ki" equals "1024".
"""

from __future__ import annotations

import re
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache, total_ordering
from typing import Any

_NANO = 10**9
_TOO_LARGE = 2**63 * _NANO
"""In nano units: where Kubernetes' own numbers end. What is longer could be stored but not read back."""
_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}
_DECIMAL_POWER = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SYNTAX = re.compile(r"([+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40}))(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?\d{1,2}))?", re.ASCII)


class Style(StrEnum):
    DECIMAL = "decimal"
    BINARY = "binary"
    EXPONENT = "exponent"


@total_ordering
class Quantity:
    """An immutable amount. Build it with `parse`, or from nano units."""

    __slots__ = ("nano", "style")
    nano: int
    style: Style

    def __init__(self, nano: int, style: Style = Style.DECIMAL) -> None:
        object.__setattr__(self, "nano", nano)
        object.__setattr__(self, "style", style)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Quantity is immutable: cannot set {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Quantity, (self.nano, self.style)

    @classmethod
    def parse(cls, text: str | float) -> Quantity:
        """From a manifest's string or number. Raises ValueError that names the text."""
        return _parse(str(text))

    @property
    def whole(self) -> int:
        """In units, rounded up."""
        return -(-self.nano // _NANO)

    @property
    def milli(self) -> int:
        """In thousandths, rounded up; CPU limits are compared so."""
        return -(-self.nano // 10**6)

    def __str__(self) -> str:
        if self.style is Style.BINARY and self.nano % _NANO == 0 and abs(self.nano) >= 1024 * _NANO:
            return _binary_text(self.nano // _NANO)
        mantissa, power = _decimal_parts(self.nano)
        if self.style is Style.EXPONENT:
            return f"{mantissa}e{power}" if power else str(mantissa)
        return str(mantissa) + next(suffix for suffix, known in _DECIMAL_POWER.items() if known == power)

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return self.nano == other.nano if isinstance(other, Quantity) else NotImplemented

    def __lt__(self, other: Quantity) -> bool:
        return self.nano < other.nano

    def __hash__(self) -> int:
        return hash(self.nano)

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano + other.nano, self.style if self.nano else other.style)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano - other.nano, self.style if self.nano else other.style)


@lru_cache(4096)
def _parse(text: str) -> Quantity:
    """A node's pods use few different amounts: sharing them saves most of the time and memory of reading the store."""
    found = _SYNTAX.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is not a quantity: write a number with an optional suffix, such as 100m, 2, 1.5Gi or 1e3')
    number, suffix, exponent = found.groups()
    unit = Fraction(_BINARY[suffix]) if suffix in _BINARY else Fraction(10) ** int(exponent or _DECIMAL_POWER[suffix or ""])
    nano = _round_away(Fraction(number) * unit * _NANO)
    if abs(nano) >= _TOO_LARGE:
        raise ValueError(f'"{text}" is too large: amounts end below 2^63')
    return Quantity(nano, Style.BINARY if suffix in _BINARY else Style.EXPONENT if exponent else Style.DECIMAL)


def _round_away(value: Fraction) -> int:
    floor, remainder = divmod(abs(value.numerator), value.denominator)
    magnitude = floor + bool(remainder)
    return magnitude if value >= 0 else -magnitude


def _binary_text(units: int) -> str:
    for suffix, size in reversed(_BINARY.items()):
        if units % size == 0:
            return f"{units // size}{suffix}"
    return str(units)


def _decimal_parts(nano: int) -> tuple[int, int]:
    """The mantissa with the largest power of a thousand that leaves it whole, up to exa."""
    power = -9
    while nano and nano % 1000 == 0 and power < 18:
        nano, power = nano // 1000, power + 3
    return nano, power if nano else 0
