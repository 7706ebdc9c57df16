"""An object of a kind that nothing acts on yet: its type and metadata are checked, everything else is kept as it came."""

from __future__ import annotations

from typing import Any

from agent.objects.meta import Object


class Opaque(Object, frozen=True):
    """`rest`: every top-level field but apiVersion, kind and metadata; encode.py writes them beside those."""

    rest: dict[str, Any] = {}
