"""Types of the API that are not Kubernetes objects: small requests and answers, and the envelopes around objects.

The server encodes and decodes with them and openapi.json is generated from them. The client is free of them: it
hands out plain documents, so that the command line starts without msgspec.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from agent.objects.meta import wire_name

Document = dict[str, Any]


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """An answer: every field is written, also an empty one."""


class Request(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, forbid_unknown_fields=True):
    """A body a caller sends: a misspelt field is an error."""


class ExecRequest(Request, frozen=True):
    """`container` "": the pod's first. `environment` is added to the container's. `detach`: the caller will not wait."""

    command: tuple[str, ...]
    container: str = ""
    stdin: bool = False
    tty: bool = False
    environment: dict[str, str] = {}
    detach: bool = False


class ExecAnswer(Wire, frozen=True):
    """`plan` is what agent.sandbox.enter reads; `warnings`: what of the pod's fields cannot be honoured."""

    plan: Document
    warnings: tuple[str, ...] = ()


class Preconditions(Request, frozen=True):
    uid: str = ""
    resource_version: str = ""


class DeleteOptions(Request, frozen=True):
    """metav1.DeleteOptions; fields that steer garbage collection elsewhere are accepted and mean nothing here."""

    api_version: str = "v1"
    kind: str = "DeleteOptions"
    grace_period_seconds: int | None = None
    preconditions: Preconditions = Preconditions()
    propagation_policy: str | None = None
    orphan_dependents: bool | None = None
    dry_run: tuple[str, ...] = ()


class ScaleSpec(Request, frozen=True):
    replicas: int = 0


class Scale(Request, frozen=True, kw_only=True):
    """autoscaling/v1 Scale."""

    api_version: str = "autoscaling/v1"
    kind: str = "Scale"
    metadata: Document = {}
    spec: ScaleSpec
    status: Document = {}


class StatusDetails(Wire, frozen=True, omit_defaults=True):
    problems: tuple[str, ...] = ()
    hint: str = ""


class Status(Wire, frozen=True):
    """metav1.Status, the body of every failure. `details.problems` has one line per wrong field."""

    api_version: Literal["v1"]
    kind: Literal["Status"]
    metadata: Document
    status: Literal["Failure"]
    message: str
    reason: str
    code: int
    details: StatusDetails


class WatchEvent(Wire, frozen=True):
    """One line of a watch. ERROR carries a Status, BOOKMARK only kind and resourceVersion."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: Document


class ApplyItem(Wire, frozen=True):
    """What became of one document. `error` is a Status when `result` is failed."""

    kind: str
    api_version: str
    namespace: str
    name: str
    result: Literal["created", "configured", "unchanged", "deleted", "absent", "failed"]
    warnings: tuple[str, ...] = ()
    error: Status | None = None


class ApplyResult(Wire, frozen=True, kw_only=True):
    kind: Literal["ApplyResult"] = "ApplyResult"
    items: tuple[ApplyItem, ...]


class KindEntry(Wire, frozen=True):
    """`written`: the kind in manifests, which two groups may share; `kind` is no other's."""

    kind: str
    written: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    api_version: str
    namespaced: bool


class KindList(Wire, frozen=True):
    items: tuple[KindEntry, ...]


class Version(Wire, frozen=True):
    version: str
    python: str
    kernel: str


class NodeUsage(Wire, frozen=True):
    name: str
    cpu_millicores: int
    cpu_percent: float
    memory_bytes: int
    memory_percent: float


class NodeUsageList(Wire, frozen=True):
    items: tuple[NodeUsage, ...]


class PodUsage(Wire, frozen=True):
    namespace: str
    name: str
    cpu_millicores: int
    memory_bytes: int


class PodUsageList(Wire, frozen=True):
    items: tuple[PodUsage, ...]


class PolicyPlace(Wire, frozen=True):
    """One end of a connection: `pod` is NAMESPACE/NAME, "" when it is none."""

    address: str
    pod: str
    node: bool


class PolicySide(Wire, frozen=True):
    """What policy says at one end. `rule` counts from 0; `here`: this node enforces it. `sentence`, `cure`: for people."""

    pod: str
    allowed: bool
    cause: str
    tier: str
    policies: tuple[str, ...]
    rule: int | None
    logged: tuple[str, ...]
    here: bool
    sentence: str
    cure: str


class PolicyVerdict(Wire, frozen=True):
    """`egress` and `ingress` None: that end is not judged."""

    source: PolicyPlace
    destination: PolicyPlace
    protocol: str
    port: int
    allowed: bool
    egress: PolicySide | None
    ingress: PolicySide | None


class PolicyVerdictList(Wire, frozen=True):
    items: tuple[PolicyVerdict, ...]


class PolicyCell(Wire, frozen=True):
    """`asked`: ports such as tcp/80; `allowed`: which of them."""

    source: str
    destination: str
    asked: tuple[str, ...]
    allowed: tuple[str, ...]


class PolicyMatrix(Wire, frozen=True):
    items: tuple[PolicyCell, ...]


class PolicyChange(Wire, frozen=True):
    source: str
    destination: str
    port: str
    is_opened: bool


class PolicyChangeList(Wire, frozen=True):
    items: tuple[PolicyChange, ...]


class PolicyPods(Wire, frozen=True):
    """The pods a policy applies to. `reason`: why it denies in place of what it says, "" when it is in order."""

    ingress: tuple[str, ...]
    egress: tuple[str, ...]
    reason: str
