"""The kubernetes.io bandwidth annotations of a pod, in bit/s. Ingress is towards the pod."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.errors import InvalidObject
from agent.objects.attachment import Bandwidth
from agent.objects.quantity import Quantity

INGRESS = "kubernetes.io/ingress-bandwidth"
EGRESS = "kubernetes.io/egress-bandwidth"
_LOWEST, _HIGHEST = 1_000, 10**15


def bandwidth_of(annotations: Mapping[str, str]) -> Bandwidth:
    """0 is no limit. Bursts are left to who shapes. Raises InvalidObject."""
    wrong = tuple(bandwidth_problems(annotations, "metadata"))
    if wrong:
        raise InvalidObject(wrong[0], problems=wrong)
    ingress, egress = (Quantity.parse(annotations[key]).whole if key in annotations else 0 for key in (INGRESS, EGRESS))
    return Bandwidth(ingress_rate=ingress, egress_rate=egress)


def bandwidth_problems(annotations: Mapping[str, str], path: str) -> Iterator[str]:
    for key in (INGRESS, EGRESS):
        text = annotations.get(key)
        if text is None:
            continue
        try:
            rate = Quantity.parse(text).whole
        except ValueError as error:
            yield f"{path}.annotations[{key}]: {error}"
            continue
        if not _LOWEST <= rate <= _HIGHEST:
            yield f"{path}.annotations[{key}]: {text} bit/s is out of range, write 1k to 1P"
