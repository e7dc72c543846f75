"""The queue as its users see it: what waits, for what, and until when. A path of our own beside the EvalHub contract."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.model.fairness import Lane
from assay.model.forecast import Busy, Expected, Place, Queue, forecast
from assay.model.states import WorkerState
from assay.scheduler.identifiers import now, rfc3339
from assay.server.evalhub.queries import Parameters
from assay.server.respond import json_response
from assay.server.services import Services, caller, services
from assay.store.queries import Workers
from assay.store.queue import WholeQueue, has

_MOST = 10_000
"""Positions that are worked out."""
_LARGEST_PAGE = 1000


async def page(request: Request) -> Response:
    """Answer with the caller's queued runs in the order in which they will start."""
    at, parameters, tenant = services(request), Parameters(request), caller(request).tenant
    limit, offset = min(parameters.count("limit", 50, least=1), _LARGEST_PAGE), parameters.count("offset", 0)
    job_id = parameters.text("job_id")
    parameters.only_known(("limit", "offset", "job_id"))
    lines, running, passes = await at.store.scan(WholeQueue(_MOST))
    await at.durations.learn(at.store)
    moment = now()
    lease_us = at.settings.lease_seconds * 1_000_000
    places = [
        Place(worker.slots, frozenset(worker.engines), len(worker.gpus), worker.labels)
        for worker in await at.store.scan(Workers())
        if worker.alive(moment, lease_us) and worker.state is WorkerState.ACTIVE
    ]
    busy = [
        Busy(one.lane, max(at.durations.usual(one.lane.provider_id, one.benchmark_id) - (moment - one.since) / 1e6, 0.0))
        for one in running
    ]
    queue = Queue({line.lane: line.waiting for line in lines}, busy, places, passes, at.quotas.current, moment)
    items = await asyncio.to_thread(lambda: list(_page(at, queue, tenant, job_id, offset, limit)))
    slots = sum(place.slots for place in places)
    return json_response(
        {
            "items": items,
            "total_count": sum(line.length for line in lines if line.lane.tenant == tenant),
            "queued": sum(line.length for line in lines),
            "slots": {"total": slots, "used": len(busy), "workers": len(places)},
        }
    )


def _page(at: Services, queue: Queue, tenant: str, job_id: str, offset: int, limit: int) -> Iterator[dict[str, Any]]:
    found = 0
    for number, one in enumerate(forecast(queue, at.durations.usual, _suits)):
        if number >= _MOST or found >= offset + limit:
            return
        if one.lane.tenant == tenant and job_id in ("", one.run.job_id):
            found += 1
            if found > offset:
                yield _item(one, queue.now)


def _suits(place: Place, lane: Lane) -> bool:
    return lane.engine in place.engines and has(lane, place.gpus, place.labels)


def _item(one: Expected, moment: int) -> dict[str, Any]:
    run, lane = one.run, one.lane
    item: dict[str, Any] = {} if one.position is None else {"position": one.position}
    item |= {
        "job_id": run.job_id,
        "benchmark_index": run.place,
        "provider_id": lane.provider_id,
        "benchmark_id": run.benchmark_id,
        "owner": lane.owner,
        "priority": run.priority,
        "attempt": run.attempt,
        "queued_at": rfc3339(run.queued_at),
        "waits_for": {"reason": one.waits_for, "message": _told(one)},
    }
    if one.starts_in_s is not None:
        item["expected_start_at"] = rfc3339(moment + round(one.starts_in_s * 1_000_000))
    return item


def _told(one: Expected) -> str:
    match one.waits_for:
        case "retry":
            return f"Attempt {one.run.attempt} begins at {rfc3339(one.run.available_at)}."
        case "quota":
            return f"The quota {one.quota} is used up."
        case "worker":
            asked = [f"the engine '{one.lane.engine}'"]
            asked += [f"{one.lane.gpus} GPUs"] if one.lane.gpus else []
            asked += [f"the labels {one.lane.labels}"] if one.lane.labels else []
            return f"No worker that is alive has {', '.join(asked)}."
        case "slot":
            return "All slots are in use."
        case _:
            return "A slot is free; it is about to be taken."
