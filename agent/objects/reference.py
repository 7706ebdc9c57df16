"""How one object names another: core/v1 reference shapes that several kinds share."""

from __future__ import annotations

from agent.objects.meta import Value


class LocalObjectReference(Value, frozen=True):
    """An object of the same namespace, its kind known from the field that holds it."""

    name: str = ""


class SecretReference(Value, frozen=True):
    name: str = ""
    namespace: str = ""


class ObjectReference(Value, frozen=True):
    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    field_path: str = ""


class TypedLocalObjectReference(Value, frozen=True):
    kind: str
    name: str
    api_group: str = ""


class TypedObjectReference(Value, frozen=True):
    kind: str
    name: str
    api_group: str = ""
    namespace: str = ""
