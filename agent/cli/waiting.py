"""Waiting until an object is as it should be: a list or get first, then the watch, so that nothing is missed between."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.api.client import Client, Document, collection_path
from agent.cli.targets import Found
from agent.errors import DeadlineExceeded, Expired

Test = Callable[[Document | None], bool]
"""Whether the object is as wanted; None when it does not exist."""


def wait_until(
    client: Client, subject: Found, is_done: Test, *, what: str, deadline: float, also: Callable[[Document], None] = lambda _: None
) -> None:
    """`also` sees every state on the way. `deadline` is a time of time.monotonic(). Raises DeadlineExceeded."""
    metadata, kind = subject.document["metadata"], subject.kind
    path = collection_path(kind.api_version, kind.plural, metadata.get("namespace", "") if kind.namespaced else "")
    query = {"fieldSelector": f"metadata.name={metadata['name']}"}
    while time.monotonic() < deadline:
        listed = client.get(path, query)
        current = listed["items"][0] if listed["items"] else None
        if current is not None:
            also(current)
        if is_done(current):
            return
        try:
            remaining = max(0.0, deadline - time.monotonic())
            for event in client.watch(path, query, resource_version=listed["metadata"]["resourceVersion"], timeout_s=remaining):
                current = None if event["type"] == "DELETED" else event["object"]
                if current is not None:
                    also(current)
                if is_done(current):
                    return
        except Expired:
            continue
    raise DeadlineExceeded(f"timed out waiting for {subject.title} to be {what}")
