"""A request as the runtime makes it, environment and stdin, judged by the rules of the specification.

Order matters to callers that look at codes: the environment first (4), then decoding (6), the name (7), the
version (1), the rest. DEL is read leniently: it must release what ADD took, whatever else became of the
configuration since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cni.spec.config import IDENTIFIER, NetConf, read_config, read_for_delete, read_identity, read_mac, read_version
from cni.spec.errors import InvalidConfig, InvalidEnvironment
from cni.spec.field import Field, IPInterface, document
from cni.spec.result import Result
from cni.spec.version import OLDEST, require_known, require_verb

_MAX_IFNAME = 15


class Command(StrEnum):
    ADD = "ADD"
    DEL = "DEL"
    CHECK = "CHECK"
    GC = "GC"
    STATUS = "STATUS"
    VERSION = "VERSION"


_REQUIRED = {
    Command.ADD: ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"),
    Command.CHECK: ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"),
    Command.DEL: ("CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"),
    Command.GC: ("CNI_PATH",),
    Command.STATUS: ("CNI_PATH",),
    Command.VERSION: (),
}
_SINCE = {Command.CHECK: "0.4.0", Command.GC: "1.1.0", Command.STATUS: "1.1.0"}


@dataclass(frozen=True, slots=True)
class Args:
    """CNI_ARGS, the oldest of three ways to ask for something."""

    ip: IPInterface | None = None
    mac: str = ""
    gateway: str = ""
    pod_namespace: str = ""
    pod_name: str = ""
    pod_uid: str = ""
    pod_infra_container_id: str = ""


@dataclass(frozen=True, slots=True)
class CniRequest:
    """`netns` may be empty or point at nothing for DEL. `config` of VERSION is empty."""

    command: Command
    config: NetConf
    container_id: str = ""
    netns: str = ""
    ifname: str = ""
    args: Args = Args()
    path: tuple[str, ...] = ()
    prev_result: Result | None = None
    raw_args: str = ""
    raw_config: str = ""
    """CNI_ARGS and stdin as they came, for the plugin that addresses are delegated to."""

    @property
    def wanted_ips(self) -> tuple[IPInterface, ...]:
        return self.config.runtime.ips or self.config.args.ips or ((self.args.ip,) if self.args.ip else ())

    @property
    def wanted_mac(self) -> str:
        return self.config.runtime.mac or self.config.args.mac or self.args.mac


def split_wire(raw: bytes) -> tuple[dict[str, str], bytes]:
    """Undo the shim's packing: NUL-terminated NAME=VALUE entries, an empty one, then stdin as it was."""
    packed, end, stdin = (b"", b"\0", raw[1:]) if raw.startswith(b"\0") else raw.partition(b"\0\0")
    if not end:
        raise InvalidEnvironment("the request has no environment: it must start with NUL-terminated CNI_* entries")
    entries = (entry.decode("utf-8", "surrogateescape").partition("=") for entry in packed.split(b"\0") if entry)
    return {name: value for name, _, value in entries}, stdin


def version_of(stdin: bytes) -> str:
    """The version in which to answer, even when the request is refused for another reason. Raises as parse does."""
    return require_known(read_version(document(stdin, is_lenient=True)), "config")


def parse(environment: Mapping[str, str], stdin: bytes) -> CniRequest:
    """Raises the types of cni.spec.errors."""
    command = _command(environment)
    _check_environment(command, environment)
    if command is Command.VERSION:
        return CniRequest(command, NetConf(OLDEST, ""))
    lenient = command is Command.DEL
    config_field = document(stdin, is_lenient=lenient)
    identity = read_identity(config_field)
    require_known(identity.cni_version, "config")
    if command in _SINCE:
        require_verb(command, _SINCE[command], identity.cni_version)
    return CniRequest(
        command,
        read_for_delete(config_field) if lenient else read_config(config_field),
        container_id=environment.get("CNI_CONTAINERID", ""),
        netns=environment.get("CNI_NETNS", ""),
        ifname=environment.get("CNI_IFNAME", ""),
        args=Args() if lenient else _args(environment.get("CNI_ARGS", "")),
        path=tuple(filter(None, environment.get("CNI_PATH", "").split(":"))),
        prev_result=None if lenient else _prev_result(command, config_field, identity.cni_version),
        raw_args=environment.get("CNI_ARGS", ""),
        raw_config=stdin.decode(),
    )


def _command(environment: Mapping[str, str]) -> Command:
    text = environment.get("CNI_COMMAND", "")
    try:
        return Command(text)
    except ValueError:
        raise InvalidEnvironment(f"unknown CNI_COMMAND: {text!r}", hint=f"one of {', '.join(Command)}") from None


def _check_environment(command: Command, environment: Mapping[str, str]) -> None:
    missing = [name for name in _REQUIRED[command] if not environment.get(name)]
    if missing:
        raise InvalidEnvironment(f"required env variables [{','.join(missing)}] missing")
    if "CNI_CONTAINERID" in _REQUIRED[command]:
        _check_container_id(environment["CNI_CONTAINERID"])
        _check_ifname(environment["CNI_IFNAME"])


def _check_container_id(text: str) -> None:
    if not IDENTIFIER.fullmatch(text):
        raise InvalidEnvironment(
            f"invalid CNI_CONTAINERID {text!r}", hint="letters, digits, '_', '.' or '-', starting with a letter or digit"
        )


def _check_ifname(text: str) -> None:
    length = len(text.encode("utf-8", "surrogateescape"))
    odd = any(c in "/:" or c.isspace() or not c.isprintable() for c in text)
    if length > _MAX_IFNAME or text in (".", "..") or odd:
        raise InvalidEnvironment(
            f"invalid CNI_IFNAME {text!r}", hint=f"1 to {_MAX_IFNAME} bytes, not '.' or '..', without '/', ':' or white space"
        )


def _args(text: str) -> Args:
    pairs: dict[str, str] = {}
    for pair in filter(None, text.split(";")):
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InvalidEnvironment(f"CNI_ARGS: invalid pair {pair!r}", hint="write KEY=VALUE;KEY2=VALUE2")
        pairs[key] = value
    ignore = _is_true("CNI_ARGS: IgnoreUnknown", pairs.pop("IgnoreUnknown", ""))
    known = {name: pairs.pop(name, "") for name in _ARGS_KEYS}
    if pairs and not ignore:
        raise InvalidEnvironment(f"CNI_ARGS: unknown args {sorted(pairs)}", hint="add IgnoreUnknown=1 to let them pass")
    ip = Field("CNI_ARGS.IP", known.pop("IP"), InvalidEnvironment)
    mac = Field("CNI_ARGS.MAC", known.pop("MAC"), InvalidEnvironment)
    return Args(ip.interface() if ip.text() else None, read_mac(mac), **{_ARGS_KEYS[name]: value for name, value in known.items()})


_ARGS_KEYS = {
    "IP": "ip",
    "MAC": "mac",
    "GATEWAY": "gateway",
    "K8S_POD_NAMESPACE": "pod_namespace",
    "K8S_POD_NAME": "pod_name",
    "K8S_POD_UID": "pod_uid",
    "K8S_POD_INFRA_CONTAINER_ID": "pod_infra_container_id",
}


def _is_true(name: str, text: str) -> bool:
    if text.lower() not in ("", "0", "1", "true", "false"):
        raise InvalidEnvironment(f"{name} must be 1, 0, true or false, got {text!r}")
    return text.lower() in ("1", "true")


def _prev_result(command: Command, config: Field, version: str) -> Result | None:
    previous = config.get("prevResult")
    if not previous:
        if command is Command.CHECK:
            raise InvalidConfig("missing prevResult: CHECK needs the result of ADD", hint="the runtime must send the cached result")
        return None
    return Result.decode(previous.value, default_version=version)
