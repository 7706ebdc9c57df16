"""`?watch=1`: changes of a kind as JSON lines, from a resourceVersion on.

A watcher is a cursor into the store's history, so one that does not read costs the agent nothing but its socket
buffer: it is cut off when a write waits too long, and one that fell behind gets an ERROR event with code 410 and
must list again. Without a resourceVersion the stream opens with every object as ADDED. With selectors, an object
that begins to match is ADDED and one that ceases to match is DELETED, as in Kubernetes.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from agent.api.call import JSON, Call, is_true
from agent.api.failure import to_status
from agent.api.pool import Pool
from agent.api.resources import kind_of, namespace_of, selected
from agent.api.selection import predicate
from agent.errors import Expired, InvalidObject
from agent.metrics import API_WATCHES
from agent.objects.encode import to_document
from agent.objects.kinds import KindInfo
from agent.store.base import Event, EventType, Watch

_BOOKMARK_INTERVAL_S = 10.0
_ALIVE_INTERVAL_S = 1.0
_CHUNK = 200
_NO_NAMESPACE = "\0"


class WatchStream:
    """One watcher. `write_timeout_s`: how long it may leave the socket buffer full."""

    def __init__(self, call: Call, *, write_timeout_s: float) -> None:
        self._call = call
        self._write_timeout_s = write_timeout_s
        self._info = kind_of(call)
        self._namespace = namespace_of(call, self._info)
        self._wanted = predicate(self._info.kind, call.query)
        self._has_bookmarks = is_true(call.query.get("allowWatchBookmarks", ""))
        self._duration_s = _number(call.query, "timeoutSeconds") or math.inf
        self._news = asyncio.Event()

    async def run(self, request: web.Request, pool: Pool) -> web.StreamResponse:
        opening, watch = await pool.run(self._open)
        response = web.StreamResponse(headers={"Content-Type": JSON})
        API_WATCHES.add(1)
        try:
            watch.call_on_event(partial(_set_from_thread, asyncio.get_running_loop(), self._news))
            await response.prepare(request)
            await self._write(response, opening)
            await self._follow(request, response, watch)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the watcher left
        finally:
            watch.close()
            API_WATCHES.add(-1)
        return response

    def _open(self) -> tuple[Sequence[bytes], Watch]:
        """The lines the stream begins with, and the cursor behind them. Raises Expired."""
        store, since = self._call.backend.store, _number(self._call.query, "resourceVersion")
        if not since:
            objects, version = selected(self._call, self._info)
            return [_line("ADDED", to_document(found)) for found in objects], store.watch([self._info.kind], version)
        return [], store.watch([self._info.kind], since)

    async def _follow(self, request: web.Request, response: web.StreamResponse, watch: Watch) -> None:
        loop = asyncio.get_running_loop()
        end, next_bookmark = loop.time() + self._duration_s, loop.time() + _BOOKMARK_INTERVAL_S
        while loop.time() < end and not _is_gone(request):
            self._news.clear()
            version = self._newest()
            try:
                lines = self._lines(watch)
            except Expired as error:
                await self._write(response, [_line("ERROR", to_status(error))])
                return
            if self._has_bookmarks and loop.time() >= next_bookmark:
                next_bookmark = loop.time() + _BOOKMARK_INTERVAL_S
                lines.append(_bookmark(self._info, version))
            await self._write(response, lines)
            await self._wait(min(_ALIVE_INTERVAL_S, max(0.0, end - loop.time())))

    async def _wait(self, timeout_s: float) -> None:
        """For news, or until it is time to look whether the watcher is still there."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _write(self, response: web.StreamResponse, lines: Sequence[bytes]) -> None:
        for start in range(0, len(lines), _CHUNK):
            async with asyncio.timeout(self._write_timeout_s):
                await response.write(b"".join(lines[start : start + _CHUNK]))

    def _newest(self) -> int:
        """The store's resourceVersion; read before pending(), so that a bookmark never promises too much."""
        return self._call.backend.store.list(self._info.kind, _NO_NAMESPACE)[1]

    def _lines(self, watch: Watch) -> list[bytes]:
        return [line for event in watch.pending() if (line := self._line_of(event)) is not None]

    def _line_of(self, event: Event) -> bytes | None:
        if self._namespace is not None and event.object.metadata.namespace != self._namespace:
            return None
        kind = self._seen_as(event)
        return None if kind is None else _line(kind, to_document(event.object))

    def _seen_as(self, event: Event) -> EventType | None:
        """What the event is to a watcher that only sees what it selected."""
        if self._wanted is None:
            return event.type
        did_match = event.old is not None and self._wanted(event.old)
        does_match = event.type is not EventType.DELETED and self._wanted(event.object)
        if does_match:
            return EventType.MODIFIED if did_match else EventType.ADDED
        was_there = did_match or (event.type is EventType.DELETED and self._wanted(event.object))
        return EventType.DELETED if was_there else None


def _set_from_thread(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    loop.call_soon_threadsafe(news.set)


def _line(kind: str, document: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"type": kind, "object": document}) + b"\n"


def _bookmark(info: KindInfo, version: int) -> bytes:
    return _line("BOOKMARK", {"apiVersion": info.api_versions[0], "kind": info.written, "metadata": {"resourceVersion": str(version)}})


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "") or "0"
    if not text.isdecimal():
        raise InvalidObject(f'{name} must be a whole number, not "{text}"')
    return int(text)
