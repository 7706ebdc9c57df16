"""Rates from two looks at the agent's metrics: what happened in between, per second. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Samples = Mapping[str, float]
_UNITS = ("", "k", "M", "G", "T")


@dataclass(frozen=True, slots=True)
class Rate:
    """`metric` as Prometheus names it; with a `label`, only its samples with that value of a label."""

    title: str
    metric: str
    label: str = ""
    unit: str = ""


RATES = (
    Rate("packets from pods", "podwright_pod_packets_total", "from", "/s"),
    Rate("packets to pods", "podwright_pod_packets_total", "to", "/s"),
    Rate("bytes from pods", "podwright_pod_bytes_total", "from", "B/s"),
    Rate("bytes to pods", "podwright_pod_bytes_total", "to", "B/s"),
    Rate("attached", "podwright_attach_seconds_count", unit="/s"),
    Rate("detached", "podwright_detach_seconds_count", unit="/s"),
    Rate("API requests", "podwright_api_requests_total", unit="/s"),
)


def samples(exposition: str) -> Samples:
    """Of each sample in Prometheus' text, under its name with its labels."""
    found = {}
    for line in exposition.splitlines():
        name, _, value = line.rpartition(" ")
        if name and not line.startswith("#"):
            found[name] = float(value)
    return found


def per_second(before: Samples, now: Samples, seconds: float) -> dict[str, str]:
    """As `status` shows them."""
    return {rate.title: _shown(max(0.0, _sum(now, rate) - _sum(before, rate)) / seconds, rate.unit) for rate in RATES}


def _sum(found: Samples, rate: Rate) -> float:
    of_metric = {name: value for name, value in found.items() if name.partition("{")[0] == rate.metric}
    return sum(value for name, value in of_metric.items() if not rate.label or f'"{rate.label}"' in name)


def _shown(number: float, unit: str) -> str:
    step = 0
    while number >= 1000 and step < len(_UNITS) - 1:
        number, step = number / 1000, step + 1
    digits = f"{number:.0f}" if number >= 100 or number == int(number) else f"{number:.1f}"
    return f"{digits} {_UNITS[step]}{unit}" if unit != "/s" else f"{digits}{_UNITS[step]}{unit}"
