"""What is refused before the agent is asked, and by which field's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.api.wire_volumes import Access
from agent.errors import InvalidObject
from csi import validate
from csi.wire import csi_pb2 as pb

WRITER = pb.VolumeCapability.AccessMode(mode=pb.VolumeCapability.AccessMode.SINGLE_NODE_WRITER)
MOUNT = pb.VolumeCapability(mount=pb.VolumeCapability.MountVolume(fs_type="ext4"), access_mode=WRITER)
XFS = pb.VolumeCapability(mount=pb.VolumeCapability.MountVolume(fs_type="xfs"), access_mode=WRITER)
BLOCK = pb.VolumeCapability(block=pb.VolumeCapability.BlockVolume(), access_mode=WRITER)


def create(**fields: Any) -> Callable[[], object]:
    request = pb.CreateVolumeRequest(**{"name": "data", "volume_capabilities": [MOUNT], **fields})
    return lambda: validate.create_volume(request)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (create(name=""), "name is required and missing"),
        (create(name="x" * 129), "name: longer than 128 bytes"),
        (create(name="a\nb"), "name: contains a control character"),
        (create(volume_capabilities=[]), "volume_capabilities is required and missing"),
        (create(volume_capabilities=[MOUNT, BLOCK]), "volume_capabilities: a volume is either block or mount"),
        (create(volume_capabilities=[MOUNT, XFS]), "volume_capabilities: a volume has one filesystem"),
        (create(volume_capabilities=[pb.VolumeCapability(access_mode=WRITER)]), "volume_capabilities[0]: neither block nor mount"),
        (create(volume_capabilities=[pb.VolumeCapability(block=BLOCK.block)]), "volume_capabilities[0].access_mode.mode is required"),
        (create(capacity_range=pb.CapacityRange(required_bytes=-1)), "capacity_range: a size is negative"),
        (create(capacity_range=pb.CapacityRange(required_bytes=2, limit_bytes=1)), "capacity_range: required_bytes 2 is more than"),
        (create(volume_content_source=pb.VolumeContentSource()), "volume_content_source: names neither"),
        (create(parameters={"a": "x" * 5000}), "parameters: together longer than 4096 bytes"),
        (lambda: validate.path("relative", "target_path"), 'target_path: "relative" is not an absolute path'),
        (lambda: validate.page(-1), "max_entries: -1 is negative"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused(call: Callable[[], object], complaint: str) -> None:
    with pytest.raises(InvalidObject) as found:
        call()
    assert found.value.message.startswith(complaint)
    assert found.value.grpc_code == "INVALID_ARGUMENT"


def test_what_the_provisioner_adds_for_itself_is_not_a_parameter() -> None:
    request = pb.CreateVolumeRequest(
        name="data", volume_capabilities=[MOUNT], parameters={"pool": "fast", "csi.storage.k8s.io/pvc/name": "mine"}
    )
    assert validate.create_volume(request).parameters == {"pool": "fast"}


def test_every_access_mode_of_the_specification_has_a_name_here() -> None:
    modes = {name for name, _ in pb.VolumeCapability.AccessMode.Mode.items() if name != "UNKNOWN"}
    assert modes == set(Access)
