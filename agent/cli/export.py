"""podwright export: objects as manifests for another node.

What belongs to this agent's store is left out (uid, resourceVersion, times, finalizers); a pod's node and addresses
stay: applied elsewhere it is a remote endpoint with the address that it has here.
"""

from __future__ import annotations

import json

import click

from agent.api.client import Client, Document
from agent.cli.options import with_all_namespaces, with_namespace, with_selector
from agent.cli.output import to_yaml
from agent.cli.targets import DEFAULT_NAMESPACE, Kinds, Scope, find_all

_EXAMPLES = """\b
Examples:
  podwright export pods -A > pods.yaml
  podwright export pods | ssh other-node podwright apply -f -
  podwright export deploy/web -o json
"""
_KEPT = ("name", "namespace", "labels", "annotations")
_LAST_APPLIED = "podwright.io/last-applied"


@click.command(epilog=_EXAMPLES)
@click.argument("what", nargs=-1, required=True, metavar="KIND[,KIND] [NAME]... | KIND/NAME...")
@with_namespace
@with_all_namespaces
@with_selector
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="The form.")
def command(what: tuple[str, ...], namespace: str, all_namespaces: bool, selector: str, output: str) -> None:
    """Print objects as manifests that can be applied elsewhere."""
    with Client() as client:
        targets = Kinds.of(client).targets(what)
        found = find_all(client, targets, Scope("" if all_namespaces else namespace, selector))
    documents = [one.document for one in found]
    items = [*needed_namespaces(documents), *(exported(document) for document in documents)]
    manifest = {"apiVersion": "v1", "kind": "List", "items": items}
    print(json.dumps(manifest, indent=2) if output == "json" else to_yaml(manifest), end="")


def needed_namespaces(documents: list[Document]) -> list[Document]:
    """What is exported goes into namespaces that must be there first; every node has the default one."""
    there = {DEFAULT_NAMESPACE} | {document["metadata"]["name"] for document in documents if document["kind"] == "Namespace"}
    wanted = dict.fromkeys(document["metadata"].get("namespace") or DEFAULT_NAMESPACE for document in documents)
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in wanted if name not in there]


def exported(document: Document) -> Document:
    metadata = {name: value for name, value in document["metadata"].items() if name in _KEPT}
    annotations = {name: value for name, value in metadata.pop("annotations", {}).items() if name != _LAST_APPLIED}
    if annotations:
        metadata["annotations"] = annotations
    return {**document, "metadata": metadata}
