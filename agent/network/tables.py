"""Our nftables tables, live: brings them to what the node and its attachments want, then changes elements.

What they should hold is firewall.py's (pure); this module only commits it. A pod costs a handful of elements in
one transaction, whatever the number of pods.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from loguru import logger

from agent.config import Mode
from agent.kernel import nft
from agent.kernel.nft import Nft
from agent.network import firewall
from agent.network.node import NodeNetwork
from agent.objects.attachment import Attachment


class Tables:
    def __init__(self, session: Nft, network: NodeNetwork) -> None:
        self._session = session
        self._network = network

    def start(self, attachments: Iterable[Attachment]) -> None:
        """Adopt the tables an earlier agent left and change only what differs: no packet of a living pod is lost."""
        wanted = list(attachments)
        committed = nft.ensure_ruleset(
            self._session,
            firewall.skeleton(self._network),
            elements=[element for each in wanted for element in firewall.elements(self._network, each)],
            chains=[chain for each in wanted for chain in firewall.device_chains(self._network, each)],
        )
        logger.debug("firewall at start: {}", committed or "as wanted")

    def add(self, attachment: Attachment) -> None:
        """After the host veth exists: in routed mode its chain is bound to it."""
        chains = firewall.device_chains(self._network, attachment)
        self._session.commit(nft.put(*chains, *firewall.elements(self._network, attachment)))

    def remove(self, attachment: Attachment) -> None:
        """Absence is success. The device's chain goes first: a chain whose device is gone may be gone already."""
        chains = firewall.device_chains(self._network, attachment)
        self._session.commit(nft.destroy(*firewall.elements(self._network, attachment), *chains))

    def remove_all(self) -> None:
        """The tables of both modes: the mode may have been changed since they were made."""
        for mode in Mode:
            nft.remove_ruleset(self._session, firewall.skeleton(dataclasses.replace(self._network, mode=mode)))
