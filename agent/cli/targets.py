"""Which objects a command line means: `pods`, `po,deploy`, `pod web-1 web-2`, `pod/web-1 deploy/web`.

The words for kinds come from the agent (GET /kinds), so the command knows every kind that its agent knows.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import click

from agent.api.client import Client, Document, collection_path, object_path
from agent.errors import NotFound

DEFAULT_NAMESPACE = "default"
_ALL = ("Pod", "Service", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet", "Job", "CronJob")


@dataclass(frozen=True, slots=True)
class Kind:
    """`written`: the kind in manifests, which two groups may share; `kind` is no other's."""

    kind: str
    written: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    api_version: str
    namespaced: bool

    @property
    def words(self) -> tuple[str, ...]:
        """What names it without its group."""
        names = (self.plural, self.singular) if self.kind == self.written else (self.kind.lower(),)
        return (*names, *self.short_names)

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def prefix(self) -> str:
        """As `-o name` writes it: pod, deployment.apps."""
        return f"{self.singular}.{self.group}" if self.group else self.singular


@dataclass(frozen=True, slots=True)
class Scope:
    """`namespace` "" is all of them."""

    namespace: str = DEFAULT_NAMESPACE
    selector: str = ""
    field_selector: str = ""

    def collection(self, kind: Kind) -> str:
        return collection_path(kind.api_version, kind.plural, self.namespace if kind.namespaced else "")

    def object(self, kind: Kind, name: str) -> str:
        if kind.namespaced and not self.namespace:
            raise click.UsageError("a name cannot be given together with --all-namespaces")
        return object_path(kind.api_version, kind.plural, self.namespace if kind.namespaced else "", name)

    @property
    def query(self) -> dict[str, str]:
        return {"labelSelector": self.selector, "fieldSelector": self.field_selector}


@dataclass(frozen=True, slots=True)
class Target:
    """`name` "" is every object of the kind in scope."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind.prefix}/{self.name}" if self.name else self.kind.plural


class Kinds:
    """Every kind the agent knows, by any of its words."""

    def __init__(self, entries: Sequence[Document]) -> None:
        self._kinds = [
            Kind(
                kind=entry["kind"],
                written=entry["written"],
                plural=entry["plural"],
                singular=entry["singular"],
                short_names=tuple(entry["shortNames"]),
                api_version=entry["apiVersion"],
                namespaced=entry["namespaced"],
            )
            for entry in entries
        ]
        self._by_word = {word: kind for kind in self._kinds for word in kind.words}
        self._by_kind = {(kind.written, kind.group): kind for kind in self._kinds}

    @classmethod
    def of(cls, client: Client) -> Kinds:
        return cls(client.get("/kinds")["items"])

    def named(self, word: str) -> Kind:
        """The kind that a person's word means; a group (deployments.apps, networkpolicies.p) is needed only where two have it."""
        plain, _, group = word.lower().partition(".")
        for kind in self._kinds if group else ():
            if plain in (*kind.words, kind.plural, kind.singular) and kind.group.startswith(group):
                return kind
        if plain in self._by_word:
            return self._by_word[plain]
        near = difflib.get_close_matches(plain, list(self._by_word), n=1)
        raise click.UsageError(f'unknown kind "{word}"' + (f', did you mean "{near[0]}"?' if near else ""))

    def _named(self, word: str) -> list[Kind]:
        """`all` means what runs, as in kubectl."""
        if word.lower() == "all":
            return [kind for name in _ALL for kind in self._kinds if kind.written == name]
        return [self.named(word)]

    def of_document(self, document: Document) -> Kind:
        group = document["apiVersion"].rpartition("/")[0]
        found = self._by_kind.get((document["kind"], group))
        return found or next(kind for kind in self._kinds if kind.written == document["kind"] and group.endswith(kind.group))

    def targets(self, words: Sequence[str]) -> list[Target]:
        """What KIND[,KIND] [NAME…] or KIND/NAME… names."""
        if not words:
            raise click.UsageError("name a kind, such as pods, or KIND/NAME")
        if any("/" in word for word in words):
            return [self._slashed(word) for word in words]
        kinds = [kind for word in words[0].split(",") if word for kind in self._named(word)]
        return [Target(kind, name) for kind in kinds for name in words[1:] or ("",)]

    def _slashed(self, word: str) -> Target:
        kind, slash, name = word.partition("/")
        if not slash or not name:
            raise click.UsageError(f'"{word}" is not KIND/NAME, as the other arguments are')
        return Target(self.named(kind), name)


@dataclass(frozen=True, slots=True)
class Found:
    """One object, with its kind."""

    kind: Kind
    document: Document

    @property
    def title(self) -> str:
        return f"{self.kind.prefix}/{self.document['metadata']['name']}"

    @property
    def path(self) -> str:
        metadata = self.document["metadata"]
        namespace = metadata.get("namespace", "") if self.kind.namespaced else ""
        return object_path(self.kind.api_version, self.kind.plural, namespace, metadata["name"])


def find(client: Client, targets: Sequence[Target], scope: Scope) -> tuple[list[Found], list[NotFound]]:
    """The objects that the targets name, and one error for each name that does not exist."""
    found: list[Found] = []
    missing: list[NotFound] = []
    for target in targets:
        try:
            found += [Found(target.kind, document) for document in _documents(client, target, scope)]
        except NotFound as error:
            missing.append(error)
    return found, missing


def find_all(client: Client, targets: Sequence[Target], scope: Scope) -> list[Found]:
    """The objects that the targets name. Raises NotFound for the first name that does not exist."""
    found, missing = find(client, targets, scope)
    if missing:
        raise missing[0]
    return found


def _documents(client: Client, target: Target, scope: Scope) -> list[Document]:
    if target.name:
        return [client.get(scope.object(target.kind, target.name))]
    items: list[Document] = client.get(scope.collection(target.kind), scope.query)["items"]
    return items
