"""The Container Network Interface, 0.1.0 to 1.1.0, as values: no I/O, no clock, no kernel.

`parse(environment, stdin)` judges a request as the specification does and returns it typed; `Result` is what a
plugin answers, in any version, both ways; every error is an agent.errors type that carries its CNI code.
The agent imports this package; the shim never does, for it must start in milliseconds.
"""

from cni.spec.config import Dns, IpRange, Label, NetConf, PortMap, Rates, RuntimeConfig, ValidAttachment
from cni.spec.errors import (
    IncompatibleVersion,
    InvalidConfig,
    InvalidEnvironment,
    InvalidNamespace,
    NotReady,
    NotReadyDegraded,
    Undecodable,
    UnsupportedField,
    error_object,
)
from cni.spec.request import Args, CniRequest, Command, parse, split_wire, version_of
from cni.spec.result import Interface, IpConfig, Result, Route
from cni.spec.version import NEWEST, SUPPORTED, is_at_least, version_object

__all__ = [
    "NEWEST",
    "SUPPORTED",
    "Args",
    "CniRequest",
    "Command",
    "Dns",
    "IncompatibleVersion",
    "Interface",
    "InvalidConfig",
    "InvalidEnvironment",
    "InvalidNamespace",
    "IpConfig",
    "IpRange",
    "Label",
    "NetConf",
    "NotReady",
    "NotReadyDegraded",
    "PortMap",
    "Rates",
    "Result",
    "Route",
    "RuntimeConfig",
    "Undecodable",
    "UnsupportedField",
    "ValidAttachment",
    "error_object",
    "is_at_least",
    "parse",
    "split_wire",
    "version_object",
    "version_of",
]
