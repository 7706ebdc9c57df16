"""The driver over gRPC, with an agent that is a table of answers: codes, and who waits for whom."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from agent.api import wire_volumes as wire
from agent.errors import Conflict, Exhausted, InvalidObject, NotFound, PodwrightError, Unavailable
from csi import server
from csi.wire import csi_pb2 as pb

WRITER = pb.VolumeCapability.AccessMode(mode=pb.VolumeCapability.AccessMode.SINGLE_NODE_WRITER)
MOUNT = pb.VolumeCapability(mount=pb.VolumeCapability.MountVolume(), access_mode=WRITER)


class Table:
    """Answers by the agent's verb: a value, an error to raise, or a function to call."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"node": wire.StorageNode(name="here", most_volumes=9, grows_online=()), **answers}

    def __getattr__(self, verb: str) -> Any:
        def answer(*_: Any) -> Any:
            found = self.answers.get(verb)
            if isinstance(found, PodwrightError):
                raise found
            return found() if callable(found) else found

        return answer


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    with ExitStack() as stack:

        def start(**answers: Any) -> Any:
            path = tmp_path / "csi.sock"
            server.start(stack, path, Table(**answers))  # type: ignore[arg-type]
            return stack.enter_context(grpc.insecure_channel(f"unix:{path}"))

        yield start


def call(channel: Any, service: str, name: str, request: Any) -> Any:
    method = pb.DESCRIPTOR.services_by_name[service].methods_by_name[name]
    reply = GetMessageClass(method.output_type)
    multi = channel.unary_unary(
        f"/csi.v1.{service}/{name}", request_serializer=lambda m: m.SerializeToString(), response_deserializer=reply.FromString
    )
    return multi(request, timeout=10)


DELETE = pb.DeleteVolumeRequest(volume_id="v1")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("no volume v1"), grpc.StatusCode.NOT_FOUND),
        (Conflict("volume v1 is in use"), grpc.StatusCode.ABORTED),
        (Exhausted("pool main is full"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (Unavailable("the agent is away"), grpc.StatusCode.UNAVAILABLE),
        (InvalidObject("parameters.fs: unknown"), grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_of_the_agent_is_a_code(serve: Any, error: PodwrightError, code: grpc.StatusCode) -> None:
    channel = serve(delete_volume=error)
    with pytest.raises(grpc.RpcError) as found:
        call(channel, "Controller", "DeleteVolume", DELETE)
    assert (found.value.code(), found.value.details()) == (code, error.message)
    trailing = {entry.key for entry in found.value.trailing_metadata()}
    assert "grpc-status-details-bin" not in trailing, "CSI wants status.details empty"


def test_a_bug_is_internal_and_tells_no_secret(serve: Any) -> None:
    channel = serve(delete_volume=lambda: {}["password"])
    with pytest.raises(grpc.RpcError) as found:
        call(channel, "Controller", "DeleteVolume", DELETE)
    assert found.value.code() is grpc.StatusCode.INTERNAL
    assert "password" not in found.value.details()


def test_a_call_that_is_not_offered(serve: Any) -> None:
    with pytest.raises(grpc.RpcError) as found:
        call(serve(), "Controller", "ControllerPublishVolume", pb.ControllerPublishVolumeRequest(volume_id="v1"))
    assert found.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_arguments_are_judged_before_the_agent_is_asked(serve: Any) -> None:
    channel = serve(delete_volume=NotFound("must not be asked"))
    with pytest.raises(grpc.RpcError) as found:
        call(channel, "Controller", "DeleteVolume", pb.DeleteVolumeRequest())
    assert found.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_second_call_for_a_volume_is_told_at_once(serve: Any) -> None:
    is_inside, may_leave = threading.Event(), threading.Event()

    def slow() -> None:
        is_inside.set()
        may_leave.wait(10)

    channel = serve(delete_volume=slow)
    first = threading.Thread(target=call, args=(channel, "Controller", "DeleteVolume", DELETE))
    first.start()
    assert is_inside.wait(10)
    with pytest.raises(grpc.RpcError) as found:
        call(channel, "Controller", "DeleteVolume", DELETE)
    may_leave.set()
    first.join()
    assert found.value.code() is grpc.StatusCode.ABORTED
    assert found.value.details() == "an operation on volume v1 is under way"


def test_not_ready_while_the_agent_is_down(serve: Any) -> None:
    table = {"node": wire.StorageNode(name="here", most_volumes=9, grows_online=())}
    answers = iter([table["node"]])
    channel = serve(node=lambda: next(answers, None) or _raise(Unavailable("the agent is away")))
    assert call(channel, "Identity", "Probe", pb.ProbeRequest()).ready.value is False


def _raise(error: Exception) -> None:
    raise error


def test_volumes_are_of_this_node_only(serve: Any) -> None:
    elsewhere = pb.TopologyRequirement(requisite=[pb.Topology(segments={"topology.podwright.io/node": "there"})])
    request = pb.CreateVolumeRequest(name="data", volume_capabilities=[MOUNT], accessibility_requirements=elsewhere)
    with pytest.raises(grpc.RpcError) as found:
        call(serve(), "Controller", "CreateVolume", request)
    assert found.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_the_socket_is_for_root_alone_and_replaces_a_stale_one(serve: Any, tmp_path: Path) -> None:
    serve()
    mode = (tmp_path / "csi.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["csi.sock"]


def test_a_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "csi.sock").write_text("precious")
    with ExitStack() as stack, pytest.raises(InvalidObject):
        server.start(stack, tmp_path / "csi.sock", Table())  # type: ignore[arg-type]
    assert (tmp_path / "csi.sock").read_text() == "precious"
