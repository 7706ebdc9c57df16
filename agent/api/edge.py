"""Where HTTP ends: a request becomes a Call, an Answer or an error becomes a response. Nothing else knows aiohttp.

The way of a request: the peer's rights are checked before a byte of the body is read; the body comes in under a
deadline and a size limit; the handler runs on a pool; the answer goes out under a deadline. Every failure, the HTTP
library's own included, leaves as a Kubernetes Status.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from loguru import logger

from agent.api import receipt
from agent.api.backend import Backend
from agent.api.call import JSON, Answer, Call, is_true
from agent.api.connections import Connections
from agent.api.failure import to_status
from agent.api.peers import Access, Gate
from agent.api.pool import Pool
from agent.api.routes import ROUTES, Route
from agent.api.watch import WatchStream
from agent.errors import CallerError, DeadlineExceeded, InternalError, NotFound, PodwrightError, Unavailable
from agent.metrics import API_REQUESTS, API_SECONDS
from agent.objects.meta import encode_hook

_WARNINGS_SHOWN = 50
_CLOSING_CODES = frozenset({403, 408, 413})
"""After these the rest of the body is of no interest: the connection ends."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`silence_s`: a connection without a complete request header. `body_s`, `write_s`: one body in, one answer out."""

    silence_s: float = 60.0
    body_s: float = 10.0
    write_s: float = 10.0
    body_bytes: int = 8 << 20
    stop_s: float = 2.0


class MethodNotAllowed(CallerError):
    http_status, reason = 405, "MethodNotAllowed"


class TooLarge(CallerError):
    http_status, reason = 413, "RequestEntityTooLarge"


class TooSlow(DeadlineExceeded):
    http_status, reason = 408, "RequestTimeout"


class Edge:
    def __init__(self, backend: Backend, gate: Gate, connections: Connections, limits: Limits) -> None:
        self._backend = backend
        self._gate = gate
        self._connections = connections
        self._limits = limits
        self._pool = Pool("api", threads=8, waiting=256)
        self._cni_pool = Pool("cni", threads=16, waiting=512)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=self._limits.body_bytes, middlewares=[self._middleware()])
        for route in ROUTES:
            app.router.add_route(route.method, route.path, self._responder(route))
        return app

    def close(self) -> None:
        self._pool.close()
        self._cni_pool.close()

    def _middleware(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guarded(request, handler)

        return guard

    async def _guarded(self, request: web.Request, respond: Handler) -> web.StreamResponse:
        """Around every request, also one that no route takes."""
        connection = self._connections.of(request.protocol)
        connection.silent_since = None
        start = time.perf_counter()
        try:
            response = await self._respond_or_fail(request, respond)
            await self._send(request, response)
            if connection.undo and receipt.is_promised(request) and not await receipt.is_given(request):
                await asyncio.to_thread(connection.undo)
        finally:
            connection.undo = None
            connection.silent_since = asyncio.get_running_loop().time()
        resource = request.match_info.route.resource
        API_REQUESTS.inc(request.method, resource.canonical if resource else "none", str(response.status))
        if not isinstance(response, web.Response):
            return response
        API_SECONDS.observe(time.perf_counter() - start, request.method)
        return response

    async def _respond_or_fail(self, request: web.Request, respond: Handler) -> web.StreamResponse:
        try:
            self._gate.check(self._connections.of(request.protocol).peer, Access.READ)
            return await respond(request)
        except PodwrightError as error:
            return _failure(error)
        except web.HTTPException as error:
            return _failure(_of_library(error, request))
        except Exception:  # noqa: BLE001 - a bug in one handler must not take the connection's answer with it
            logger.exception("cannot answer {} {}", request.method, request.path)
            return _failure(InternalError(f"cannot answer {request.method} {request.path}", hint="the agent's log has the details"))

    async def _send(self, request: web.Request, response: web.StreamResponse) -> None:
        if response.status in _CLOSING_CODES:
            response.force_close()
        try:
            async with asyncio.timeout(self._limits.write_s):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the caller left

    def _responder(self, route: Route) -> Handler:
        async def respond(request: web.Request) -> web.StreamResponse:
            connection = self._connections.of(request.protocol)
            peer = connection.peer
            self._gate.check(peer, route.access)
            call = Call(
                backend=self._backend,
                path=request.match_info,
                query=request.query,
                body=await self._body(request),
                content_type=request.content_type,
                access=self._gate.access(peer),
            )
            if route.is_watchable and is_true(call.query.get("watch", "")):
                return await WatchStream(call, write_timeout_s=self._limits.write_s).run(request, self._pool)
            pool = self._cni_pool if route.is_cni else self._pool
            answer, body = await pool.run(lambda: _encoded(route.handler(call)))
            connection.undo = answer.undo
            return _response(answer, body)

        return respond

    async def _body(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(self._limits.body_s):
                return await (receipt.read_body(request) if receipt.is_promised(request) else request.read())
        except asyncio.IncompleteReadError:
            raise Unavailable("the caller went away before its request was whole") from None
        except TimeoutError:
            raise TooSlow(f"the request's body did not arrive within {self._limits.body_s:g} s") from None


def _encoded(answer: Answer) -> tuple[Answer, bytes]:
    body = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body, enc_hook=encode_hook)
    return answer, body


def _response(answer: Answer, body: bytes) -> web.Response:
    response = web.Response(body=body, status=answer.status, headers={**answer.headers, "Content-Type": answer.content_type})
    for warning in answer.warnings[:_WARNINGS_SHOWN]:
        response.headers.add("Warning", f'299 - "{_quoted(warning)}"')
    return response


def _quoted(text: str) -> str:
    return " ".join(text.split()).replace("\\", r"\\").replace('"', r"\"")


def _failure(error: PodwrightError) -> web.Response:
    return web.Response(body=msgspec.json.encode(to_status(error)), status=error.http_status, headers={"Content-Type": JSON})


def _of_library(error: web.HTTPException, request: web.Request) -> PodwrightError:
    """What the HTTP library found wrong, in our words."""
    match error:
        case web.HTTPNotFound():
            return NotFound(f"no such path: {request.path}", hint="GET /openapi.json describes all paths")
        case web.HTTPMethodNotAllowed():
            return MethodNotAllowed(f"{request.path} takes {', '.join(sorted(error.allowed_methods))}, not {request.method}")
        case web.HTTPRequestEntityTooLarge():
            return TooLarge("the request's body is too large", hint="apply the manifest in parts")
    return CallerError(error.reason) if error.status < 500 else InternalError(error.reason)
