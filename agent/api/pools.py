"""/pools: where volumes are made."""

from __future__ import annotations

from pathlib import Path

from agent.api import wire_volumes as wire
from agent.api.call import Answer, Call
from agent.kernel import filesystem
from agent.objects.storage import StoragePool


def list_(call: Call) -> Answer:
    return Answer(wire.PoolList(items=tuple(_pool(call, each) for each in call.backend.volumes.catalog.pools())))


def create(call: Call) -> Answer:
    request = call.body_as(wire.CreatePool)
    made = call.backend.pools.create(
        request.name, directory=request.directory, size_bytes=request.size_bytes, overcommit=request.overcommit
    )
    return Answer(_pool(call, made), status=201)


def delete(call: Call) -> Answer:
    call.backend.pools.delete(call.path["name"])
    return Answer({})


def _pool(call: Call, pool: StoragePool) -> wire.PoolInfo:
    catalog, name = call.backend.volumes.catalog, pool.metadata.name
    space = catalog.space(name)
    return wire.PoolInfo(
        name=name,
        directory=pool.directory,
        total_bytes=space.total_bytes,
        free_bytes=space.free_bytes,
        available_bytes=space.available_bytes,
        volumes=sum(volume.pool == name for volume in catalog.list_()),
        shares_blocks=filesystem.can_share_blocks(Path(pool.directory)),
        overcommit=pool.overcommit,
        unknown_files=tuple(str(path) for path in catalog.unknown_files() if path.is_relative_to(pool.directory)),
    )
