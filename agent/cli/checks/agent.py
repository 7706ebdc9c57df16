"""The agent itself: does it answer, is its configuration right, may this process see everything."""

from __future__ import annotations

from collections.abc import Iterator

from agent.api.client import default_socket
from agent.cli.checks.machine import Machine
from agent.cli.checks.registry import Finding, check, fail, ok, warn

_GROUP = "agent"


@check(_GROUP, "agent")
def answers(machine: Machine) -> Iterator[Finding]:
    agent = machine.agent
    if agent.version:
        yield ok(f"agent {agent.version} answers at {default_socket()}")
    if agent.error is not None:
        yield fail(agent.error.message, agent.error.hint)


@check(_GROUP, "configuration")
def configuration(machine: Machine) -> Iterator[Finding]:
    error = machine.config_error
    if error is None:
        yield ok(f"network.mode {machine.config.network.mode}, pod CIDRs {', '.join(map(str, machine.config.network.pod_cidrs))}")
    else:
        yield fail(error.message, error.hint)
    if machine.mode != machine.config.network.mode:
        yield warn(
            f"network.mode {machine.config.network.mode} is configured, but pods are attached in mode {machine.mode}",
            "delete the pods, then restart the agent",
        )


@check(_GROUP, "rights")
def rights(machine: Machine) -> Iterator[Finding]:
    if machine.is_root:
        yield ok("running as root")
    else:
        yield warn("not running as root: some checks see less", "sudo podwright doctor")
