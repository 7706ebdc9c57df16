"""What `podwright cni install` puts on a node: the network configuration list and the binary it names.

Works with the agent down, and is the only thing that writes to a runtime's configuration directory. Runtimes
use the first file by name there, so another file beside ours is a conflict that the user must settle. Whatever
is there already and is not ours is kept, under a name that runtimes ignore, and comes back on uninstall.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from agent.errors import AlreadyExists, InternalError, Unsupported

CONF_DIR = Path("/etc/cni/net.d")
BIN_DIRS = (Path("/opt/cni/bin"), Path("/usr/lib/cni"))
SOCKET = Path("/run/podwright/agent.sock")
SPOOL = Path("/var/lib/podwright/spool")
CONFLIST_NAME = "10-podwright.conflist"
TYPE = "podwright"
INTERPRETER = Path("/usr/bin/python3")
_SAVED = ".saved-by-podwright"
_CAPABILITIES = ("portMappings", "bandwidth", "ips", "mac", "ipRanges", "dns")


def conflist(name: str = "podwright") -> str:
    """Libraries before CNI 1.1 read cniVersion alone; later ones take the highest of both that they know."""
    plugin = {"type": TYPE, "capabilities": dict.fromkeys(_CAPABILITIES, True)}
    document = {"cniVersion": "1.0.0", "cniVersions": ["0.4.0", "1.0.0", "1.1.0"], "name": name, "plugins": [plugin]}
    return json.dumps(document, indent=2) + "\n"


def binary(socket: Path = SOCKET, spool: Path = SPOOL) -> str:
    """The shim with its constants filled in; one self-contained file."""
    here = Path(__file__).parent
    text = here.joinpath("shim.py").read_text(encoding="utf-8")
    absent = here.joinpath("absent.py").read_text(encoding="utf-8")
    for constant, value in (("SOCKET", str(socket)), ("SPOOL", str(spool)), ("ABSENT", absent)):
        assignment = f"{constant} = {value!r}"
        text, count = re.subn(rf"^{constant} = .*$", lambda _, line=assignment: line, text, flags=re.MULTILINE)  # type: ignore[misc]
        if count != 1:
            raise InternalError(f"cannot fill in {constant} of the CNI binary: found {count} places")
    return text


def install(  # noqa: PLR0913 - each is a flag of the command
    conf_dir: Path = CONF_DIR,
    bin_dir: Path | None = None,
    *,
    socket: Path = SOCKET,
    spool: Path = SPOOL,
    name: str = "podwright",
    force: bool = False,
) -> list[str]:
    """Returns what was done, a line each. `bin_dir` None: the first of BIN_DIRS that exists. Raises AlreadyExists."""
    target = (bin_dir or existing_bin_dir()) / TYPE
    listed = conf_dir / CONFLIST_NAME
    _require_interpreter()
    if not force:
        _refuse_foreign(target, listed)
        _refuse_rivals(conf_dir)
    # the binary first: from the moment the list is there, a runtime may call it
    done = [_put(target, binary(socket, spool), 0o755), _put(listed, conflist(name), 0o644)]
    first = min([*_rivals(conf_dir), listed])
    if first != listed:
        done.append(f"note: runtimes use {first}, which comes before {listed.name}")
    return done


def uninstall(conf_dir: Path = CONF_DIR, bin_dir: Path | None = None) -> list[str]:
    """Removes what is ours and restores what was saved. Nothing there is success."""
    bin_dirs = (bin_dir,) if bin_dir else BIN_DIRS
    return [line for path in (conf_dir / CONFLIST_NAME, *(folder / TYPE for folder in bin_dirs)) for line in _take_away(path)]


def existing_bin_dir() -> Path:
    return next((folder for folder in BIN_DIRS if folder.is_dir()), BIN_DIRS[0])


def _require_interpreter() -> None:
    if not os.access(INTERPRETER, os.X_OK):
        raise Unsupported(f"the CNI binary needs {INTERPRETER}", hint="install it: apt-get install python3-minimal")


def _refuse_foreign(*paths: Path) -> None:
    for path in paths:
        if path.exists() and not _is_ours(path):
            raise AlreadyExists(f"{path} exists and is not podwright's", hint="--force saves it and puts ours in its place")


def _refuse_rivals(conf_dir: Path) -> None:
    rivals = _rivals(conf_dir)
    if rivals:
        raise AlreadyExists(
            f"another network is configured: {', '.join(map(str, rivals))}",
            hint="remove it, or use --force to install beside it (runtimes use the first file by name)",
        )


def _rivals(conf_dir: Path) -> list[Path]:
    found = (path for pattern in ("*.conf", "*.conflist", "*.json") for path in conf_dir.glob(pattern))
    return sorted(path for path in found if path.name != CONFLIST_NAME)


def _is_ours(path: Path) -> bool:
    """A binary is known by its second line, a list by the plugin that it starts with."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.name == TYPE:
        return text.startswith("#!") and "\nABSENT = " in text
    try:
        return bool(json.loads(text)["plugins"][0]["type"] == TYPE)
    except (ValueError, LookupError, TypeError):
        return False


def _put(path: Path, text: str, mode: int) -> str:
    if path.exists() and not _is_ours(path):
        path.rename(path.with_name(path.name + _SAVED))
    elif path.exists() and path.read_text(encoding="utf-8") == text and path.stat().st_mode & 0o777 == mode:
        return f"{path} is up to date"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    with open(draft, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    return f"{path} written"


def _take_away(path: Path) -> list[str]:
    saved, done = path.with_name(path.name + _SAVED), []
    if path.exists() and _is_ours(path):
        path.unlink()
        done.append(f"{path} removed")
    if saved.exists() and not path.exists():
        saved.rename(path)
        done.append(f"{path} restored")
    return done
