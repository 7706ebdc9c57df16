#!/usr/bin/python3 -IS
"""What a container runtime executes: forward the request to the agent, print what comes back, end.

Half of an ADD is the start of this process, so the happy path imports only built-in modules, parses no JSON and
leaves by _exit. (-IS is -I and -S in the one argument that a #! line may have: no site, no environment.)
Everything rarer, an agent that is down or hung, is the text ABSENT: compiled only when needed, and in the same
file so that an upgrade replaces both by one rename. `podwright cni install` fills in the constants below; a
second file would be one more read on each call, and one beside the binary would be taken for a plugin.
"""

import _socket
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SOCKET = "/run/podwright/agent.sock"
SPOOL = "/var/lib/podwright/spool"
ABSENT = "raise SystemExit('this copy is not installed: use podwright cni install')"

VERSIONS = "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"
VERSION = '{"cniVersion":"%s","supportedVersions":["%s"]}\n'
ABOUT = "podwright: pod networks by the node's agent\nCNI protocol versions supported: %s\n"
NO_STDIN = b'{"cniVersion":"1.1.0","code":5,"msg":"cannot read the network configuration on stdin"}\n'
RECEIPT = b"X-Receipt: 1\r\n"
TRACING = b"TRACEPARENT", b"TRACESTATE", b"BAGGAGE"


class Agent:
    """The steps of a request, apart: a DEL that finds no agent does the first two under different locks, and an ADD has
    a third. It is sent one byte short, and the byte when its answer is printed: without it the agent takes the ADD back."""

    answered: _socket.socket | None = None

    def connect(self, seconds: int) -> _socket.socket:
        """Kernel time-outs, not Python's: those make the socket non-blocking, and then a full backlog refuses at once."""
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        limit = memoryview(bytearray(16)).cast("l")
        limit[0] = seconds
        connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, limit)
        connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVTIMEO, limit)
        connection.connect(SOCKET)
        return connection

    def converse(self, connection: _socket.socket, request: bytes) -> tuple[int, bytes]:
        """Exit status and output. OSError: the agent went away or hangs; ValueError: it answers, but not as an agent."""
        is_add = posix.environ.get(b"CNI_COMMAND") == b"ADD"
        head = b"POST /cni HTTP/1.1\r\nHost: podwright\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n"
        connection.sendall(head % (RECEIPT if is_add else b"", len(request) + is_add) + request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
            head, complete, body = answer.partition(b"\r\n\r\n")
            if complete and len(body) >= int(header(head, b"content-length")):
                self.answered = connection if is_add else None
                return int(header(head, b"x-exit-status")), body
        raise ConnectionResetError("it closed the connection before it answered")

    def acknowledge(self) -> None:
        """The result is out. An agent that ended meanwhile has it on record and knows no more of a caller."""
        if self.answered:
            try:
                self.answered.send(b"\n")
            except OSError:
                pass


def header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value
    raise ValueError(head.partition(b"\r\n")[0].decode("ascii", "replace"))


def environment() -> bytes:
    entries = (key + b"=" + value + b"\0" for key, value in posix.environ.items() if key.startswith(b"CNI_") or key in TRACING)
    return b"".join(entries) + b"\0"


def read_stdin() -> bytes:
    chunks = []
    while chunk := posix.read(0, 65536):
        chunks.append(chunk)
    return b"".join(chunks)


def write(fd: int, data: bytes) -> None:
    while data:
        data = data[posix.write(fd, data) :]


def forward(command: bytes, agent: Agent) -> tuple[int, bytes]:
    try:
        request = environment() + read_stdin()
    except OSError:
        return 1, NO_STDIN
    try:
        return agent.converse(agent.connect(30 if command == b"DEL" else 60), request)
    except (OSError, ValueError) as error:
        cold: dict[str, Any] = {}
        exec(ABSENT, cold)  # noqa: S102 - our own text, see the module's docstring
        answer: tuple[int, bytes] = cold["answer"](command, request, error, agent, SPOOL)
        return answer


def main() -> None:
    command = posix.environ.get(b"CNI_COMMAND", b"")
    status = 0
    if command == b"VERSION":
        write(1, (VERSION % (VERSIONS[-1], '","'.join(VERSIONS))).encode())
    elif command:
        agent = Agent()
        status, output = forward(command, agent)
        write(1, output)
        agent.acknowledge()
    else:
        write(2, (ABOUT % ", ".join(VERSIONS)).encode())
    posix._exit(status)


if __name__ == "__main__":
    main()
