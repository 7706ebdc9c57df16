"""Pods that a container runtime made, as rows among the others: they have an attachment and no Pod object.

A Pod object of the same namespace and name is the pod, with its own labels; then there is no second row.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.api.client import Client, Document
from agent.cli.columns import at
from agent.cli.targets import Found, Scope, Target

_ATTACHMENTS = "/apis/podwright.io/v1/attachments"


def rows(client: Client, targets: Sequence[Target], scope: Scope) -> list[Found]:
    """Those that targets and scope name. A field selector speaks of Pod objects only."""
    wanted = [target for target in targets if target.kind.kind == "Pod"]
    if not wanted or scope.field_selector:
        return []
    attachments = client.get(_ATTACHMENTS, {"labelSelector": scope.selector})["items"]
    pods = client.get(scope.collection(wanted[0].kind))["items"] if attachments else []
    known = {(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods}
    found = [Found(wanted[0].kind, document) for document in map(as_pod, attachments)]
    names = {target.name for target in wanted}
    return [one for one in found if _place(one) not in known and _is_in(one, scope, names)]


def without(targets: Sequence[Target], found: Sequence[Found]) -> list[Target]:
    """The targets that are still to be looked for."""
    names = {_place(one)[1] for one in found}
    return [target for target in targets if target.kind.kind != "Pod" or target.name not in names]


def as_pod(attachment: Document) -> Document:
    """An attachment in a Pod's shape. Where the runtime named no pod, its container is all there is to call it by."""
    metadata, pod = attachment["metadata"], attachment.get("pod", {})
    return {
        "kind": "Pod",
        "metadata": {
            "name": pod.get("name") or attachment["containerID"],
            "namespace": pod.get("namespace", ""),
            "labels": metadata.get("labels", {}),
            "creationTimestamp": metadata.get("creationTimestamp"),
        },
        "status": {"phase": f"CNI:{attachment['network']}", "podIPs": [{"ip": address} for address in at(attachment, "addresses", ())]},
    }


def _place(one: Found) -> tuple[str, str]:
    return one.document["metadata"]["namespace"], one.document["metadata"]["name"]


def _is_in(one: Found, scope: Scope, names: set[str]) -> bool:
    namespace, name = _place(one)
    return scope.namespace in ("", namespace) and ("" in names or name in names)
