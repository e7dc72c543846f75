"""Which commit this program was installed from, where the installation tells: it says more than a version."""

from __future__ import annotations

import functools
import json
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

_SHOWN = 7


@functools.cache
def commit() -> str:
    """Return the short hash of the commit; empty for an installation from a package index, which notes none."""
    try:
        # PEP 610: installers note here where a distribution came from, unless it came from an index.
        origin = json.loads(metadata.distribution("assay").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return ""
    noted: str = origin.get("vcs_info", {}).get("commit_id", "")
    if not noted and origin.get("dir_info", {}).get("editable"):
        noted = checked_out(Path(url2pathname(urlsplit(origin["url"]).path)))
    return noted[:_SHOWN]


def checked_out(folder: Path) -> str:
    """Return the commit that is checked out in a folder; empty if that cannot be told."""
    repository = folder / ".git"
    try:
        head = (repository / "HEAD").read_text(encoding="ascii").strip()
        kind, _, name = head.partition(" ")
        if kind != "ref:":
            return head
        if (repository / name).is_file():
            return (repository / name).read_text(encoding="ascii").strip()
        packed = (line.split(" ", 1) for line in (repository / "packed-refs").read_text(encoding="utf-8").splitlines())
        return next((pair[0] for pair in packed if pair[1:] == [name]), "")
    except (OSError, ValueError):
        return ""
