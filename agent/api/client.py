"""The agent's API from another process: what the command line, the CSI edge and scripts use.

Standard library only, and documents in and out are plain dicts: a command must be able to start in a tenth of a
second. Errors are those of agent.errors, rebuilt from the Status that the agent sent. One Client is one connection,
kept open between requests; it is not for several threads at once. A watch has a connection of its own.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from agent.api.failure import from_status
from agent.errors import DeadlineExceeded, Expired, InternalError, PodwrightError, Unavailable

DEFAULT_SOCKET = "/run/podwright/agent.sock"
SOCKET_VARIABLE = "PODWRIGHT_SOCKET"
MERGE_PATCH = "application/merge-patch+json"
_JSON = "application/json"
_RECONNECT_PAUSE_S = 0.1

Document = dict[str, Any]
Query = Mapping[str, str]


def default_socket() -> str:
    return os.environ.get(SOCKET_VARIABLE) or DEFAULT_SOCKET


def collection_path(api_version: str, plural: str, namespace: str = "") -> str:
    """Where the objects of a kind are; `namespace` "" is all of them, and cluster-scoped kinds."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    return f"{root}/namespaces/{quote(namespace, safe='')}/{plural}" if namespace else f"{root}/{plural}"


def object_path(api_version: str, plural: str, namespace: str, name: str) -> str:
    return f"{collection_path(api_version, plural, namespace)}/{quote(name, safe='')}"


@dataclass(frozen=True, slots=True)
class Reply:
    """`warnings`: what the agent stored but does not act on."""

    status: int
    body: bytes
    warnings: tuple[str, ...] = ()

    @property
    def document(self) -> Document:
        found: Document = json.loads(self.body)
        return found


class Client:
    """`timeout_s`: how long the agent may take for one answer."""

    def __init__(self, socket_path: str | os.PathLike[str] | None = None, *, timeout_s: float = 120.0) -> None:
        self.socket_path = os.fspath(socket_path or default_socket())
        self._timeout_s = timeout_s
        self._connection: _UnixConnection | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, query: Query | None = None) -> Document:
        """One object, or a list: the path decides."""
        return self.request("GET", path, query).document

    def create(self, path: str, document: Document, query: Query | None = None) -> Document:
        return self.request("POST", path, query, _encode(document)).document

    def replace(self, path: str, document: Document, query: Query | None = None) -> Document:
        return self.request("PUT", path, query, _encode(document)).document

    def patch(self, path: str, change: Document, query: Query | None = None) -> Document:
        """RFC 7386: null removes a field."""
        return self.request("PATCH", path, query, _encode(change), MERGE_PATCH).document

    def delete(self, path: str, query: Query | None = None, options: Document | None = None) -> Document:
        return self.request("DELETE", path, query, _encode(options) if options else b"").document

    def apply(self, manifest: bytes, query: Query | None = None) -> Document:
        """Many objects at once; see the ApplyResult's items for what became of each."""
        return self.request("POST", "/apply", query, manifest, "application/yaml").document

    def delete_manifest(self, manifest: bytes, query: Query | None = None) -> Document:
        return self.request("DELETE", "/apply", query, manifest, "application/yaml").document

    def watch(
        self, path: str, query: Query | None = None, *, resource_version: str = "", timeout_s: float | None = None
    ) -> Iterator[Document]:
        """Events {type, object}; goes on after interruptions, ends after `timeout_s`. Raises Expired: list again."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        version = resource_version
        while deadline is None or time.monotonic() < deadline:
            for event in self._watch_once(path, {**(query or {}), "resourceVersion": version}, deadline):
                version = event["object"]["metadata"].get("resourceVersion", version)
                if event["type"] != "BOOKMARK":
                    yield event
            time.sleep(_RECONNECT_PAUSE_S)

    def _watch_once(self, path: str, query: Query, deadline: float | None) -> Iterator[Document]:
        asked = {**query, "watch": "1", "allowWatchBookmarks": "true"}
        connection = _UnixConnection(self.socket_path, timeout=self._timeout_s)
        try:
            response = _exchange(connection, "GET", _target(path, asked), b"", _JSON)
            if response.status != 200:
                raise _error_of(response.status, response.read())
            while (line := _next_line(connection, response, deadline)) is not None:
                event: Document = json.loads(line)
                if event["type"] == "ERROR":
                    raise from_status(event["object"])
                yield event
        finally:
            connection.close()

    def request(self, method: str, path: str, query: Query | None = None, body: bytes = b"", content_type: str = _JSON) -> Reply:
        """Raises what the agent's Status says. A request on a connection that the agent has closed meanwhile is sent again."""
        is_reused = self._connection is not None
        connection = self._connection or _UnixConnection(self.socket_path, timeout=self._timeout_s)
        self._connection = connection
        try:
            response = _exchange(connection, method, _target(path, query), body, content_type)
            content = response.read()
        except _ClosedBefore:
            self.close()
            if is_reused:
                return self.request(method, path, query, body, content_type)
            raise Unavailable(f"the agent closed the connection without an answer to {method} {path}") from None
        except BaseException:
            self.close()
            raise
        if response.will_close:
            self.close()
        if response.status >= 400:
            raise _error_of(response.status, content)
        return Reply(response.status, content, tuple(_warning(text) for text in response.headers.get_all("Warning", ())))


class _ClosedBefore(Exception):
    """The agent closed the connection before the first byte of its answer."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("podwright", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError as error:
            self.sock.close()
            reason = (error.strerror or str(error)).lower()
            raise Unavailable(
                f"cannot reach the agent at {self._path}: {reason}",
                hint="start it: systemctl start podwright, or: sudo podwright agent",
            ) from None


def _exchange(connection: _UnixConnection, method: str, target: str, body: bytes, content_type: str) -> http.client.HTTPResponse:
    headers = {"Content-Type": content_type} if body else {}
    try:
        try:
            connection.request(method, target, body or None, headers)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused in the middle of the body: the answer says why
        return connection.getresponse()
    except TimeoutError:
        raise DeadlineExceeded(f"the agent did not answer {method} {target} within {connection.timeout:.0f} s") from None
    except (http.client.RemoteDisconnected, ConnectionError, http.client.ResponseNotReady):
        raise _ClosedBefore from None
    except http.client.HTTPException as error:
        raise InternalError(f"what answers at the agent's socket does not speak HTTP: {error!r}") from None


def _next_line(connection: _UnixConnection, response: http.client.HTTPResponse, deadline: float | None) -> bytes | None:
    """The next event, or None at the deadline and when the stream has ended."""
    remaining = None if deadline is None else deadline - time.monotonic()
    if remaining is not None and remaining <= 0:
        return None
    connection.sock.settimeout(remaining)
    try:
        return response.readline() or None
    except (TimeoutError, ConnectionError, http.client.IncompleteRead):
        return None


def _target(path: str, query: Query | None) -> str:
    asked = {name: value for name, value in (query or {}).items() if value != ""}
    return f"{path}?{urlencode(asked)}" if asked else path


def _encode(document: Document) -> bytes:
    return json.dumps(document).encode()


def _error_of(status: int, body: bytes) -> PodwrightError:
    try:
        document = json.loads(body)
    except ValueError:
        document = {}
    if not isinstance(document, dict) or document.get("kind") != "Status":
        document = {"code": status, "message": f"the agent answered {status} without a reason"}
    return from_status(document)


def _warning(header: str) -> str:
    """The text of `299 - "text"`, which http.client took for Latin-1."""
    text = header.encode("latin-1").decode(errors="replace")
    return text.partition('"')[2].removesuffix('"').replace(r"\"", '"').replace(r"\\", "\\")


__all__ = ["Client", "Document", "Expired", "Reply", "collection_path", "default_socket", "object_path"]
