"""An ADD that is taken back takes only itself: the key may be another's by then."""

from collections.abc import Callable
from typing import Any

import pytest

from agent.network.request import AttachResult
from agent.objects.attachment import Attachment, AttachmentKey
from agent.sandbox.interfaces import RuntimeInterfaces

KEY = AttachmentKey("pods", "c1", "eth0")


class OneAttachment:
    """As much of a NetworkManager as a detach asks for."""

    def __init__(self, host_ifindex: int) -> None:
        self.held: Attachment | None = Attachment(network=KEY.network, container_id="c1", ifname="eth0", host_ifindex=host_ifindex)

    def get(self, _: AttachmentKey) -> Attachment | None:
        return self.held

    def detach(self, key: AttachmentKey, *, only_if: Callable[[Attachment], bool]) -> None:
        assert key == KEY
        if self.held and only_if(self.held):
            self.held = None


@pytest.mark.parametrize(("standing", "is_left"), [(7, False), (9, True)])
def test_what_came_later_stays(standing: int, is_left: bool) -> None:
    network: Any = OneAttachment(standing)
    taken_back = AttachResult(KEY, 7, "0a:58:00:00:00:01", 1500, "/run/netns/c1", "pwv1", "ee:ee:ee:ee:ee:ee", "", "", ())
    RuntimeInterfaces(network, lambda _: False).take_back(taken_back)
    assert (network.held is not None) is is_left
