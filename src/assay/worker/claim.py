"""A worker's claim on its name in a data folder: two of one name would end each other's runs."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
from pathlib import Path
from typing import IO

from assay.model.errors import BadRequest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LOOK_S = 0.05


def check_name(name: str) -> None:
    """Raise BadRequest for a name that cannot be a folder's and part of a URL."""
    if not _NAME.fullmatch(name):
        problem = "it may hold up to 100 letters, digits, dots, dashes and underscores, and starts with a letter or digit"
        raise BadRequest(error=f"'{name[:120]}' cannot be the name of a worker: {problem}. Choose another with --name.")


async def claim(data: Path, name: str, patience_s: float) -> IO[bytes]:
    """Return the claim, held until it is closed or the process ends; wait `patience_s` seconds for an earlier worker to end.

    Raises BadRequest when another worker holds it, or when the folder cannot be written.
    """
    folder = data / "runs"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.fdopen(os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    except OSError as error:
        problem = f"The worker cannot write to {folder} ({error.strerror})"
        raise BadRequest(error=f"{problem}. Give this user access to it, or choose another folder with --data.") from None
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if loop.time() > deadline:
                file.close()
                problem = f"A worker '{name}' is at work in {data} already. Choose another --name or another --data."
                raise BadRequest(error=problem) from None
            await asyncio.sleep(_LOOK_S)
        else:
            return file
