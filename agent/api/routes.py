"""The whole surface of the API on one screen: method, path, what the caller must be allowed, and who answers.

Object routes stand under two roots, Kubernetes' core `/api/v1` and `/apis/{group}/{version}`; `{plural}` is any kind
of objects.kinds. openapi.json is generated from this table (openapi.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.api import apply, node, policy, pools, resources, scale, volumes
from agent.api.call import Handler
from agent.api.peers import Access

READ, WRITE = Access.READ, Access.WRITE
ROOTS = ("/api/v1", "/apis/{group}/{version}")


@dataclass(frozen=True, slots=True)
class Route:
    """`is_watchable`: with `?watch=1` the answer is a stream. `is_cni`: served by the pool that only CNI uses."""

    method: str
    path: str
    access: Access
    handler: Handler
    is_watchable: bool = False
    is_cni: bool = False


_AGENT = (
    Route("GET", "/healthz", READ, node.healthz),
    Route("GET", "/readyz", READ, node.readyz),
    Route("GET", "/version", READ, node.version),
    Route("GET", "/openapi.json", READ, node.openapi),
    Route("GET", "/kinds", READ, node.kinds),
    Route("GET", "/status", READ, node.status),
    Route("GET", "/metrics", READ, node.metrics),
    Route("GET", "/top/node", READ, node.top_node),
    Route("GET", "/top/pods", READ, node.top_pods),
    Route("GET", "/events", READ, node.events),
    Route("GET", "/policy/explain", READ, policy.explain),
    Route("GET", "/policy/matrix", READ, policy.matrix),
    Route("POST", "/policy/changes", READ, policy.changes),
    Route("GET", "/policy/pods", READ, policy.pods),
    Route("POST", "/cni", WRITE, node.cni, is_cni=True),
    Route("GET", "/storage/node", READ, volumes.node),
    Route("POST", "/storage/capacity", READ, volumes.capacity),
    Route("GET", "/pools", READ, pools.list_),
    Route("POST", "/pools", WRITE, pools.create),
    Route("DELETE", "/pools/{name}", WRITE, pools.delete),
    Route("GET", "/volumes", READ, volumes.list_),
    Route("POST", "/volumes", WRITE, volumes.create),
    Route("GET", "/volumes/{id}", READ, volumes.get),
    Route("DELETE", "/volumes/{id}", WRITE, volumes.delete),
    Route("POST", "/volumes/{id}/expand", WRITE, volumes.expand),
    Route("POST", "/volumes/{id}/modify", WRITE, volumes.modify),
    Route("POST", "/volumes/{id}/stage", WRITE, volumes.stage),
    Route("POST", "/volumes/{id}/unstage", WRITE, volumes.unstage),
    Route("POST", "/volumes/{id}/publish", WRITE, volumes.publish),
    Route("POST", "/volumes/{id}/unpublish", WRITE, volumes.unpublish),
    Route("POST", "/volumes/{id}/grow", WRITE, volumes.grow),
    Route("POST", "/volumes/{id}/trim", WRITE, volumes.trim),
    Route("POST", "/volumes/{id}/check", WRITE, volumes.check),
    Route("POST", "/volumes/{id}/stats", READ, volumes.stats),
    Route("GET", "/snapshots", READ, volumes.list_snapshots),
    Route("POST", "/snapshots", WRITE, volumes.create_snapshot),
    Route("GET", "/snapshots/{id}", READ, volumes.get_snapshot),
    Route("DELETE", "/snapshots/{id}", WRITE, volumes.delete_snapshot),
    Route("POST", "/apply", WRITE, apply.apply),
    Route("DELETE", "/apply", WRITE, apply.delete),
)

_OBJECTS = (
    Route("GET", "/{plural}", READ, resources.list_, is_watchable=True),
    Route("POST", "/{plural}", WRITE, resources.create),
    Route("GET", "/{plural}/{name}", READ, resources.get),
    Route("PUT", "/{plural}/{name}", WRITE, resources.replace),
    Route("PATCH", "/{plural}/{name}", WRITE, resources.patch),
    Route("DELETE", "/{plural}/{name}", WRITE, resources.delete),
    Route("GET", "/namespaces/{namespace}/{plural}", READ, resources.list_, is_watchable=True),
    Route("POST", "/namespaces/{namespace}/{plural}", WRITE, resources.create),
    Route("DELETE", "/namespaces/{namespace}/{plural}", WRITE, resources.delete_collection),
    Route("GET", "/namespaces/{namespace}/{plural}/{name}", READ, resources.get),
    Route("PUT", "/namespaces/{namespace}/{plural}/{name}", WRITE, resources.replace),
    Route("PATCH", "/namespaces/{namespace}/{plural}/{name}", WRITE, resources.patch),
    Route("DELETE", "/namespaces/{namespace}/{plural}/{name}", WRITE, resources.delete),
    Route("GET", "/namespaces/{namespace}/{plural}/{name}/scale", READ, scale.get),
    Route("PUT", "/namespaces/{namespace}/{plural}/{name}/scale", WRITE, scale.replace),
    Route("PATCH", "/namespaces/{namespace}/{plural}/{name}/scale", WRITE, scale.patch),
    Route("POST", "/namespaces/{namespace}/{plural}/{name}/exec", WRITE, node.exec_plan),
)


def rooted(route: Route, root: str) -> Route:
    return Route(route.method, root + route.path, route.access, route.handler, route.is_watchable, route.is_cni)


OBJECT_ROUTES = tuple(rooted(route, root) for root in ROOTS for route in _OBJECTS)
AGENT_ROUTES = _AGENT
ROUTES = AGENT_ROUTES + OBJECT_ROUTES
