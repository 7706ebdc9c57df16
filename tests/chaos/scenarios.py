"""What was going on when the agent was killed: each scenario is one operation, as its user does it and repeats it.

prepare     what is there before
act         the operation, until it is done or the agent is dead (then it raises PodwrightError)
retry       what the user does when nothing came back; afterwards the operation must have succeeded
problems    what shows that it has not
undo        back to where `prepare` began
"""

from __future__ import annotations

from typing import Protocol

from agent.objects.attachment import AttachmentKey
from tests.chaos.container import Container
from tests.chaos.stage import NODE_ADDRESSES, Stage, addresses, unanswered
from tests.prober import NODE, ask

VICTIM, VICTIM_PORT = "victim", 8090
NONE: frozenset[AttachmentKey] = frozenset()


class Scenario(Protocol):
    """`optional`: attachments that may be there or not while the outcome is open; `containers`: after `retry`."""

    optional: frozenset[AttachmentKey]
    containers: frozenset[AttachmentKey]

    def prepare(self, stage: Stage) -> None: ...
    def act(self, stage: Stage) -> None: ...
    def retry(self, stage: Stage) -> None: ...
    def problems(self, stage: Stage) -> list[str]: ...
    def undo(self, stage: Stage) -> None: ...


class PodCreated:
    optional = containers = NONE

    def prepare(self, stage: Stage) -> None:
        pass

    def act(self, stage: Stage) -> None:
        stage.make_pod(VICTIM, VICTIM_PORT)

    def retry(self, stage: Stage) -> None:
        self.act(stage)

    def problems(self, stage: Stage) -> list[str]:
        pod = stage.pod(VICTIM)
        return unanswered(stage.place(pod), addresses(pod), VICTIM_PORT) if pod else ["the pod is gone"]

    def undo(self, stage: Stage) -> None:
        stage.delete_pod(VICTIM)


class PodDeleted:
    optional = containers = NONE

    def prepare(self, stage: Stage) -> None:
        """Used, so that there are connections to forget."""
        pod = stage.make_pod(VICTIM, VICTIM_PORT)
        assert unanswered(stage.place(pod), addresses(pod), VICTIM_PORT) == []

    def act(self, stage: Stage) -> None:
        stage.delete_pod(VICTIM)

    def retry(self, stage: Stage) -> None:
        self.act(stage)

    def problems(self, stage: Stage) -> list[str]:
        return still_answering(VICTIM_PORT)

    def undo(self, stage: Stage) -> None:
        pass


class CniAdd:
    """A runtime that got no answer to ADD sends DEL before it tries again."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self.optional = self.containers = frozenset({container.key})

    def prepare(self, stage: Stage) -> None:
        pass

    def act(self, stage: Stage) -> None:
        self._container.add(stage)

    def retry(self, stage: Stage) -> None:
        self._container.delete(stage)
        self._container.add(stage)

    def problems(self, _: Stage) -> list[str]:
        return self._container.unanswered()

    def undo(self, stage: Stage) -> None:
        self._container.delete(stage)


class CniDel:
    def __init__(self, container: Container) -> None:
        self._container = container
        self.optional, self.containers = frozenset({container.key}), NONE

    def prepare(self, stage: Stage) -> None:
        self._container.add(stage)
        assert self._container.unanswered() == []

    def act(self, stage: Stage) -> None:
        self._container.delete(stage)

    def retry(self, stage: Stage) -> None:
        self.act(stage)

    def problems(self, _: Stage) -> list[str]:
        left = self._container.netns.links() - {"lo"}
        return [f"the container still has {link}" for link in left] + still_answering(self._container.host_port)

    def undo(self, stage: Stage) -> None:
        pass


def still_answering(host_port: int) -> list[str]:
    """A host port that was given back is the node's own again: refused at once, as nothing listens."""
    return [f"{address} port {host_port} still answers" for address in NODE_ADDRESSES if ask(NODE, "tcp", address, host_port)]
