"""What `scripts/vm` is made of lies beside it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "scripts/vm.d"))
