"""podwright cni: put the CNI plugin where a container runtime finds it, and take it away. Works with the agent down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from agent.api.client import default_socket
from agent.cli.options import gathered

_INSTALL_EXAMPLES = """\b
Examples:
  podwright cni install
  podwright cni install --bin-dir /usr/lib/cni --conf-dir /etc/cni/net.d
  podwright cni install --force        also beside another network's configuration
"""
_UNINSTALL_EXAMPLES = """\b
Examples:
  podwright cni uninstall
"""


_CHECK_EXAMPLES = """\b
Examples:
  podwright cni check-config /etc/cni/net.d/10-mine.conflist
"""
_ERRORS_EXAMPLES = """\b
Examples:
  podwright cni errors        all codes
  podwright cni errors 11     what it means and what to do
"""


@dataclass(frozen=True, slots=True)
class _Options:
    conf_dir: Path
    bin_dir: Path | None
    name: str
    force: bool


_CONF_DIR = click.option(
    "--conf-dir",
    type=click.Path(path_type=Path),
    default=Path("/etc/cni/net.d"),
    show_default=True,
    help="Where runtimes look for networks.",
)
_BIN_DIR = click.option(
    "--bin-dir", type=click.Path(path_type=Path), help="Where runtimes look for plugins; default: /opt/cni/bin or /usr/lib/cni."
)


@click.group()
def command() -> None:
    """Put the CNI plugin where a container runtime finds it."""


@command.command(epilog=_INSTALL_EXAMPLES)
@_CONF_DIR
@_BIN_DIR
@click.option("--name", default="podwright", show_default=True, help="The network's name.")
@click.option("--force", is_flag=True, help="Save what is there under another name, and ignore other networks.")
@gathered(_Options)
def install(options: _Options) -> None:
    """Write the network configuration list and the plugin."""
    from cni import conflist  # noqa: PLC0415 - only here

    for line in conflist.install(options.conf_dir, options.bin_dir, socket=Path(default_socket()), name=options.name, force=options.force):
        print(line)
    bin_dir = options.bin_dir or conflist.existing_bin_dir()
    if not (bin_dir / "loopback").exists():
        print(f"note: containerd also needs the plugin loopback in {bin_dir}: apt-get install containernetworking-plugins, and link it")


@command.command(epilog=_UNINSTALL_EXAMPLES)
@_CONF_DIR
@_BIN_DIR
def uninstall(conf_dir: Path, bin_dir: Path | None) -> None:
    """Remove what install wrote, and put back what it saved."""
    from cni import conflist  # noqa: PLC0415 - only here

    for line in conflist.uninstall(conf_dir, bin_dir) or ["nothing to remove"]:
        print(line)


@command.command("check-config", epilog=_CHECK_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def check_config(file: Path) -> int:
    """Say what a configuration list would do, before it is installed. Status 1 if podwright could not work with it."""
    from cni import check  # noqa: PLC0415 - only here

    report = check.check(file.read_bytes())
    for line in (*report.facts, *(f"error: {problem}" for problem in report.problems)):
        print(line)
    return 1 if report.problems else 0


@command.command(epilog=_ERRORS_EXAMPLES)
@click.argument("code", type=int, required=False)
def errors(code: int | None) -> None:
    """What the plugin's error codes mean, and what to do."""
    from cni.codes import PAGES  # noqa: PLC0415 - only here

    if code is None:
        for known, page in PAGES.items():
            print(f"{known:>4}  {page.title}")
    elif code in PAGES:
        print(PAGES[code].text(code), end="")
    else:
        raise click.UsageError(f"podwright has no error code {code}; without a code this command lists all")
