"""Metrics over TCP, only on request and only on the loopback: for a Prometheus on this machine that cannot read a unix socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

from agent.errors import InvalidObject
from agent.metrics import CONTENT_TYPE

_TIMEOUT_S = 5.0


class MetricsListener:
    """`listen` is HOST:PORT, with an IPv6 host in brackets. Raises InvalidObject for anything but a loopback address."""

    def __init__(self, listen: str, exposition: Callable[[], bytes]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = _TIMEOUT_S

            def do_GET(self) -> None:
                body = exposition() if self.path == "/metrics" else b"only /metrics is here\n"
                self.send_response(200 if self.path == "/metrics" else 404)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """A scrape every few seconds is no news."""

        address = loopback(listen)
        kind = _Server6 if ":" in address[0] else _Server4
        try:
            self._server = kind(address, Handler)
        except OSError as error:
            raise InvalidObject(f"cannot listen for metrics at {listen}: {str(error.strerror).lower()}", hint="see metricsListen") from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server4(ThreadingHTTPServer):
    daemon_threads = True


class _Server6(_Server4):
    address_family = socket.AF_INET6


def loopback(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    try:
        address = ip_address(host.strip("[]"))
        number = int(port)
    except ValueError:
        raise InvalidObject(f'metricsListen "{listen}" is no address and port', hint="write 127.0.0.1:9464 or [::1]:9464") from None
    if not address.is_loopback:
        raise InvalidObject(f"metricsListen {listen} is not on the loopback", hint="write 127.0.0.1:9464: metrics are for this machine")
    return str(address), number
