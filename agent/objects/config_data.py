"""ConfigMap and Secret (core/v1): named pieces of data that pods read as files and variables.

A Secret's values are base64 on the wire and in the store; `values` decodes them. `repr` of a Secret shows no value, so
that none gets into a log by way of an error or an assertion.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec.structs import replace

from agent.objects.meta import Object

MAX_BYTES = 1 << 20
"""Of all values together, as in Kubernetes."""
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}", re.ASCII)


class ConfigMap(Object, frozen=True):
    api_version: str = "v1"
    kind: Literal["ConfigMap"] = "ConfigMap"
    data: dict[str, str] = {}
    binary_data: dict[str, str] = {}
    immutable: bool | None = None

    @property
    def values(self) -> Mapping[str, bytes]:
        return {key: text.encode() for key, text in self.data.items()} | {key: b64decode(text) for key, text in self.binary_data.items()}


class Secret(Object, frozen=True):
    """`string_data` is for writers only: admission moves it into `data`."""

    api_version: str = "v1"
    kind: Literal["Secret"] = "Secret"
    type: str = "Opaque"
    data: dict[str, str] = {}
    string_data: dict[str, str] = {}
    immutable: bool | None = None

    @property
    def values(self) -> Mapping[str, bytes]:
        return {key: b64decode(text) for key, text in self.data.items()}

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name}, {len(self.data)} values not shown)"


def with_string_data(secret: Secret) -> Secret:
    """What was written as plain text joins the rest, and wins over it."""
    plain = {key: b64encode(text.encode()).decode() for key, text in secret.string_data.items()}
    return replace(secret, data={**secret.data, **plain}, string_data={})


def problems(thing: ConfigMap | Secret) -> Iterator[str]:
    """What is wrong with the keys and values; values are never quoted."""
    plain, coded = (thing.data, thing.binary_data) if isinstance(thing, ConfigMap) else (thing.string_data, thing.data)
    plain_field, coded_field = ("data", "binaryData") if isinstance(thing, ConfigMap) else ("stringData", "data")
    for field, keys in ((plain_field, plain), (coded_field, coded)):
        for key in keys:
            if not _KEY.fullmatch(key) or key.startswith(".."):
                yield f'{field}: key "{key}" is not a file name: letters, digits, "-", "_" and ".", not starting with ".."'
    if isinstance(thing, ConfigMap):
        for key in plain.keys() & coded.keys():
            yield f'data: key "{key}" is also in binaryData'
    size = sum(len(text.encode()) for text in plain.values())
    for key, text in coded.items():
        try:
            size += len(b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            yield f"{coded_field}[{key}]: is not base64"
    if size > MAX_BYTES:
        yield f"{coded_field}: the values are together longer than {MAX_BYTES} bytes"


def changes(new: ConfigMap | Secret, old: ConfigMap | Secret) -> Iterator[str]:
    """Fields that must not differ: any of an immutable object, and a Secret's type."""
    if isinstance(new, Secret) and isinstance(old, Secret) and new.type != old.type:
        yield "type: cannot be changed"
    if not old.immutable:
        return
    if not new.immutable:
        yield "immutable: cannot be taken back"
    if new.values != old.values:
        yield "data: cannot be changed, it is immutable"
