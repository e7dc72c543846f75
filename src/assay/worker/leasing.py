"""Keeps the slots of a worker busy: asks for runs, begins them, and with the end of each asks for another in its place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from assay.client.workers import Refused, ServerGone
from assay.engines.base import Executor
from assay.model.protocol import Asking, Ending, Lease, LeaseRequest
from assay.model.states import WorkerState
from assay.worker.attempt import Attempt
from assay.worker.place import Place
from assay.worker.slots import Ask, Slots

log = logging.getLogger(__name__)


class Leasing:
    """Asks for one incarnation of a worker.

    One call waits at the server, for runs and for word of what the worker holds, also while no slot is free. The end of a
    run carries a question of its own, which is answered at once: most runs of a long queue come that way, without a call for
    them, and the call that waits is not given up for each slot that becomes free.
    """

    def __init__(self, place: Place, slots: Slots, worker: str, incarnation: str, executors: Mapping[str, Executor]) -> None:
        self._place, self._slots, self._executors = place, slots, executors
        self._worker, self._incarnation = worker, incarnation
        self.state = WorkerState.ACTIVE
        """What the worker may do, as far as the server has told."""
        self.told = asyncio.Event()
        """Set when the server has something to say that a heartbeat brings."""

    async def run(self) -> bool:
        """Ask for runs, for ever; return whether the worker has been drained, rather than forgotten by the server."""
        slots = self._slots
        while True:
            slots.changed.clear()
            slots.more_gpus.clear()
            draining = self.state is WorkerState.DRAINING
            if draining and not slots.attempts:
                return True
            with slots.asking(0 if draining else slots.free) as ask:
                asked = LeaseRequest(incarnation=self._incarnation, free=ask.free, gpus=len(ask.gpus))
                call = asyncio.create_task(self._place.api.lease(asked))
                call.add_done_callback(_heed)
                # A slot that nobody asks for makes a wait for none pointless, and a GPU one for runs that need fewer.
                more = slots.more_gpus if ask.free > 0 else slots.changed
                changed = asyncio.create_task(more.wait())
                try:
                    await asyncio.wait([call, changed], return_when=asyncio.FIRST_COMPLETED)
                    if not call.done():
                        continue
                    answer = call.result()
                except ServerGone:
                    await asyncio.sleep(0.5)
                    continue
                except Refused as refusal:
                    log.warning("the server refused a lease: %s", refusal)
                    return False
                finally:
                    changed.cancel()
                    if not call.done():
                        call.cancel()
                if answer.check:
                    self.told.set()
                elif ask.free > 0:
                    self.state = answer.state
                self._begin(answer.leases, ask)

    def direct(self, state: WorkerState) -> None:
        """Take note of what the worker may do from now on."""
        if state is not self.state:
            self.state = state
            self._slots.changed.set()  # who waits for nothing but this looks again

    async def end(self, run_id: str, ending: Ending) -> None:
        """Tell the server how a run ended, and begin what it gives in its place. Raises Refused, ServerGone."""
        with self._slots.asking(1) as ask:
            if ask.free and self.state is WorkerState.ACTIVE:
                asked = Asking(worker=self._worker, incarnation=self._incarnation, free=ask.free, gpus=len(ask.gpus))
                ending = msgspec.structs.replace(ending, ask=asked)
            self._begin(await self._place.api.end(run_id, ending), ask)

    def _begin(self, leases: Sequence[Lease], ask: Ask) -> None:
        gpus = list(ask.gpus)
        for lease in leases:
            for older in self._slots.attempts:  # its lease lapsed while this worker stood still
                if older.lease.run_id == lease.run_id:
                    older.stop(drop=True)
            wanted = lease.plan.resources.gpus if lease.plan.resources else 0
            mine, gpus = tuple(gpus[:wanted]), gpus[wanted:]
            attempt = Attempt(self._place, lease, self._executors.get(lease.plan.engine), self.end, mine)
            self._slots.begin(attempt, attempt.carry_out())


def _heed(task: asyncio.Task[Any]) -> None:
    """Take note of how a task ended: a call that nobody waits for any more may fail in silence."""
    if not task.cancelled():
        task.exception()
