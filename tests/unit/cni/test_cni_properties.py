"""Whatever a caller sends, the answer is a CNI object of a known version, and a refusal attaches nothing."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.api.cni import CniService
from cni import spec
from tests.unit.cni.test_cni_service import MemoryNetwork

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KEYS = [
    "cniVersion",
    "name",
    "runtimeConfig",
    "args",
    "dns",
    "ipam",
    "prevResult",
    "cni.dev/valid-attachments",
    "cni.dev/attachments",
    "labels",
    "type",
]
INNER = ["portMappings", "hostPort", "containerPort", "ips", "mac", "ipRanges", "subnet", "cni", "labels", "bandwidth", "ingressRate"]
configs = st.dictionaries(
    st.sampled_from(KEYS), json_values | st.dictionaries(st.sampled_from(INNER), json_values, max_size=4), max_size=8
).map(lambda odd: {"cniVersion": "1.1.0", "name": "pods", **odd})
environments = st.fixed_dictionaries(
    {"CNI_COMMAND": st.sampled_from([*spec.Command]), "CNI_PATH": st.just("/opt/cni/bin")},
    optional={
        "CNI_CONTAINERID": st.just("c1") | st.text(max_size=8),
        "CNI_NETNS": st.just("/dev/null") | st.text(max_size=8),
        "CNI_IFNAME": st.just("eth0") | st.text(max_size=20),
        "CNI_ARGS": st.text("KI=;1x", max_size=12),
    },
)


def judge(raw: bytes) -> None:
    network = MemoryNetwork()
    reply = CniService(network).handle(raw)
    told: dict[str, Any] = json.loads(reply.body) if reply.body else {}
    if reply.error:
        assert told["cniVersion"] in spec.SUPPORTED
        assert told["code"] == reply.error.cni_code != 100  # 100 would be a bug of ours
        assert told["msg"]
        assert network.attached == {}


@given(environments, configs)
@settings(max_examples=400, deadline=None)
def test_odd_configurations(environment: dict[str, str], config: dict[str, object]) -> None:
    packed = "".join(f"{name}={value.replace(chr(0), '')}\0" for name, value in environment.items())
    judge(packed.encode("utf-8", "surrogatepass") + b"\0" + json.dumps(config).encode())


@given(st.binary(max_size=64))
@settings(max_examples=200, deadline=None)
def test_odd_bytes(raw: bytes) -> None:
    judge(raw)


@given(environments, st.binary(max_size=64))
@settings(max_examples=200, deadline=None)
def test_odd_stdin(environment: dict[str, str], stdin: bytes) -> None:
    packed = "".join(f"{name}={value.replace(chr(0), '')}\0" for name, value in environment.items())
    judge(packed.encode("utf-8", "surrogatepass") + b"\0" + stdin)
