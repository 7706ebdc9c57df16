"""An installed CNI binary, and small agents that it can talk to: real sockets, real CniService, no kernel."""

from __future__ import annotations

import json
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path

import pytest

from agent.api.cni import CniService, Reply
from agent.errors import AlreadyExists
from agent.network.request import AttachRequest, AttachResult, InterfaceAddress, Readiness
from agent.objects.attachment import AttachmentKey, IpamPlugin
from agent.objects.meta import IPAddress
from cni.conflist import install
from tests.runtime import go_tools

ADDRESS = InterfaceAddress(ip_address("10.73.0.5"), 32, ip_address("10.73.0.1"))


class MemoryNetwork:
    """An Attacher that remembers; enough for the way between runtime and network."""

    def __init__(self) -> None:
        self.attached: dict[AttachmentKey, AttachRequest] = {}
        self.detached: list[AttachmentKey] = []

    def attach(self, request: AttachRequest) -> AttachResult:
        if request.key in self.attached:
            raise AlreadyExists(f"{request.key} is attached already")
        self.attached[request.key] = request
        mac = "0a:58:0a:49:00:05"
        index = 100 + len(self.attached)
        return AttachResult(request.key, index, mac, 1500, request.netns, "pwv1", "ee:ee:ee:ee:ee:ee", "pw0", mac, (ADDRESS,))

    def detach(self, key: AttachmentKey, ipam: IpamPlugin | None = None) -> None:
        self.attached.pop(key, None)
        self.detached.append(key)

    def ask_ipam(self, verb: str, plugin: IpamPlugin, key: AttachmentKey | None = None, netns: str = "") -> None:
        raise NotImplementedError(verb)

    def take_back(self, attached: AttachResult) -> None:
        self.detach(attached.key)

    def check(self, key: AttachmentKey, netns: str, addresses: Sequence[IPAddress]) -> None:
        self.attached[key]

    def collect(self, network: str, valid: frozenset[AttachmentKey] | None) -> None:
        for key in set(self.attached) - (valid or frozenset(self.attached)):
            self.detach(key)

    def status(self, network: str) -> Readiness:
        return Readiness()


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """`handle` answers POST /cni. Listens at once; accepts only between start() and stop()."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, handle: Callable[[bytes], Reply]) -> None:
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Handler)
        self.handle_cni = handle

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        assert self.path == "/cni"
        withheld = 1 if self.headers["X-Receipt"] else 0
        reply = self.server.handle_cni(self.rfile.read(int(self.headers["Content-Length"]) - withheld))
        self.send_response(200)
        self.send_header("X-Exit-Status", str(reply.exit_code))
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if reply.body:  # the caller may be gone once it has the headers of an empty answer
            self.wfile.write(reply.body)
        self.rfile.read(withheld)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class Installed:
    """A binary as `cni install` leaves it, for one socket and one spool."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def binary(self) -> Path:
        return self.folder / "bin" / "podwright"

    @property
    def socket(self) -> Path:
        return self.folder / "agent.sock"

    @property
    def spool(self) -> Path:
        return self.folder / "state" / "spool"

    def faster(self, slow: str, fast: str) -> None:
        """Shorten a time-out of the installed copy."""
        text = self.binary.read_text()
        assert text.count(slow) == 1
        self.binary.write_text(text.replace(slow, fast))

    def start(self, command: str, container_id: str = "c1", **environment: str) -> subprocess.Popen[bytes]:
        given = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": container_id,
            "CNI_NETNS": str(self.folder),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(self.binary.parent),
            "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web",
            "SECRET": "not for the agent",
            **environment,
        }
        pipe = subprocess.PIPE
        return subprocess.Popen([self.binary], env=given, stdin=pipe, stdout=pipe, stderr=pipe)

    def call(self, command: str, stdin: bytes | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
        process = self.start(command, **environment)
        out, err = process.communicate(CONFIG if stdin is None else stdin, timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


CONFIG = json.dumps({"cniVersion": "1.1.0", "name": "pods", "type": "podwright"}).encode()


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    found = Installed(tmp_path)
    install(tmp_path / "net.d", tmp_path / "bin", socket=found.socket, spool=found.spool)
    return found


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


@pytest.fixture
def service(network: MemoryNetwork) -> CniService:
    return CniService(network)


@pytest.fixture
def serve(installed: Installed) -> Iterator[Callable[[Callable[[bytes], Reply]], Server]]:
    """Start an agent that answers with the given function."""
    started: list[Server] = []

    def serve(handle: Callable[[bytes], Reply]) -> Server:
        server = Server(installed.socket, handle)
        server.start()
        started.append(server)
        return server

    yield serve
    for server in started:
        server.stop()


@pytest.fixture
def running(serve: Callable[[Callable[[bytes], Reply]], Server], service: CniService) -> Server:
    return serve(service.handle)


@pytest.fixture(scope="session")
def cnitool() -> Path:
    try:
        return go_tools.cnitool()
    except RuntimeError as error:
        pytest.skip(f"cnitool is missing: {error}")
