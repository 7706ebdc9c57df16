"""What this kernel can do, found out by doing it, in a network namespace that nothing else sees and that ends at once.

As root only. Looking at a version would be wrong both ways: distributions take features back, and leave modules out.
Each probe answers with the kernel's refusal as text, "" when all went well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from functools import partial
from typing import TypeVar

from agent.errors import CommandFailed, PodwrightError, Unsupported
from agent.kernel import libc, link, netlink, nft, tc
from agent.kernel.netlink import NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL, NetlinkSocket, Request
from agent.kernel.nft import Nft, Ruleset
from agent.kernel.nft.objects import Chain
from agent.kernel.run import run

_T = TypeVar("_T")
_IFINFO_BYTES = 16
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_INFO_KIND = 3, 18, 1
_LOOPBACK = 1


def in_scratch_namespace(action: Callable[[], _T]) -> _T:
    """On a thread of its own, with which the namespace ends. Raises what `action` raises."""
    results: list[_T] = []
    failures: list[BaseException] = []

    def enter() -> None:
        try:
            libc.unshare(libc.CLONE_NEWNET)
            results.append(action())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failures.append(error)

    thread = threading.Thread(target=enter, name="probe")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def links(kinds: Iterable[str]) -> Mapping[str, str]:
    """Whether links of these kinds can be made."""
    wanted = tuple(kinds)
    return in_scratch_namespace(lambda: {kind: _refusal(partial(_make_link, kind)) for kind in wanted})


def _make_link(kind: str) -> None:
    name = f"probe-{kind}"
    info = netlink.nested(_IFLA_LINKINFO, netlink.text(_IFLA_INFO_KIND, kind))
    body = bytes(_IFINFO_BYTES) + netlink.text(_IFLA_IFNAME, name) + info
    with NetlinkSocket(NETLINK_ROUTE) as socket:
        socket.transact([Request(link.RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"ip link add {name} type {kind}")])


def has_module(name: str) -> bool:
    """Whether it could be loaded, or is built in and modprobe knows it; it is not loaded. (ifb makes two links when it is.)"""
    try:
        run(["modprobe", "--dry-run", "--quiet", name])
    except (CommandFailed, Unsupported):
        return False
    return True


def shaping() -> str:
    """A token bucket on a link."""
    return in_scratch_namespace(lambda: _refusal(_shape_loopback))


def _shape_loopback() -> None:
    with NetlinkSocket(NETLINK_ROUTE) as socket:
        socket.transact([tc.set_bucket(_LOOPBACK, tc.TokenBucket(rate=1_000_000, burst=100_000, limit=100_000))])


def rulesets(wanted: Mapping[str, tuple[Ruleset, tuple[Chain, ...]]]) -> Mapping[str, str]:
    """Whether the kernel takes each of them, with chains beside it. Every one has a namespace of its own."""
    return {name: in_scratch_namespace(partial(_refusal, partial(_commit, *one))) for name, one in wanted.items()}


def _commit(ruleset: Ruleset, chains: tuple[Chain, ...]) -> None:
    with closing(Nft.open()) as session:
        session.commit(nft.put(ruleset, *chains))


def has_destroy() -> bool:
    """Removal of what may be absent in one message (6.3)."""
    return in_scratch_namespace(lambda: _ask(lambda session: session.dialect.has_destroy))


def owns_tables() -> bool:
    """Tables that only their maker may write and that stay when it dies (6.9)."""
    return in_scratch_namespace(lambda: _ask(lambda session: session.owns_tables))


def _ask(question: Callable[[Nft], bool]) -> bool:
    with closing(Nft.open()) as session:
        return question(session)


def _refusal(action: Callable[[], None]) -> str:
    try:
        action()
    except PodwrightError as error:
        return error.message
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""
