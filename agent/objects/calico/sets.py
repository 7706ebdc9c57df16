"""Sets of networks with labels, so that rules can select what is not a pod: of one namespace, or of none."""

from __future__ import annotations

from typing import Literal

from agent.objects.calico.policy import CALICO_VERSIONS
from agent.objects.meta import CIDR, Object, Value


class NetworkSetSpec(Value, frozen=True):
    nets: tuple[CIDR, ...] = ()


class NetworkSet(Object, frozen=True):
    api_version: str = CALICO_VERSIONS[0]
    kind: Literal["NetworkSet"] = "NetworkSet"
    spec: NetworkSetSpec = NetworkSetSpec()


class GlobalNetworkSet(Object, frozen=True):
    api_version: str = CALICO_VERSIONS[0]
    kind: Literal["GlobalNetworkSet"] = "GlobalNetworkSet"
    spec: NetworkSetSpec = NetworkSetSpec()
