"""A worker registers, asks for runs, and says that it is alive."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from assay import __version__
from assay.model.errors import BadRequest, ProtocolMismatch
from assay.model.placement import problem
from assay.model.protocol import (
    PROTOCOL,
    Ending,
    GrantAnswer,
    Heartbeat,
    HeartbeatAnswer,
    LeaseRequest,
    Registered,
    Registration,
)
from assay.model.states import WorkerState
from assay.scheduler.identifiers import now, rfc3339
from assay.server.body import read_struct
from assay.server.respond import json_response
from assay.server.services import Services, services
from assay.store.base import QUEUE, SLOTS, worker_topic
from assay.store.leases import DismissWorker, RegisterWorker, RenewLeases
from assay.store.queries import NextReady, RegisteredWorker
from assay.store.queue import Taken, TakeRuns
from assay.store.runs import EndRun

_LIMIT = 1 << 20
_LONGEST_WAIT_S = 30.0
_LOOK_US = 1_000_000
HEARTBEATS_PER_LEASE = 15
_NOTHING = Taken([], held_back=False)


async def register(request: Request) -> Response:
    """Enter a worker; what an earlier incarnation held goes back to the queue."""
    at = services(request)
    registration = await read_struct(request, Registration, _LIMIT)
    if registration.protocol != PROTOCOL:
        raise ProtocolMismatch(
            worker=registration.name,
            version=registration.version or "of no version",
            theirs=registration.protocol,
            ours=PROTOCOL,
            server_version=__version__,
        )
    if wrong := problem(registration.labels):
        raise BadRequest(error=f"labels: {wrong}")
    state = await at.store.apply(RegisterWorker(registration, now()))
    lease_s = at.settings.lease_seconds
    return json_response(Registered(lease_s, lease_s / HEARTBEATS_PER_LEASE, PROTOCOL, state))


async def lease(request: Request) -> Response:
    """Answer with runs for the worker's free slots as soon as there are some, or when it should look at what it holds."""
    asked = await read_struct(request, LeaseRequest, _LIMIT)
    gone = asyncio.ensure_future(_gone(request))
    try:
        return await _leased(request, asked, gone)
    finally:
        gone.cancel()


async def _gone(request: Request) -> None:
    """Wait until the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _leased(request: Request, asked: LeaseRequest, gone: asyncio.Future[None]) -> Response:
    """Answer with runs, but give none to a worker that is not there any more: they would wait for the end of its leases."""
    at, name = services(request), request.path_params["worker"]
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(max(asked.wait_s, 0.0), _LONGEST_WAIT_S)
    held_back = False
    while True:
        told = at.store.signals.ticket([worker_topic(name)])
        topics = [QUEUE, SLOTS] if held_back else [QUEUE]
        more = at.store.signals.ticket(topics) if asked.free > 0 else None
        try:
            taken, next_at, state = await _take(at, name, asked)
            if gone.done():
                await _give_back(at, taken)
                return json_response(GrantAnswer(leases=[]))
            left = deadline - loop.time()
            # A worker that is to end must not wait here for runs that it will not get.
            if taken.leases or left <= 0 or at.store.signals.closed or state is WorkerState.DRAINING:
                return json_response(GrantAnswer(leases=taken.leases, state=state))
            if taken.held_back and not held_back:  # from now on a slot that becomes free counts, too
                held_back = True
                continue
            pause = left if next_at is None else min(left, max(next_at - now(), 0) / 1e6 + 0.001)
            tickets = [gone, told.waiter, *([more.waiter] if more else [])]
            await asyncio.wait(tickets, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return json_response(GrantAnswer(leases=[]))
            if told.waiter.done():
                return json_response(GrantAnswer(leases=[], check=True))
        finally:
            told.drop()
            if more:
                more.drop()


async def _give_back(at: Services, taken: Taken) -> None:
    """Return runs to the queue that their worker will never hear of."""
    moment = now()
    back = []
    for one in taken.leases:
        ending = Ending(fence=one.fence, outcome="released", code="not_there", message="The worker had hung up meanwhile.")
        back.append(EndRun(one.run_id, ending, moment, rfc3339(moment), grace=0, delay=0))
    await at.store.transact(back)


async def _take(at: Services, name: str, asked: LeaseRequest) -> tuple[Taken, int | None, WorkerState]:
    """Lease what is ready; return that, when to look again at the latest, and what the worker may do.

    An empty queue costs no transaction.
    """
    if asked.free <= 0:
        return _NOTHING, None, WorkerState.ACTIVE
    worker = await at.store.lookup(RegisteredWorker(name, asked.incarnation))
    if worker.state is not WorkerState.ACTIVE:
        return _NOTHING, None, worker.state
    moment = now()
    ready_at = await at.store.lookup(NextReady(tuple(worker.engines)))
    if ready_at is None or ready_at > moment:
        return _NOTHING, ready_at, worker.state
    lease_us = round(at.settings.lease_seconds * 1_000_000)
    taking = TakeRuns(name, asked.incarnation, asked.free, moment, lease_us, at.quotas.current, asked.gpus)
    # What is ready may be for other workers, and hide what will be ready for this one.
    return await at.store.apply(taking), moment + _LOOK_US, worker.state


async def heartbeat(request: Request) -> Response:
    """Renew all leases of a worker; answer with the runs that it must stop. With the last one it takes its leave."""
    at, name = services(request), request.path_params["worker"]
    beat = await read_struct(request, Heartbeat, _LIMIT)
    if beat.ends:
        return json_response(HeartbeatAnswer([], await at.store.apply(DismissWorker(name, beat.incarnation, now()))))
    lease_us = round(at.settings.lease_seconds * 1_000_000)
    return json_response(await at.store.apply(RenewLeases(name, beat, now(), lease_us), urgent=True))
