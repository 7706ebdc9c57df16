"""The driver's process: one gRPC server on a unix socket, a second one where a kubelet looks for plugins.

A socket is bound under a name that begins with a dot and renamed when it is served: a kubelet that watches the directory
never meets one that does not answer. Threads, not asyncio: a call is one round trip to the agent, and 1 ms either way
(measured). Requests are never logged: they carry secrets.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable
from concurrent import futures
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from loguru import logger

from agent.errors import InvalidObject, PodwrightError, Unsupported
from csi.agent import Agent
from csi.controller import Controller
from csi.identity import Identity
from csi.node import Node
from csi.pending import Pending
from csi.registration import Registration
from csi.wire import csi_pb2, registration_pb2

THREADS = 16
_GRACE_S = 5.0


def run(endpoint: str, agent_socket: str, *, registration: str = "", kubelet_endpoint: str = "") -> None:
    """Serve until SIGTERM or SIGINT. `registration`: the path of the registration socket, "" without a kubelet."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    path = socket_path(endpoint)
    with ExitStack() as stack:
        start(stack, path, Agent(agent_socket))
        logger.info("csi: serving at {}, the agent is at {}", path, agent_socket)
        if registration:
            service = registration_pb2.DESCRIPTOR.services_by_name["Registration"]
            _serve(stack, Path(registration), [_handlers(service, Registration(kubelet_endpoint or str(path)))])
        stop.wait()


def start(stack: ExitStack, path: Path, agent: Agent) -> None:
    node_name, pending = agent.node().name, Pending()

    services = csi_pb2.DESCRIPTOR.services_by_name
    servicers = {"Identity": Identity(agent), "Controller": Controller(agent, pending, node_name), "Node": Node(agent, pending, node_name)}
    _serve(stack, path, [_handlers(services[name], servicer) for name, servicer in servicers.items()])


def socket_path(endpoint: str) -> Path:
    """The path in CSI_ENDPOINT: unix:///run/csi/csi.sock, unix:/run/csi/csi.sock or the bare path."""
    path = endpoint.removeprefix("unix://") if endpoint.startswith("unix://") else endpoint.removeprefix("unix:")
    if not path.startswith("/"):
        raise InvalidObject(f'endpoint: "{endpoint}" is not the path of a unix socket', hint="write unix:///run/podwright/csi.sock")
    return Path(path)


def _serve(stack: ExitStack, path: Path, handlers: list[grpc.GenericRpcHandler[Any, Any]]) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(THREADS), handlers=handlers)
    hidden = path.with_name(f".{path.name}")
    for leftover in (hidden, path):
        _remove_socket(leftover)
    path.parent.mkdir(parents=True, exist_ok=True)
    server.add_insecure_port(f"unix:{hidden}")
    server.start()
    stack.callback(lambda: server.stop(_GRACE_S).wait())
    os.chmod(hidden, 0o600)
    hidden.rename(path)
    stack.callback(_remove_socket, path)


def _remove_socket(path: Path) -> None:
    """A file that is no socket is not ours to remove."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise InvalidObject(f"cannot serve at {path}: a file is there that is no socket", hint="choose another endpoint")
    except FileNotFoundError:
        return
    path.unlink(missing_ok=True)


def _handlers(service: ServiceDescriptor, servicer: Any) -> grpc.GenericRpcHandler[Any, Any]:
    """The calls of a service, each answered by the method of its name."""
    calls = {}
    for method in service.methods:
        request = GetMessageClass(method.input_type)
        answer = _translated(method.name, getattr(servicer, method.name, _not_offered))
        calls[method.name] = grpc.unary_unary_rpc_method_handler(answer, request.FromString, _serialized)
    return grpc.method_handlers_generic_handler(service.full_name, calls)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _not_offered(_request: Any, _context: Any) -> Any:
    raise Unsupported("this driver does not offer that call: a volume is attached where it is, by staging it")


def _translated(name: str, call: Callable[[Any, Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
    """Errors to gRPC codes, by their type. `status.details` stays empty, as CSI demands."""

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return call(request, context)
        except PodwrightError as error:
            logger.debug("csi: {}: {}", name, error.message)
            context.abort(getattr(grpc.StatusCode, error.grpc_code), error.message)
        except Exception as error:  # noqa: BLE001 - a bug must not hang the caller
            logger.opt(exception=error).error("csi: {}", name)
            context.abort(grpc.StatusCode.INTERNAL, f"{name}: a bug of this driver: {type(error).__name__}")

    return answer
