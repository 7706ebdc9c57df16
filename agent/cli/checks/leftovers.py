"""What is left of an agent that is gone, or of pods that a running one does not know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from agent.cli.checks.machine import Machine
from agent.cli.checks.registry import Finding, check, ok, warn
from agent.kernel import foreign_rules
from agent.network.firewall import tables

_GROUP = "agent"
_START_OR_CLEAR = "start the agent, which takes them over, or remove everything: podwright agent --clear"


@check(_GROUP, "leftovers")
def leftovers(machine: Machine) -> Iterator[Finding]:
    if machine.agent.version:
        unknown = [found.name for found in machine.pod_links if found.name not in machine.agent.host_links]
        if unknown:
            yield warn(
                f"the agent does not know {len(unknown)} of the pod links: {', '.join(unknown[:3])}", "restart the agent: it removes them"
            )
        else:
            yield ok(f"the agent knows each of the {len(machine.pod_links)} pod links")
        return
    left = [*_links(machine), *_namespaces(machine), *_tables(machine)]
    if left:
        yield warn(f"no agent runs, but {', '.join(left)} are there", _START_OR_CLEAR)
    else:
        yield ok("no agent runs, and nothing is left of one")


def _links(machine: Machine) -> Iterator[str]:
    if machine.our_devices:
        yield f"{len(machine.our_devices)} links"


def _namespaces(machine: Machine) -> Iterator[str]:
    found = machine.files(str(machine.config.namespaces_dir), "*/net")
    if found:
        yield f"the namespaces of {len(found)} pods"


def _tables(machine: Machine) -> Iterator[str]:
    if not machine.is_root:
        return
    with closing(foreign_rules.open_reader()) as reader:
        found = [state for state in reader.list_tables() if state.table.name == tables.NAME]
    if found:
        yield f"{len(found)} nftables tables"
