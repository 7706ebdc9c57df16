"""podwright agent: the agent itself, in the foreground. Flags win over the environment, the environment over the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from agent.errors import Forbidden

_EXAMPLES = """\b
Examples:
  sudo podwright agent
  sudo podwright agent --config /etc/podwright/config.yaml
  sudo podwright agent --network-mode routed --pod-cidr 10.80.0.0/20 --pod-cidr fd80::/64
  sudo podwright agent --firewall docker
  sudo podwright agent --set network.mtu=1400 --log-level debug
  sudo PODWRIGHT_NETWORK__MODE=routed podwright agent
"""

_FLAGS = {
    "node_name": "nodeName",
    "state_dir": "stateDir",
    "run_dir": "runDir",
    "group": "group",
    "controllers": "controllers",
    "metrics_listen": "metricsListen",
    "network_mode": "network.mode",
    "pod_cidr": "network.podCIDRs",
    "non_masquerade_cidr": "network.nonMasqueradeCIDRs",
    "bridge": "network.bridge",
    "mtu": "network.mtu",
    "node_ip": "network.nodeIPs",
    "firewall": "network.firewall",
    "log_level": "log.level",
    "log_json": "log.json",
}
"""Each flag and what it is called in the configuration file."""


@click.command(epilog=_EXAMPLES)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file; default: /etc/podwright/config.yaml, if there.",
)
@click.option("--node-name", help="This node's name; default: the host name.")
@click.option("--state-dir", help="Where objects and volumes are kept.")
@click.option("--run-dir", help="Where the socket and the pods' namespaces are.")
@click.option("--group", help="Whose members may read.")
@click.option("--controllers/--no-controllers", default=None, help="Whether Deployments make pods here.")
@click.option("--metrics-listen", metavar="HOST:PORT", help="Prometheus metrics over TCP too; loopback only.")
@click.option("--network-mode", type=click.Choice(["bridge", "routed"]), help="How pods are connected.")
@click.option("--pod-cidr", multiple=True, metavar="CIDR", help="Addresses for pods; once for each family or range.")
@click.option("--non-masquerade-cidr", multiple=True, metavar="CIDR", help="Where pods keep their address; default: the pod CIDRs.")
@click.option("--bridge", help="The bridge's name.")
@click.option("--mtu", type=int, help="Of pod links; 0: the uplink's.")
@click.option("--node-ip", multiple=True, metavar="ADDRESS", help="This node's address; once for each family.")
@click.option(
    "--firewall", type=click.Choice(["docker", "ufw", "firewalld"]), help="Keep an accept for pods in this tool's rules (see doctor)."
)
@click.option("--log-level", type=click.Choice(["trace", "debug", "info", "warning", "error"]))
@click.option("--log-json/--log-text", default=None, help="One JSON object a line, or text.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any setting by its name in the file: network.mtu=1400.")
@click.option("--clear", is_flag=True, help="Do not run: end all pods, take down everything of ours on this node, forget all objects.")
def command(config: Path | None, settings: tuple[str, ...], clear: bool, **flags: Any) -> None:
    """Run the agent in the foreground."""
    from agent import config as configuration  # noqa: PLC0415 - the command line must start without the agent
    from agent import daemon  # noqa: PLC0415

    named = {_FLAGS[name]: list(value) if isinstance(value, tuple) else value for name, value in flags.items() if value not in (None, ())}
    if os.geteuid() != 0:
        raise Forbidden("the agent needs root: it makes namespaces, links and mounts", hint="sudo podwright agent")
    loaded = configuration.load(config, flags={**named, **_settings(settings)})
    if clear:
        daemon.clear(loaded)
    else:
        daemon.run(loaded)


def _settings(settings: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f'--set takes NAME=VALUE, not "{text}"')
        found[name] = value.split(",") if name.endswith(("CIDRs", "IPs")) else value
    return found
