"""Every error Podwright raises, and what each edge makes of it.

    PodwrightError
    ├── CallerError           the request is wrong; repeating it unchanged cannot help
    │   ├── InvalidObject     a manifest, configuration or request field is wrong (names the path)
    │   ├── NotFound          no such object
    │   ├── AlreadyExists     an object, address or port is already taken (names the owner)
    │   ├── Conflict          resourceVersion is stale: read again, then retry
    │   │   └── Expired       the history no longer reaches back to that resourceVersion: list again
    │   ├── OutOfRange        a number that can never be given here (names the limits)
    │   ├── InUse             cannot be done while somebody uses it (names who)
    │   ├── Forbidden         the peer's credentials do not allow it
    │   └── Unsupported       this node's kernel or tools cannot do it (names the capability)
    ├── TemporaryError        may work when repeated later
    │   ├── Busy              the same thing is being worked on; ask again
    │   ├── Exhausted         no free address, port or capacity
    │   ├── OutOfSpace        the disk is full
    │   ├── DeadlineExceeded  took longer than allowed
    │   └── Unavailable       the agent is not reachable or not ready
    ├── SeveralErrors         a tear-down that went on after errors (holds them all)
    └── InternalError         our fault, or the kernel's refusal
        ├── KernelError       a kernel request failed (carries errno and the request as text)
        └── CommandFailed     a child process failed (carries argv, status and stderr)

The type is the policy: edges read the class attributes, nobody matches message text.
"""

from __future__ import annotations

import errno as _errno
import os
from collections.abc import Sequence
from typing import ClassVar


class PodwrightError(Exception):
    """Base of all. `hint` is the way out, printed on a line of its own."""

    http_status: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"
    cni_code: ClassVar[int] = 100
    grpc_code: ClassVar[str] = "INTERNAL"
    is_retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class CallerError(PodwrightError):
    http_status, reason, cni_code, grpc_code = 400, "BadRequest", 7, "INVALID_ARGUMENT"


class InvalidObject(CallerError):
    """`problems` has one line per wrong field, each starting with the field's path."""

    http_status, reason = 422, "Invalid"

    def __init__(self, message: str, *, problems: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class NotFound(CallerError):
    http_status, reason, cni_code, grpc_code = 404, "NotFound", 3, "NOT_FOUND"


class AlreadyExists(CallerError):
    http_status, reason, cni_code, grpc_code = 409, "AlreadyExists", 101, "ALREADY_EXISTS"


class Conflict(CallerError):
    http_status, reason, cni_code, grpc_code = 409, "Conflict", 11, "ABORTED"
    is_retryable = True


class Expired(Conflict):
    http_status, reason = 410, "Expired"


class OutOfRange(CallerError):
    http_status, reason, grpc_code = 422, "OutOfRange", "OUT_OF_RANGE"


class InUse(CallerError):
    http_status, reason, grpc_code = 409, "InUse", "FAILED_PRECONDITION"
    is_retryable = True


class Forbidden(CallerError):
    http_status, reason, cni_code, grpc_code = 403, "Forbidden", 102, "PERMISSION_DENIED"


class Unsupported(CallerError):
    http_status, reason, cni_code, grpc_code = 501, "Unsupported", 103, "UNIMPLEMENTED"


class TemporaryError(PodwrightError):
    http_status, reason, cni_code, grpc_code = 503, "ServiceUnavailable", 11, "UNAVAILABLE"
    is_retryable = True


class Busy(TemporaryError):
    http_status, reason, grpc_code = 423, "Busy", "ABORTED"


class Exhausted(TemporaryError):
    http_status, reason, grpc_code = 507, "Exhausted", "RESOURCE_EXHAUSTED"


class OutOfSpace(TemporaryError):
    http_status, reason, grpc_code = 507, "OutOfSpace", "RESOURCE_EXHAUSTED"


class DeadlineExceeded(TemporaryError):
    http_status, reason, grpc_code = 504, "Timeout", "DEADLINE_EXCEEDED"


class Unavailable(TemporaryError):
    pass


class InternalError(PodwrightError):
    pass


class SeveralErrors(PodwrightError):
    """Temporary for the caller, who repeats the tear-down: what is done already is a no-op."""

    cni_code, is_retryable = 11, True

    def __init__(self, errors: Sequence[PodwrightError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = tuple(errors)


class KernelError(InternalError):
    """A request the kernel refused. `request` is the text a person would have typed (`ip link add ...`)."""

    reason = "KernelError"

    def __init__(self, errno: int, request: str, detail: str = "") -> None:
        name = _errno.errorcode.get(errno, str(errno))
        extra = f" ({detail})" if detail else ""
        super().__init__(f"kernel refused `{request}`: {os.strerror(errno).lower()} [{name}]{extra}")
        self.errno = errno
        self.request = request


class CommandFailed(InternalError):
    """A child process ended with a non-zero status; the message holds a line that can be pasted into a shell."""

    reason = "CommandFailed"

    def __init__(self, command: str, status: int, stderr: str) -> None:
        tail = stderr.strip().splitlines()[-1] if stderr.strip() else "no output on stderr"
        super().__init__(f"`{command}` ended with status {status}: {tail}")
        self.command, self.status, self.stderr = command, status, stderr
