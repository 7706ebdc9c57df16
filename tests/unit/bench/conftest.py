"""The benches import their rig as scripts do: from the directory they are in."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "scripts/bench.d"))
