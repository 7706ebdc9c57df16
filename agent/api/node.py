"""What the API says about the agent itself, and the calls that go through to the node: CNI, exec, usage."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib import resources

import agent
from agent import metrics as agent_metrics
from agent.api.call import Answer, Call
from agent.api.resources import list_
from agent.api.wire import ExecRequest, KindEntry, KindList, NodeUsageList, PodUsageList, Version
from agent.errors import InvalidObject, NotFound
from agent.objects.kinds import KINDS

TEXT = "text/plain; charset=utf-8"
CNI_EXIT_STATUS = "X-Exit-Status"


def healthz(_: Call) -> Answer:
    """The process answers. Nothing more: a supervisor that restarts an agent which merely waits makes things worse."""
    return Answer(b"ok\n", content_type=TEXT)


def readyz(_: Call) -> Answer:
    """The socket opens when everything can be answered."""
    return Answer(b"ok\n", content_type=TEXT)


def version(_: Call) -> Answer:
    return Answer(Version(version=agent.__version__, python=platform.python_version(), kernel=os.uname().release))


def metrics(call: Call) -> Answer:
    return Answer(call.backend.metrics(), content_type=agent_metrics.CONTENT_TYPE)


def status(call: Call) -> Answer:
    return Answer(call.backend.status())


@cache
def _openapi() -> bytes:
    return resources.files("agent.api").joinpath("openapi.json").read_bytes()


def openapi(_: Call) -> Answer:
    return Answer(_openapi())


def kinds(_: Call) -> Answer:
    return Answer(
        KindList(
            items=tuple(
                KindEntry(
                    kind=info.kind,
                    written=info.written,
                    plural=info.plural,
                    singular=info.singular,
                    short_names=info.short_names,
                    api_version=info.api_versions[0],
                    namespaced=info.namespaced,
                )
                for info in KINDS.values()
            )
        )
    )


def top_node(call: Call) -> Answer:
    return Answer(NodeUsageList(items=tuple(call.backend.top_node())))


def top_pods(call: Call) -> Answer:
    return Answer(PodUsageList(items=tuple(call.backend.top_pods(call.query.get("namespace") or None))))


def events(call: Call) -> Answer:
    """A short way to the Event objects, of one namespace or of all."""
    namespace = call.query.get("namespace", "")
    path = {"plural": "events"} | ({"namespace": namespace} if namespace else {})
    return list_(Call(call.backend, path=path, query=call.query, access=call.access))


def cni(call: Call) -> Answer:
    """200 whenever the verb was handled, also when it ended in a CNI error: the plugin prints the body either way."""
    reply = call.backend.cni(call.body)
    return Answer(reply.stdout, headers={CNI_EXIT_STATUS: str(reply.exit_status)}, undo=reply.undo)


def exec_plan(call: Call) -> Answer:
    if call.path["plural"] != "pods" or call.path.get("group"):
        raise NotFound("only pods have exec")
    request = call.body_as(ExecRequest)
    if not request.command:
        raise InvalidObject("command must name a program", problems=("command: is empty",))
    return Answer(call.backend.exec_plan(call.path["namespace"], call.path["name"], request))
