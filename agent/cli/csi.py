"""podwright csi: the CSI driver, a process of its own; this only starts it in our place."""

from __future__ import annotations

import os
import sys

import click

from agent.api.client import default_socket

_EXAMPLES = """\b
Examples:
  podwright csi
  podwright csi --endpoint unix:///csi/csi.sock
  podwright csi --registration /registration/podwright.sock --kubelet-endpoint /var/lib/kubelet/plugins/csi.podwright.io/csi.sock
"""


@click.command(epilog=_EXAMPLES)
@click.option("--endpoint", default="", metavar="URL", help="Our socket; default $CSI_ENDPOINT, else unix:///run/podwright/csi.sock.")
@click.option("--registration", default="", metavar="PATH", help="A socket in the kubelet's plugins_registry to register at.")
@click.option("--kubelet-endpoint", default="", metavar="PATH", help="Our socket as the kubelet sees it; default: the endpoint.")
def command(**options: str) -> None:
    """Serve volumes through the Container Storage Interface."""
    given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value]
    argv = [sys.executable, "-m", "csi", f"--agent={default_socket()}", *given]
    os.execv(sys.executable, argv)  # noqa: S606 - it becomes the driver
