"""What every error code of the plugin means, and what to do: one page a code, for `podwright cni errors`.

0 to 99 are the specification's, 100 and above ours. tests hold this table to the classes that carry the codes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    means: str
    todo: str

    def text(self, code: int) -> str:
        return f"code {code}: {self.title}\n\nmeans:  {self.means}\ndo:     {self.todo}\n"


PAGES: dict[int, Page] = {
    1: Page(
        "incompatible CNI version",
        "the configuration, or the result of the plugin before, names a version that podwright does not speak (0.1.0 to 1.1.0), or one"
        " too old for the verb: CHECK came with 0.4.0, GC and STATUS with 1.1.0",
        "set cniVersion in the configuration list to a version named in the details",
    ),
    2: Page(
        "unsupported field",
        "something is asked for that cannot be had; key and value are in the message",
        "remove the field: nothing is silently replaced by something else",
    ),
    3: Page(
        "unknown container or interface",
        "CHECK: the interface, its lease, address or limits are gone, or the network namespace is",
        "have the runtime make the pod again; `podwright get attachments` shows what is on record",
    ),
    4: Page("invalid environment", "a CNI_* variable is missing or malformed; all of them are named", "correct the caller"),
    5: Page("input/output failure", "stdin could not be read", "correct the caller"),
    6: Page("cannot decode", "stdin is no JSON object, holds a key twice, or prevResult has a wrong shape", "correct the configuration"),
    7: Page(
        "invalid network configuration",
        "a field has a wrong value; the message begins with its path",
        "correct it; `podwright cni check-config FILE` finds it before a pod does",
    ),
    8: Page(
        "invalid network namespace",
        "CNI_NETNS cannot be opened, is no network namespace, or is the node's own",
        "correct the caller; a namespace that just vanished means that its container died",
    ),
    11: Page(
        "try again later",
        "the agent is not there, hangs, or something is used up: addresses, ports of the bridge, disk",
        "runtimes do so by themselves; if it lasts: `podwright doctor` and `podwright status`",
    ),
    50: Page(
        "not available",
        "STATUS: an ADD would fail now; the message says why. Pods that exist keep their network",
        "see the message: start the agent, delete pods, or widen network.podCIDRs",
    ),
    51: Page(
        "not available, and existing pods have lost connectivity",
        "STATUS: the node's side of the network was taken away: the bridge is gone or down",
        "the agent puts it back within a minute; `podwright doctor` shows who interferes",
    ),
    100: Page(
        "internal error",
        "the kernel refused a request, which the message holds as a command, or there is a fault in podwright",
        "see the agent's log; the ADD has been undone",
    ),
    101: Page(
        "already exists",
        "the interface, an address or a hostPort is taken; its owner is named",
        "send DEL first, or choose another",
    ),
    102: Page("forbidden", "the caller may not do this", "run the runtime as root"),
    103: Page("unsupported here", "this node's kernel or tools cannot do it; what is missing is named", "install or enable what is named"),
    104: Page(
        "the IPAM plugin failed",
        "the plugin named by ipam.type refused; its message and code are told",
        "correct the ipam section; what it leased has been given back",
    ),
}
