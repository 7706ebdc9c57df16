"""Machines for tests, and agents on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from disposable.cache import Unable
from disposable.machine import Machine, booted

# the agent's own client would cost a second's import
ASK_READY = (
    "python3 -c \"import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('/run/podwright/agent.sock')\n"
    "s.send(b'GET /readyz HTTP/1.0\\r\\n\\r\\n')\nassert b' 200 ' in s.recv(99)\""
)


def one(*, fresh: bool) -> Iterator[Machine]:
    for found in some(1, fresh=fresh):
        yield found[0]


def two() -> Iterator[list[Machine]]:
    yield from some(2, fresh=False)


def some(count: int, *, fresh: bool) -> Iterator[list[Machine]]:
    try:
        with booted(count, fresh=fresh) as found:
            yield found
    except Unable as error:
        pytest.skip(str(error))


def wait_ready(machine: Machine) -> None:
    machine.run(f"for i in $(seq 400); do {ASK_READY} 2>/dev/null && exit; sleep 0.2; done; exit 1", timeout_s=180)


def start_agent(machine: Machine, *, node_ips: str, cidrs: tuple[str, ...]) -> None:
    """On a `ready` machine, as a unit of the moment."""
    listed = ", ".join(f"'{cidr}'" for cidr in cidrs)
    config = f"network: {{podCIDRs: [{listed}], nodeIPs: {node_ips}}}"
    machine.run(f'mkdir -p /etc/podwright; echo "{config}" >/etc/podwright/config.yaml')
    machine.run("systemd-run --quiet --collect --unit podwright --property KillMode=process /usr/local/bin/podwright agent")
    wait_ready(machine)
