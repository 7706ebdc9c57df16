"""podwright rollout: follow a Deployment until all its pods are of the newest template, or replace them all."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from agent.api.client import Client, Document
from agent.cli.columns import at
from agent.cli.options import duration, with_namespace
from agent.cli.targets import Found, Kinds, Scope, find_all
from agent.cli.waiting import states
from agent.errors import DeadlineExceeded, NotFound

RESTARTED_AT = "podwright.io/restarted-at"
_STATUS_EXAMPLES = """\b
Examples:
  podwright rollout status deploy/web
  podwright rollout status deployment web --timeout=5m
"""
_RESTART_EXAMPLES = """\b
Examples:
  podwright rollout restart deploy/web
"""
_WHAT = click.argument("what", nargs=-1, required=True, metavar="deployment NAME... | deployment/NAME...")


@click.group()
def command() -> None:
    """Follow or restart a Deployment."""


@command.command(epilog=_STATUS_EXAMPLES)
@_WHAT
@click.option("--timeout", type=duration, default="10m", show_default=True, help="How long to follow.")
@click.option("--watch/--no-watch", default=True, help="Follow until it is complete (default), or say how far it is.")
@with_namespace
def status(what: tuple[str, ...], timeout: float, watch: bool, namespace: str) -> None:
    """Follow a Deployment until all its pods are of the newest template."""
    deadline = time.monotonic() + timeout
    with Client() as client:
        for one in _deployments(client, what, namespace):
            if not watch:
                print(progress(one.document) or f"{one.title} is complete")
                continue
            _follow(client, one, deadline)
            print(f"{one.title} is complete")


def _follow(client: Client, deployment: Found, deadline: float) -> None:
    said = ""
    for current in states(client, deployment, deadline):
        if current is None:
            raise NotFound(f"{deployment.title} was deleted")
        text = progress(current)
        if not text:
            return
        if text != said:
            print(text, flush=True)
        said = text
    raise DeadlineExceeded(f"timed out following {deployment.title}: {said}")


@command.command(epilog=_RESTART_EXAMPLES)
@_WHAT
@with_namespace
def restart(what: tuple[str, ...], namespace: str) -> None:
    """Replace every pod of a Deployment, step by step as its strategy says."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with Client() as client:
        for one in _deployments(client, what, namespace):
            client.patch(one.path, {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}})
            print(f"{one.title} restarted")


def _deployments(client: Client, what: tuple[str, ...], namespace: str) -> list[Found]:
    targets = Kinds.of(client).targets(what)
    for target in targets:
        if target.kind.kind != "Deployment" or not target.name:
            raise click.UsageError("name a deployment, such as deploy/web")
    return find_all(client, targets, Scope(namespace))


def progress(deployment: Document) -> str:
    """What is still to do; "" when nothing is."""
    wanted = at(deployment, "spec.replicas", 1)
    status = deployment.get("status", {})
    updated, total, available = (status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas"))
    name = deployment["metadata"]["name"]
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return f"waiting for the controller to see the newest {name}"
    if updated < wanted:
        return f"{name}: {updated} of {wanted} pods are new"
    if total > updated:
        return f"{name}: {total - updated} old pods are still to go"
    if available < updated:
        return f"{name}: {available} of {updated} new pods are available"
    return ""
