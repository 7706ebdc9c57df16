"""Small objects to store."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from agent.objects.container import Container
from agent.objects.meta import Key, Object, ObjectMeta
from agent.objects.namespace import Namespace
from agent.objects.pod import Pod, PodSpec

ObjectT = TypeVar("ObjectT", bound=Object)


def pod(name: str = "web", namespace: str = "default", *, finalizers: tuple[str, ...] = (), image: str = "") -> Pod:
    metadata = ObjectMeta(name=name, namespace=namespace, finalizers=finalizers)
    return Pod(metadata=metadata, spec=PodSpec(containers=(Container(name="c", image=image),)))


def namespace(name: str) -> Namespace:
    return Namespace(metadata=ObjectMeta(name=name))


def pod_key(name: str = "web", namespace: str = "default") -> Key:
    return Key("Pod", namespace, name)


def labelled(thing: ObjectT, **labels: str) -> ObjectT:
    return replace(thing, metadata=replace(thing.metadata, labels=labels))


def without_finalizers(thing: ObjectT) -> ObjectT:
    return replace(thing, metadata=replace(thing.metadata, finalizers=()))
