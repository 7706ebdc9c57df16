"""An object in the store that this version cannot understand whole, of a kind that must not be half understood.

A policy with a field that is unknown here would allow more than it says if the field were left out, so it is kept as it
came, marked with the reason, and whoever acts on its kind closes what it may have meant to close. It is listed, shown
and exported like any other; applying a good manifest over it, or deleting it, is the way out.
"""

from __future__ import annotations

from agent.objects.meta import Key
from agent.objects.opaque import Opaque


class Unreadable(Opaque, frozen=True, kw_only=True):
    """`stored_as`: the kind inside the agent, `reason`: what is wrong, with the field's path. Neither is written."""

    stored_as: str
    reason: str

    @property
    def key(self) -> Key:
        return Key(self.stored_as, self.metadata.namespace, self.metadata.name)
