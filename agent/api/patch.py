"""How two documents become one: RFC 7386 merge patch, and the three-way merge behind apply. Pure.

Apply remembers the manifest it was last given in an annotation. A field of the new manifest wins; a field that the
last manifest had and the new one has not is removed; every other field stays, whoever set it. Lists are values:
the manifest's list replaces the stored one as a whole. That is simpler than Kubernetes' merge keys and never
surprises with an element that nobody wrote.
"""

from __future__ import annotations

from typing import Any

from agent.api.wire import Document

LAST_APPLIED = "podwright.io/last-applied"


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: null removes, an object goes deeper, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def three_way(last: Document, wanted: Document, live: Document) -> Document:
    """`live` with what `wanted` says, and without what only `last` said."""
    merged: Document = {}
    for name in {**live, **wanted}:
        before, now, present = last.get(name), wanted.get(name), live.get(name)
        if isinstance(present, dict) and (isinstance(now, dict) or (now is None and isinstance(before, dict))):
            inner = three_way(before if isinstance(before, dict) else {}, now or {}, present)
            if inner or name in wanted:
                merged[name] = inner
        elif name in wanted:
            merged[name] = now
        elif name not in last:
            merged[name] = present
    return merged
