"""A worker registers, asks for runs, and says that it is alive."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from assay.model.protocol import Heartbeat, HeartbeatAnswer, LeaseAnswer, LeaseRequest, Registered, Registration
from assay.scheduler.identifiers import now
from assay.server.body import read_struct
from assay.server.respond import json_response
from assay.server.services import Services, services
from assay.store.base import QUEUE, SLOTS, worker_topic
from assay.store.leases import RegisterWorker, RenewLeases
from assay.store.queries import NextReady, WorkerEngines
from assay.store.queue import Taken, TakeRuns

_LIMIT = 1 << 20
_LONGEST_WAIT_S = 30.0
HEARTBEATS_PER_LEASE = 15
_NOTHING = Taken([], held_back=False)


async def register(request: Request) -> Response:
    """Enter a worker; what an earlier incarnation held goes back to the queue."""
    at = services(request)
    registration = await read_struct(request, Registration, _LIMIT)
    await at.store.apply(RegisterWorker(registration, now()))
    lease_s = at.settings.lease_seconds
    return json_response(Registered(lease_s, lease_s / HEARTBEATS_PER_LEASE))


async def lease(request: Request) -> Response:
    """Answer with runs for the worker's free slots as soon as there are some, or when it should look at what it holds."""
    at, name = services(request), request.path_params["worker"]
    asked = await read_struct(request, LeaseRequest, _LIMIT)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(max(asked.wait_s, 0.0), _LONGEST_WAIT_S)
    held_back = False
    while True:
        told = at.store.signals.ticket([worker_topic(name)])
        topics = [QUEUE, SLOTS] if held_back else [QUEUE]
        more = at.store.signals.ticket(topics) if asked.free > 0 else None
        try:
            taken, next_at = await _take(at, name, asked)
            left = deadline - loop.time()
            if taken.leases or left <= 0 or at.store.signals.closed:
                return json_response(LeaseAnswer(taken.leases))
            if taken.held_back and not held_back:  # from now on a slot that becomes free counts, too
                held_back = True
                continue
            pause = left if next_at is None else min(left, max(next_at - now(), 0) / 1e6 + 0.001)
            tickets = [told.waiter, *([more.waiter] if more else [])]
            await asyncio.wait(tickets, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            if told.waiter.done():
                return json_response(LeaseAnswer([], check=True))
        finally:
            told.drop()
            if more:
                more.drop()


async def _take(at: Services, name: str, asked: LeaseRequest) -> tuple[Taken, int | None]:
    """Lease what is ready; return that, and when the next run will be ready. An empty queue costs no transaction."""
    if asked.free <= 0:
        return _NOTHING, None
    engines = await at.store.lookup(WorkerEngines(name, asked.incarnation))
    ready_at = await at.store.lookup(NextReady(engines))
    if ready_at is None or ready_at > now():
        return _NOTHING, ready_at
    lease_us = round(at.settings.lease_seconds * 1_000_000)
    taking = TakeRuns(name, asked.incarnation, asked.free, now(), lease_us, at.quotas.current)
    return await at.store.apply(taking), None


async def heartbeat(request: Request) -> Response:
    """Renew all leases of a worker; answer with the runs that it must stop."""
    at, name = services(request), request.path_params["worker"]
    beat = await read_struct(request, Heartbeat, _LIMIT)
    lease_us = round(at.settings.lease_seconds * 1_000_000)
    stop = await at.store.apply(RenewLeases(name, beat, now(), lease_us), urgent=True)
    return json_response(HeartbeatAnswer(stop))
