"""podwright scale: the number of replicas."""

from __future__ import annotations

import click

from agent.api.client import Client
from agent.cli.options import with_namespace, with_selector
from agent.cli.targets import Kinds, Scope, find_all
from agent.errors import Conflict

_EXAMPLES = """\b
Examples:
  podwright scale deploy/web --replicas=3
  podwright scale deployment web api --replicas=0 -n shop
  podwright scale deploy/web --current-replicas=2 --replicas=3
"""


@click.command(epilog=_EXAMPLES)
@click.argument("what", nargs=-1, required=True, metavar="KIND NAME... | KIND/NAME...")
@click.option("--replicas", type=click.IntRange(min=0), required=True, help="How many pods are wanted.")
@click.option("--current-replicas", type=click.IntRange(min=0), help="Only if so many are wanted now.")
@with_namespace
@with_selector
def command(what: tuple[str, ...], replicas: int, current_replicas: int | None, namespace: str, selector: str) -> None:
    """Set the number of replicas."""
    with Client() as client:
        targets = Kinds.of(client).targets(what)
        if any(not target.name for target in targets) and not selector:
            raise click.UsageError("name what to scale, or give -l SELECTOR")
        for one in find_all(client, targets, Scope(namespace, selector)):
            scale = client.get(f"{one.path}/scale")
            wanted_now = scale["spec"]["replicas"]
            if current_replicas not in (None, wanted_now):
                raise Conflict(f"cannot scale {one.title}: {wanted_now} replicas are wanted now, not {current_replicas}")
            version = {"metadata": {"resourceVersion": scale["metadata"]["resourceVersion"]}} if current_replicas is not None else {}
            client.patch(f"{one.path}/scale", {"spec": {"replicas": replicas}, **version})
            print(f"{one.title} scaled from {wanted_now} to {replicas}")
