"""What the worker's machine has: CPUs, memory, GPUs."""

from __future__ import annotations

import csv
import logging
import os
import shutil
import subprocess
from collections.abc import Mapping

from assay.model.errors import BadRequest
from assay.model.protocol import Gpu

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
_QUERY = ("--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits")
_PATIENCE_S = 20.0
_MIB = 1 << 20


def cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def memory() -> int:
    """Return the bytes of memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gpus(wanted: int | None, environ: Mapping[str, str] = os.environ) -> list[Gpu]:
    """Return the GPUs that runs may be given: those that nvidia-smi finds, or `wanted` of them.

    A CUDA_VISIBLE_DEVICES of the worker's own bounds the choice. Without nvidia-smi the `wanted` ones are numbered from 0.
    Raises BadRequest where fewer than `wanted` are there.
    """
    if wanted == 0:
        return []
    found = _visible(_found(), environ.get(VISIBLE))
    if wanted is None:
        return found
    if not found:
        found = [Gpu(name) for name in _listed(environ.get(VISIBLE)) or map(str, range(wanted))]
    if len(found) < wanted:
        problem = f"--gpus asks for {wanted} GPUs, and this machine offers {len(found)}"
        raise BadRequest(error=f"{problem}. Give a smaller number, or look at nvidia-smi and {VISIBLE}.")
    return found[:wanted]


def environment(mine: tuple[str, ...], has_gpus: bool) -> dict[str, str]:
    """Return what shows a run the GPUs that are its own, and no others. `has_gpus`: the worker has any to give."""
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", VISIBLE: ",".join(mine)} if has_gpus else {}


def _found() -> list[tuple[str, Gpu]]:
    """Return what nvidia-smi lists: each GPU with its UUID."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        ended = subprocess.run([program, *_QUERY], capture_output=True, text=True, timeout=_PATIENCE_S, check=True)
        rows = [[cell.strip() for cell in row] for row in csv.reader(ended.stdout.splitlines()) if row]
        return [(uuid, Gpu(index, name, int(mib) * _MIB if mib.isdigit() else 0)) for index, uuid, name, mib in rows]
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        log.warning("nvidia-smi does not say which GPUs there are (%s); --gpus N tells the worker", error)
        return []


def _visible(found: list[tuple[str, Gpu]], listed: str | None) -> list[Gpu]:
    if listed is None:
        return [gpu for _, gpu in found]
    by_name = {name: gpu for uuid, gpu in found for name in (uuid, gpu.id)}
    return [by_name[name] for name in _listed(listed) if name in by_name]


def _listed(value: str | None) -> list[str]:
    return [name.strip() for name in (value or "").split(",") if name.strip()]
