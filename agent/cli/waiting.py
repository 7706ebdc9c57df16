"""Waiting until an object is as it should be: a list first, then the watch from there, so that nothing is missed between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from agent.api.client import Client, Document, collection_path
from agent.cli.targets import Found
from agent.errors import DeadlineExceeded, Expired

Test = Callable[[Document | None], bool]
"""Whether the object is as wanted; None when it does not exist."""


def wait_until(client: Client, subject: Found, is_done: Test, what: str, deadline: float) -> None:
    """`deadline` is a time of time.monotonic(). Raises DeadlineExceeded."""
    for current in states(client, subject, deadline):
        if is_done(current):
            return
    raise DeadlineExceeded(f"timed out waiting for {subject.title} to be {what}")


def states(client: Client, subject: Found, deadline: float) -> Iterator[Document | None]:
    """The object now, and after each change until the deadline; None when it does not exist."""
    metadata, kind = subject.document["metadata"], subject.kind
    path = collection_path(kind.api_version, kind.plural, metadata.get("namespace", "") if kind.namespaced else "")
    query = {"fieldSelector": f"metadata.name={metadata['name']}"}
    remaining = 1.0
    while remaining > 0:
        listed = client.get(path, query)
        yield listed["items"][0] if listed["items"] else None
        remaining = deadline - time.monotonic()
        try:
            for event in client.watch(path, query, resource_version=listed["metadata"]["resourceVersion"], timeout_s=max(0.0, remaining)):
                yield None if event["type"] == "DELETED" else event["object"]
        except Expired:
            pass  # list again
        remaining = deadline - time.monotonic()
