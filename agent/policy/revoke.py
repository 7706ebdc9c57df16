"""What a revoked flow leaves in connection tracking.

The entry of a flow that is forbidden now is what keeps it down, in both directions: it remembers who opened it. Were it
deleted, a server that goes on sending would open a flow of its own, which policy may allow, and its client's packets
would pass as answers (inferred from tcp_loose, not measured). So entries stay, but for UDP between equal ports: there
both ends open flows, and an entry that is forbidden would silence the other's as well.
"""

from __future__ import annotations

from collections.abc import Callable

from loguru import logger

from agent.errors import KernelError
from agent.kernel import conntrack
from agent.kernel.conntrack import Tracked
from agent.policy.compile import Flow
from agent.policy.engine import Delta
from agent.policy.traffic import UDP


class Revoker:
    """`allows` judges by the policy that is in force."""

    def __init__(self, allows: Callable[[Flow], bool]) -> None:
        self._allows = allows

    def revoke(self, delta: Delta) -> None:
        subjects = {address for (_, address), _, _ in delta.subjects}
        addresses = subjects | {address for _, address, _, _ in delta.peers}
        if not addresses:
            return
        try:
            count = conntrack.flush_tracked(UDP, addresses, self._is_gone)
        except (KernelError, OSError) as error:
            logger.warning("cannot flush revoked connections: {}", error)
        else:
            if count:
                logger.debug("policy: {} revoked connections forgotten", count)

    def _is_gone(self, tracked: Tracked) -> bool:
        return tracked.source_port == tracked.destination_port and not self._allows(Flow(*tracked))
