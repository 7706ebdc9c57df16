"""Did the caller get its answer? The last byte of a request is held back until it has, and closing without it says no.

The CNI binary sends an ADD one byte short and the byte after it has printed the result. If it is killed before, the
runtime saw an ADD that failed and the agent must take it back; nothing else tells the two ends apart, because bytes
that were accepted by a socket may never be read. HTTP allows it: a response may be sent before the request is whole.
An agent that stops while it waits leaves the ADD as it is: the result may be out, and the record is on disk.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

HEADER = "X-Receipt"
"""Announces the byte; a caller that does not send it is served as always."""


def is_promised(request: web.Request) -> bool:
    return HEADER in request.headers and bool(request.content_length)


async def read_body(request: web.Request) -> bytes:
    """All but the receipt. Raises web.HTTPRequestEntityTooLarge, asyncio.IncompleteReadError, ConnectionError."""
    size = (request.content_length or 1) - 1
    if size > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size, size)
    return await request.content.readexactly(size)


async def is_given(request: web.Request) -> bool:
    """Waits as long as the caller lives: a stopped process may still go on."""
    try:
        await request.content.readexactly(1)
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    return True
