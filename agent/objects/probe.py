"""What Kubernetes does to a running container: probes and lifecycle handlers (core/v1)."""

from __future__ import annotations

from typing import Literal

from agent.objects.meta import Value


class ExecAction(Value, frozen=True):
    command: tuple[str, ...] = ()


class HTTPHeader(Value, frozen=True):
    name: str
    value: str


class HTTPGetAction(Value, frozen=True):
    port: int | str
    path: str = ""
    host: str = ""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    http_headers: tuple[HTTPHeader, ...] = ()


class TCPSocketAction(Value, frozen=True):
    port: int | str
    host: str = ""


class GRPCAction(Value, frozen=True):
    port: int
    service: str = ""


class SleepAction(Value, frozen=True):
    seconds: int


class Probe(Value, frozen=True):
    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None
    initial_delay_seconds: int = 0
    timeout_seconds: int = 1
    period_seconds: int = 10
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period_seconds: int | None = None


class LifecycleHandler(Value, frozen=True):
    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    sleep: SleepAction | None = None


class Lifecycle(Value, frozen=True):
    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None
    stop_signal: str = ""
