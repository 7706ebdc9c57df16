"""A process of its own that asks pods for echoes without pause, and says afterwards which questions were lost.

    rounds   every address of every pod, from the node, once per `ROUND_S`
    beats    a few flows every 2 ms: from the node to a pod and from pod to pod, each family

A question without an answer after a second is lost. A pod to pod flow passes forwarding, the anti-spoofing and the
policy chains, so a moment without the firewall's elements would show there.
"""

from __future__ import annotations

import heapq
import multiprocessing
import select
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from rig.probes import echo_reply, echo_request, echo_socket, family
from tests.prober import NODE, inside

ROUND_S, BEAT_S, PATIENCE_S = 1.0, 0.002, 1.0


class Flow(NamedTuple):
    """Questions from a namespace to an address, every `every_s`."""

    source: Path
    address: str
    every_s: float


@dataclass(slots=True)
class Loss:
    """`times`: when the lost ones were sent, by the clock of time.monotonic()."""

    asked: int = 0
    answered: int = 0
    lost: list[tuple[float, str]] = field(default_factory=list)

    def between(self, start: float, end: float) -> list[str]:
        """What was lost of the questions sent in that time."""
        return [f"{1000 * (sent - start):.0f} ms in: {flow}" for sent, flow in self.lost if start <= sent <= end]


def rounds(addresses: Sequence[str]) -> list[Flow]:
    return [Flow(NODE, address, ROUND_S) for address in addresses]


class Pulse:
    """Started by `with`; `stop()` gives the outcome."""

    def __init__(self, flows: Sequence[Flow]) -> None:
        context = multiprocessing.get_context("fork")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_beat, args=(list(flows), there), daemon=True)

    def __enter__(self) -> Pulse:
        self._process.start()
        self._here.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def stop(self) -> Loss:
        self._here.send("stop")
        found: Loss = self._here.recv()
        return found


class _Sender:
    """One raw socket per namespace and family; the sequence number on the wire is 16 bits, so the flow has an identifier."""

    def __init__(self, flows: Sequence[Flow]) -> None:
        self.flows = flows
        self._sockets: dict[tuple[Path, int], socket.socket] = {}
        self.poll = select.epoll()
        self._by_fd: dict[int, tuple[socket.socket, int]] = {}
        for flow in flows:
            self._open(flow.source, family(flow.address))
        self.sequences = [0] * len(flows)

    def _open(self, source: Path, version: int) -> None:
        if (source, version) in self._sockets:
            return
        with inside(source):
            made = echo_socket(version)
        self._sockets[source, version] = made
        self._by_fd[made.fileno()] = (made, version)
        self.poll.register(made, select.EPOLLIN)

    def send(self, number: int) -> int:
        flow = self.flows[number]
        version = family(flow.address)
        sequence = self.sequences[number] = (self.sequences[number] + 1) & 0xFFFF
        packet = echo_request(version, number, sequence)
        self._sockets[flow.source, version].sendto(packet, (flow.address, 0))
        return sequence

    def answers(self, seconds: float) -> Iterator[tuple[int, int]]:
        for fd, _ in self.poll.poll(max(seconds, 0)):
            raw, version = self._by_fd[fd]
            while True:
                try:
                    packet = raw.recv(256)
                except BlockingIOError:
                    break
                yield echo_reply(version, packet)


def _beat(flows: list[Flow], pipe: Connection) -> None:
    sender, loss = _Sender(flows), Loss()
    started = time.monotonic()
    due = [(started + flow.every_s * number / len(flows), number) for number, flow in enumerate(flows)]
    heapq.heapify(due)
    waiting: dict[tuple[int, int], float] = {}
    pipe.send("started")
    stop_at = float("inf")
    while time.monotonic() < stop_at:
        if stop_at == float("inf") and pipe.poll():
            stop_at = time.monotonic() + PATIENCE_S
        while due[0][0] <= (now := time.monotonic()) < stop_at - PATIENCE_S:
            planned, number = heapq.heappop(due)
            heapq.heappush(due, (max(planned + flows[number].every_s, now), number))
            waiting[number, sender.send(number)] = now
            loss.asked += 1
        for answer in sender.answers(min(due[0][0], stop_at) - time.monotonic()):
            loss.answered += waiting.pop(answer, None) is not None
    loss.lost = [(sent, f"{flows[number].source.parent.name or 'node'} → {flows[number].address}") for (number, _), sent in waiting.items()]
    pipe.send(loss)
