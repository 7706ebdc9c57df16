"""An error survives the way over the socket."""

from __future__ import annotations

import pytest

from agent.api.failure import from_status, to_status
from agent.errors import (
    AlreadyExists,
    CallerError,
    Conflict,
    DeadlineExceeded,
    Exhausted,
    Expired,
    Forbidden,
    InternalError,
    InvalidObject,
    KernelError,
    NotFound,
    PodwrightError,
    Unavailable,
    Unsupported,
)


@pytest.mark.parametrize(
    "kind",
    [
        CallerError,
        NotFound,
        AlreadyExists,
        Conflict,
        Expired,
        Forbidden,
        Unsupported,
        Exhausted,
        DeadlineExceeded,
        Unavailable,
        InternalError,
    ],
)
def test_type_message_and_hint_come_back(kind: type[PodwrightError]) -> None:
    sent = kind("cannot do it: too late", hint="be earlier")
    received = from_status(to_status(sent))
    assert type(received) is kind
    assert (received.message, received.hint, received.is_retryable) == (sent.message, sent.hint, sent.is_retryable)


def test_problems_come_back() -> None:
    received = from_status(to_status(InvalidObject("wrong", problems=("a: one", "b: two"))))
    assert isinstance(received, InvalidObject)
    assert received.problems == ("a: one", "b: two")


def test_a_kernels_refusal_arrives_as_an_internal_error_with_its_text() -> None:
    received = from_status(to_status(KernelError(17, "ip link add pw0 type bridge")))
    assert isinstance(received, InternalError)
    assert received.message == "kernel refused `ip link add pw0 type bridge`: file exists [EEXIST]"


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({}, InternalError),
        ({"code": 404}, NotFound),
        ({"code": 418, "reason": "Teapot"}, CallerError),
        ({"code": 409, "reason": "New"}, CallerError),
    ],
)
def test_an_unknown_reason_falls_back_to_its_code(document: dict[str, object], kind: type[PodwrightError]) -> None:
    assert isinstance(from_status(document), kind)
