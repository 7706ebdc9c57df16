"""What an agent that leaves a node forgets: everything, but the records without which kept data could not be found again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from agent.store.database import Database

DATA = frozenset({"StoragePool", "StorageVolume", "StorageSnapshot", "PersistentVolume"})
"""Where there is one of these, somebody's data is."""
_WITH_DATA = frozenset({*DATA, "PersistentVolumeClaim", "StorageClass", "VolumeAttributesClass", "Namespace"})
"""What leads to the data: a claim without its namespace could not be named."""


def forget(database: Path) -> None:
    """With no agent running. Where there is no data the file goes too."""
    if not database.exists():
        return
    with closing(Database(database)) as opened:
        has_data = any(row.key.kind in DATA for row in opened.rows())
        if has_data:
            opened.remove_all_but(_WITH_DATA)
    if not has_data:
        for file in database.parent.glob(database.name + "*"):
            file.unlink()
