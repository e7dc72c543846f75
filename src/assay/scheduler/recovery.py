"""Recovery: takes back what silent workers hold, and fails what ended without a word, each on its own clock."""

from __future__ import annotations

import asyncio
import logging
import time

from assay.artifacts.blobs import BlobStore
from assay.artifacts.holding import deleting
from assay.artifacts.log_folders import LogFolders
from assay.model.errors import AssayError
from assay.model.ids import first_id
from assay.scheduler.identifiers import now
from assay.scheduler.inputs import Inputs
from assay.store.base import Store
from assay.store.clock import PutBack
from assay.store.leases import LapseGraces, LapseLeases
from assay.store.queries import Due, KnownJobs

log = logging.getLogger(__name__)

_PUT_BACK = 500_000
"""Microseconds by which a clock is put back at least: smaller corrections make a deadline no later than it may be."""


async def sweep(store: Store, inputs: Inputs, logs: LogFolders, period_s: float = 3600.0) -> None:
    """Delete the blobs and logs of deleted jobs, for ever; those of the last period are left alone."""
    while True:
        try:
            await sweep_once(store, inputs, logs, time.time() - period_s)
        except (AssayError, OSError) as error:
            log.error("blobs and logs could not be swept: %s", error)
        await asyncio.sleep(period_s)


async def sweep_once(store: Store, inputs: Inputs, logs: LogFolders, before: float) -> tuple[int, int]:
    """Delete the blobs and logs of deleted jobs that were made before a time (seconds since 1970); return how many.

    While a backup copies them all stay.
    """
    needed = await inputs.needed(before)
    blobs_dropped = await asyncio.to_thread(_sweep_blobs, inputs.blobs, needed, before)
    old, stray = [id_ for id_ in await asyncio.to_thread(logs.jobs) if id_ < first_id(before)], []
    for first in range(0, len(old), 500):
        ids = tuple(old[first : first + 500])
        known = await store.scan(KnownJobs(ids))
        stray += [id_ for id_ in ids if id_ not in known]
    logs_dropped = await asyncio.to_thread(logs.remove, stray)
    if blobs_dropped or logs_dropped:
        log.info("deleted %d blobs and the logs of %d jobs that nothing refers to", blobs_dropped, logs_dropped)
    return blobs_dropped, logs_dropped


def _sweep_blobs(blobs: BlobStore, needed: set[str], before: float) -> int:
    with deleting(blobs.root.parent) as free:
        return blobs.sweep(needed, before) if free else 0


async def watch(store: Store, lease_s: float, grace_s: float, period_s: float = 0.5) -> None:
    """Apply lapsed leases and graces, for ever. Looking costs microseconds; a transaction is made only when one is due.

    Workers could not renew while the server was down, so leases lapse only `lease_s` seconds after the start; and likewise
    after a gap: the server or the machine stood still, or the clock was put forward. When the clock was put back, deadlines
    that it set before are brought nearer; it may have been while the server was down, too.
    """
    patient_until, last = time.monotonic() + lease_s, now()
    ahead = last - time.monotonic_ns() // 1000
    put_back_until = time.monotonic() + lease_s
    while True:
        try:
            lease_at, grace_at = await store.lookup(Due())
            moment = now()
            before, ahead = ahead, moment - time.monotonic_ns() // 1000
            if before - ahead > _PUT_BACK:
                put_back_until = time.monotonic() + lease_s
            if time.monotonic() < put_back_until:  # what was under way then may be written a little later
                changed = await store.apply(PutBack(moment, round(lease_s * 1_000_000), round(grace_s * 1_000_000)))
                if changed:
                    log.warning("the clock was put back; %d deadlines that it had set are nearer now", changed)
            if moment - last > max(lease_s / 2, 4 * period_s) * 1_000_000:
                patient_until = time.monotonic() + lease_s
            last = moment
            lapsed = lease_at is not None and lease_at <= moment and time.monotonic() >= patient_until
            if lapsed and (taken := await store.apply(LapseLeases(moment))):  # another server may have been first
                log.warning("took %d runs back from silent workers", taken)
            if grace_at is not None and grace_at <= moment:
                await store.apply(LapseGraces(moment))
        except AssayError as error:
            log.error("recovery waits: %s", error.message)
        except Exception:  # whatever it is: without recovery lost runs would stay for ever
            log.exception("recovery waits")
        await asyncio.sleep(period_s)
