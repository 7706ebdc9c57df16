"""`podwright csi`: the driver's process. CSI_ENDPOINT names its socket, as the specification has it."""

from __future__ import annotations

import argparse
import os
import sys

from agent.api.client import default_socket
from agent.errors import PodwrightError

_DEFAULT_ENDPOINT = "unix:///run/podwright/csi.sock"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="podwright csi", description="Serve this node's volumes as csi.podwright.io.")
    parser.add_argument("--endpoint", default=os.environ.get("CSI_ENDPOINT") or _DEFAULT_ENDPOINT, help="our socket (default: %(default)s)")
    parser.add_argument("--agent", default=default_socket(), help="the agent's socket (default: %(default)s)")
    parser.add_argument("--registration", default="", metavar="PATH", help="a socket in the kubelet's plugins_registry to register at")
    parser.add_argument("--kubelet-endpoint", default="", metavar="PATH", help="our socket as the kubelet sees it (default: the endpoint)")
    asked = parser.parse_args(arguments)
    try:
        from csi import server  # noqa: PLC0415 - what is missing is said in one line

        server.run(asked.endpoint, asked.agent, registration=asked.registration, kubelet_endpoint=asked.kubelet_endpoint)
    except ModuleNotFoundError as error:
        print(f"podwright csi: {error.name} is not installed: pip install 'podwright[csi]'", file=sys.stderr)
        return 1
    except PodwrightError as error:
        print(f"podwright csi: {error.message}" + (f"\n{error.hint}" if error.hint else ""), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
