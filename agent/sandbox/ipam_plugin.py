"""Foreign IPAM plugins (host-local, static): called as the specification wants it, with the caller's environment and
configuration. They are programs on this node that root named in CNI_PATH, by a name that is no path.

What a plugin gave is on record with the attachment, so that the agent can have it taken back when no caller asks.
"""

from __future__ import annotations

import json
import os
from typing import Any

from loguru import logger

from agent.errors import CallerError, PodwrightError, TemporaryError, Unsupported
from agent.kernel import run
from agent.objects.attachment import AttachmentKey, IpamPlugin
from cni import spec

_DEADLINE_S = 30.0


class IpamFailed(TemporaryError):
    """The plugin's own error; what it did before that is its to know."""

    http_status, cni_code = 502, 104


def call(verb: str, plugin: IpamPlugin, key: AttachmentKey | None = None, netns: str = "") -> str:
    """Its standard output. Raises IpamFailed, Unsupported, DeadlineExceeded."""
    environment = {"CNI_COMMAND": verb, "CNI_PATH": plugin.path, "CNI_ARGS": plugin.args, "CNI_NETNS": netns}
    if key:
        environment |= {"CNI_CONTAINERID": key.container_id, "CNI_IFNAME": key.ifname}
    program = _find(plugin)
    outcome = run.run_anyhow([program], deadline_s=_DEADLINE_S, stdin=plugin.config, environment=environment)
    for line in outcome.stderr.splitlines():
        logger.info("{} {}: {}", plugin.type, verb, line)
    if outcome.status:
        raise _failure(verb, plugin, outcome)
    return outcome.stdout


def lease(plugin: IpamPlugin, key: AttachmentKey, netns: str) -> spec.Result:
    """Raises IpamFailed also for an answer without an address."""
    stdout = call("ADD", plugin, key, netns)
    try:
        result = spec.Result.decode(json.loads(stdout), default_version=spec.NEWEST)
    except (ValueError, RecursionError, CallerError) as error:
        raise IpamFailed(f"ipam plugin {plugin.type} answered ADD with no result: {error}") from None
    if not result.ips:
        raise IpamFailed(f"ipam plugin {plugin.type} gave no address", hint="name ranges or addresses in ipam")
    return result


def give_back(plugin: IpamPlugin, key: AttachmentKey, netns: str) -> None:
    """After an ADD that failed, at whichever point."""
    try:
        call("DEL", plugin, key, netns)
    except PodwrightError as error:
        logger.warning("{}", error)


def _find(plugin: IpamPlugin) -> str:
    for directory in filter(None, plugin.path.split(":")):
        program = os.path.join(directory, plugin.type)
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    raise Unsupported(f"ipam.type: no plugin {plugin.type!r} in CNI_PATH {plugin.path}", hint="install it: containernetworking-plugins")


def _failure(verb: str, plugin: IpamPlugin, outcome: run.Outcome) -> IpamFailed:
    try:
        told: Any = json.loads(outcome.stdout)
        message, code, details = told["msg"], told["code"], told.get("details", "")
    except (ValueError, LookupError, TypeError, AttributeError):
        last = outcome.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        return IpamFailed(f"ipam plugin {plugin.type} failed on {verb} with status {outcome.status}: {last[0]}")
    return IpamFailed(
        f"ipam plugin {plugin.type} failed on {verb}: {message}", hint=f"its code is {code}" + (f"; {details}" if details else "")
    )
