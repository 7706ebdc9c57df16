"""podwright pool: where volumes are made, and how much room there is."""

from __future__ import annotations

import click

from agent.api.client import Client
from agent.cli.options import examples
from agent.cli.sizes import bytes_of, size_text
from agent.cli.terminal import print_table


@click.group()
def command() -> None:
    """Show, make and remove the pools that volumes are in."""


@command.command("list", epilog=examples("podwright pool list"))
def list_() -> None:
    """Show pools: their size, what can still be promised, and files that no record knows."""
    with Client() as client:
        pools = client.get("/pools")["items"]
    rows = [
        [
            pool["name"],
            size_text(pool["totalBytes"]),
            size_text(pool["availableBytes"]),
            str(pool["volumes"]),
            "yes" if pool["sharesBlocks"] else "no",
            pool["directory"],
        ]
        for pool in pools
    ]
    print_table(["NAME", "SIZE", "AVAILABLE", "VOLUMES", "SNAPSHOTS AT ONCE", "DIRECTORY"], rows)
    for path in (path for pool in pools for path in pool["unknownFiles"]):
        print(f"unknown file, left alone: {path}")


@command.command(
    epilog=examples(
        "podwright pool create fast --size 20Gi",
        "podwright pool create archive --directory /srv/pool  a directory on a filesystem of your choice",
    )
)
@click.argument("name")
@click.option("--size", default="", metavar="SIZE", help="Of the image to make, such as 20Gi.")
@click.option("--directory", default="", metavar="PATH", help="An empty directory that is there.")
@click.option("--overcommit", default=1.0, metavar="FACTOR", help="Bytes of thin volumes promised for one that is free.")
def create(name: str, size: str, directory: str, overcommit: float) -> None:
    """Make a pool, in an image of its own or in a directory."""
    document = {"name": name, "sizeBytes": bytes_of(size) if size else 0, "directory": directory, "overcommit": overcommit}
    with Client() as client:
        made = client.create("/pools", document)
    print(f"pool {made['name']} is made in {made['directory']}")


@command.command(epilog=examples("podwright pool delete fast"))
@click.argument("name")
def delete(name: str) -> None:
    """Remove a pool that holds nothing any more."""
    with Client() as client:
        client.delete(f"/pools/{name}")
    print(f"pool {name} is removed")
