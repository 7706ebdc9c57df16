"""Tests of tests/kernel on Debian's own kernel, 6.1: no DESTROY in nftables, no owned tables, cgroup version 2 alone.

Emulated, they take 5 to 20 times as long as here, so a part of them stands for all; `--long` runs the rest.
"""

from __future__ import annotations

import pytest
from disposable.machine import Machine

pytestmark = pytest.mark.vm

CORE = ("cgroup", "netns", "mount", "nft_session", "nft_contract", "antispoof", "unknown_pod", "traffic", "remote_nodes")
LONG = ("pods", "families", "host_ports", "icmp", "redirects", "sctp", "tables_repaired", "first_packet", "follow_mtu", "tc", "doctor")


@pytest.mark.parametrize("name", [*CORE, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)])
def test_of_the_kernel(ready: Machine, name: str) -> None:
    ready.run("modprobe -a br_netfilter sctp nf_conntrack")
    pytest_line = f".venv/bin/python -B -m pytest -q -p no:cacheprovider tests/kernel/test_{name}.py"
    result = ready.run(f"PODWRIGHT_TEST_PATIENCE=6 scripts/box -- {pytest_line}", check=False, timeout_s=1800)
    print(f"{ready.out('uname -r')}  {name}: {result.stdout.strip().splitlines()[-1]}")
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-1000:]
