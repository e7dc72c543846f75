"""The workers as their operators see them: what each has announced, what it does, and what it may do from now on."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.model.errors import NotFound
from assay.model.records import Run, Worker
from assay.model.states import WorkerState
from assay.scheduler.identifiers import now, rfc3339
from assay.server.evalhub.queries import Parameters
from assay.server.respond import json_response, no_content
from assay.server.routes import Handler
from assay.server.services import Services, caller, services
from assay.store.leases import DirectWorker, ForgetWorker
from assay.store.queries import Workers, WorkerWithRuns
from assay.store.rows import report_of


async def page(request: Request) -> Response:
    """Answer with every worker that has registered, by name."""
    at, _ = services(request), caller(request)
    Parameters(request).only_known(())
    return json_response({"items": [_document(at, worker) for worker in await at.store.scan(Workers())]})


async def show(request: Request) -> Response:
    """Answer with one worker and the runs of the caller's tenant that it holds."""
    return await _answer(request)


def directed(state: WorkerState) -> Handler:
    """Return the handler that gives a worker another state, and answers as `show` does."""

    async def handle(request: Request) -> Response:
        caller(request)
        await services(request).store.apply(DirectWorker(request.path_params["worker"], state))
        return await _answer(request)

    return handle


async def forget(request: Request) -> Response:
    """Forget a worker that is gone."""
    at, _ = services(request), caller(request)
    lease_us = round(at.settings.lease_seconds * 1_000_000)
    await at.store.apply(ForgetWorker(request.path_params["worker"], now(), lease_us))
    return no_content()


async def _answer(request: Request) -> Response:
    at, name, tenant = services(request), request.path_params["worker"], caller(request).tenant
    found = await at.store.scan(WorkerWithRuns(name))
    if found is None:
        raise NotFound(kind="worker", id=name)
    worker, runs = found
    shown = [_run(run) for run, owner in runs if owner == tenant]
    return json_response(_document(at, worker) | {"runs": shown})


def _document(at: Services, worker: Worker) -> dict[str, Any]:
    return {
        "name": worker.name,
        "state": worker.state,
        "alive": worker.alive(now(), at.settings.lease_seconds * 1_000_000),
        "seen_at": rfc3339(worker.seen_at),
        "registered_at": rfc3339(worker.registered_at),
        "slots": worker.slots,
        "held": worker.held,
        "cpus": worker.cpus,
        "memory": worker.memory,
        "gpus": [{"id": gpu.id, "name": gpu.name, "memory": gpu.memory} for gpu in worker.gpus],
        "labels": worker.labels,
        "engines": worker.engines,
        "version": worker.version,
        "protocol": worker.protocol,
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "job_id": run.job_id,
        "benchmark_index": run.index,
        "provider_id": run.provider_id,
        "id": run.benchmark_id,
        "state": run.state,
        "phase": report_of(run).phase,
        "attempt": run.attempts,
        "done": run.done,
        "total": run.total,
    }
