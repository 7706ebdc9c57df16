"""podwright volume: the volumes in the pools, by id or by name."""

from __future__ import annotations

from urllib.parse import quote

import click

from agent.api.client import Client, Document
from agent.cli.options import examples
from agent.cli.sizes import bytes_of, size_text
from agent.cli.terminal import RED, painted, print_table
from agent.errors import NotFound


@click.group()
def command() -> None:
    """Show volumes, copy, grow and check them."""


@command.command("list", epilog=examples("podwright volume list"))
def list_() -> None:
    """Show volumes and where they are used."""
    with Client() as client:
        volumes = client.get("/volumes")["items"]
    rows = [[v["id"], v["name"], size_text(v["sizeBytes"]), v["fsType"] or "block", v["pool"], _state(v)] for v in volumes]
    print_table(["ID", "NAME", "SIZE", "TYPE", "POOL", "STATE"], rows)


@command.command(epilog=examples("podwright volume describe data"))
@click.argument("volume")
def describe(volume: str) -> None:
    """Show everything about a volume."""
    with Client() as client:
        found = _find(client, volume)
        snapshots = client.get("/snapshots", {"sourceVolume": found["id"]})["items"]
    for name, value in (
        ("Id", found["id"]),
        ("Name", found["name"]),
        ("Size", size_text(found["sizeBytes"])),
        ("Type", found["fsType"] or "block"),
        ("Pool", found["pool"]),
        ("Made from", found["sourceSnapshot"] or found["sourceVolume"] or "nothing"),
        ("Parameters", ", ".join(f"{key}={text}" for key, text in {**found["parameters"], **found["mutableParameters"]}.items()) or "none"),
        ("Used at", "\n".join(found["published"]) or "nowhere"),
        ("Snapshots", "\n".join(f"{s['name']} ({s['id']})" for s in snapshots) or "none"),
        ("State", _state(found)),
    ):
        first, *more = value.split("\n")
        print(f"{name + ':':<12}{first}")
        for line in more:
            print(f"{'':<12}{line}")


@command.command(epilog=examples("podwright volume snapshot data monday"))
@click.argument("volume")
@click.argument("name")
def snapshot(volume: str, name: str) -> None:
    """Take a snapshot of a volume, in use or not."""
    with Client() as client:
        made = client.create("/snapshots", {"name": name, "sourceVolume": _find(client, volume)["id"]})
    print(f"snapshot {made['name']} is taken: {made['id']}, {size_text(made['sizeBytes'])}")


@command.command(epilog=examples("podwright volume snapshots"))
def snapshots() -> None:
    """Show the snapshots there are."""
    with Client() as client:
        found = client.get("/snapshots")["items"]
    print_table(["ID", "NAME", "SIZE", "VOLUME"], [[s["id"], s["name"], size_text(s["sizeBytes"]), s["sourceVolume"]] for s in found])


@command.command("delete-snapshot", epilog=examples("podwright volume delete-snapshot monday"))
@click.argument("snapshot")
def delete_snapshot(snapshot: str) -> None:
    """Remove a snapshot; volumes made from it stay."""
    with Client() as client:
        found = _find_snapshot(client, snapshot)
        client.delete(f"/snapshots/{found['id']}")
    print(f"snapshot {found['name']} is removed")


@command.command(epilog=examples("podwright volume restore monday data-again --size 2Gi"))
@click.argument("snapshot")
@click.argument("name")
@click.option("--size", default="", metavar="SIZE", help="At least the snapshot's; default: the same.")
def restore(snapshot: str, name: str, size: str) -> None:
    """Make a new volume from a snapshot."""
    with Client() as client:
        source = _find_snapshot(client, snapshot)["id"]
        _made(client.create("/volumes", {"name": name, "requiredBytes": bytes_of(size) if size else 0, "sourceSnapshot": source}))


@command.command(epilog=examples("podwright volume clone data copy"))
@click.argument("volume")
@click.argument("name")
@click.option("--size", default="", metavar="SIZE", help="At least the volume's; default: the same.")
def clone(volume: str, name: str, size: str) -> None:
    """Make a new volume with what this one holds now."""
    with Client() as client:
        source = _find(client, volume)
        wanted = {"name": name, "requiredBytes": bytes_of(size) if size else 0, "sourceVolume": source["id"], "isBlock": source["isBlock"]}
        _made(client.create("/volumes", wanted))


@command.command(epilog=examples("podwright volume expand data 2Gi"))
@click.argument("volume")
@click.argument("size")
def expand(volume: str, size: str) -> None:
    """Make a volume larger; it never gets smaller."""
    with Client() as client:
        found = _find(client, volume)
        grown = client.create(f"/volumes/{found['id']}/expand", {"requiredBytes": bytes_of(size)})
    later = ", its filesystem grows at the next mount" if grown["needsNode"] else ""
    print(f"volume {found['name']} has {size_text(grown['sizeBytes'])}{later}")


@command.command(epilog=examples("podwright volume trim data"))
@click.argument("volume")
def trim(volume: str) -> None:
    """Give blocks that files no longer use back to the pool."""
    _act(volume, "trim", "is trimmed")


@command.command(epilog=examples("podwright volume check data"))
@click.argument("volume")
def check(volume: str) -> None:
    """Look for damage in a volume that nobody uses; nothing is changed."""
    _act(volume, "check", "is well")


@command.command(epilog=examples("podwright volume delete copy --yes"))
@click.argument("volume")
@click.option("--yes", is_flag=True, help="Its data is gone then.")
def delete(volume: str, yes: bool) -> None:
    """Remove a volume and its data. One that a claim has goes with the claim instead."""
    if not yes:
        raise click.UsageError(f"this deletes the data of volume {volume}: add --yes if that is wanted")
    with Client() as client:
        found = _find(client, volume)
        client.delete(f"/volumes/{found['id']}")
    print(f"volume {found['name']} is removed")


def _act(volume: str, verb: str, done: str) -> None:
    with Client() as client:
        found = _find(client, volume)
        client.create(f"/volumes/{found['id']}/{verb}", {})
    print(f"volume {found['name']} {done}")


def _find(client: Client, wanted: str) -> Document:
    if wanted.startswith("vol-"):
        return client.get(f"/volumes/{quote(wanted, safe='')}")
    return _by_name(client.get("/volumes")["items"], wanted, "volume")


def _find_snapshot(client: Client, wanted: str) -> Document:
    return _by_name(client.get("/snapshots")["items"], wanted, "snapshot")


def _by_name(items: list[Document], wanted: str, what: str) -> Document:
    for item in items:
        if wanted in (item["id"], item["name"]):
            return item
    raise NotFound(f"there is no {what} {wanted}", hint=f"podwright volume {'list' if what == 'volume' else 'snapshots'} shows them")


def _made(volume: Document) -> None:
    print(f"volume {volume['name']} is made: {volume['id']}, {size_text(volume['sizeBytes'])}")


def _state(volume: Document) -> str:
    if volume["abnormal"]:
        return painted(f"abnormal: {volume['abnormal']}", RED)
    return "in use" if volume["published"] else "free"
