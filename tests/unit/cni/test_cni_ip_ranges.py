"""The table of ip_ranges.yaml: what each set of ranges gives, or which field of it is refused."""

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.api.cni_request import attach_request
from cni import spec

TABLE: dict[str, list[dict[str, Any]]] = yaml.safe_load(Path(__file__).with_name("ip_ranges.yaml").read_text())
ENVIRONMENT = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/c1", "CNI_IFNAME": "eth0", "CNI_PATH": "/x"}


def request(ranges: object) -> spec.CniRequest:
    config = {"cniVersion": "1.1.0", "name": "pods", "type": "podwright", "runtimeConfig": {"ipRanges": [ranges]}}
    return spec.parse(ENVIRONMENT, json.dumps(config).encode())


@pytest.mark.parametrize("row", TABLE["gives"], ids=lambda row: row["why"])
def test_what_a_set_gives(row: dict[str, Any]) -> None:
    assert attach_request(request(row["set"])).ranges == (tuple(ip_network(text) for text in row["gives"]),)


@pytest.mark.parametrize("row", TABLE["refuses"], ids=lambda row: row["why"])
def test_what_is_refused_is_named_by_its_path(row: dict[str, Any]) -> None:
    with pytest.raises(spec.InvalidConfig) as caught:
        request(row["set"])
    assert caught.value.message.startswith(f"runtimeConfig.ipRanges[0]{row['path']}: must be ")
