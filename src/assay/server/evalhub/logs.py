"""Logs of jobs and benchmarks: whole, the last lines, since a moment, or followed live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from assay.config import Settings
from assay.model.errors import BadQueryValue, NotFound
from assay.model.records import Run
from assay.model.states import TERMINAL_STATUSES
from assay.server.evalhub.queries import Parameters, index_of
from assay.server.logs import Follower
from assay.server.respond import Streamed
from assay.server.services import Services, caller, services
from assay.store.base import job_topic, log_topic
from assay.store.queries import JobWithRuns

_PLAIN = "text/plain; charset=utf-8"
_IDLE_S = 10.0
_LAST_LINES_S = 1.5


async def of_job(request: Request) -> Response:
    """Answer with the logs of every benchmark, each under a line that names it."""
    at, options = services(request), _Options(request)
    job_id = request.path_params["job_id"]
    runs = await _settled(request, job_id)

    def sections() -> Iterator[bytes]:
        for i, run in enumerate(runs):
            title = f"=== pod={job_id}-{run.index} container=local benchmark_id={run.benchmark_id} ===\n"
            yield (b"\n" if i else b"") + title.encode()
            yield from options.read(at, job_id, run.index)

    return _answer(at, iterate_in_threadpool(sections()))


async def of_benchmark(request: Request) -> Response:
    """Answer with the log of one benchmark."""
    at, job_id, given = services(request), request.path_params["job_id"], request.path_params["benchmark_index"]
    index = index_of(given)
    if index is None:
        raise BadQueryValue(name="benchmark_index", kind="non-negative integer", value=given)
    options = _Options(request)
    runs = await _runs(request, job_id)
    if index >= len(runs):
        raise NotFound(kind="benchmark", id=given)
    if options.follow:
        return _answer(at, _follow(at, job_id, index, options))
    await _settled(request, job_id, index)
    return _answer(at, iterate_in_threadpool(options.read(at, job_id, index)))


class _Options:
    """The query of a log request, checked before the job is looked up."""

    def __init__(self, request: Request) -> None:
        parameters = Parameters(request)
        tail = parameters.integer("tail_lines") if parameters.text("tail_lines") else 1000
        if tail is None or (tail != -1 and not 1 <= tail <= 10_000):
            kind = "integer between 1 and 10000, or -1 for all lines"
            raise BadQueryValue(name="tail_lines", kind=kind, value=parameters.text("tail_lines"))
        self.tail = tail
        self.timestamps = parameters.flag("timestamps")
        since = parameters.count("since_seconds", 0, least=1)
        self.since_ms = int((time.time() - since) * 1000) if since else 0
        self.follow = parameters.flag("follow")

    def read(self, at: Services, job_id: str, index: int) -> Iterator[bytes]:
        """Yield the log of one run as asked for. The last lines come without the newline that ends them."""
        pieces = at.logs.read(job_id, index, tail=self.tail, timestamps=self.timestamps, since_ms=self.since_ms)
        return pieces if self.tail == -1 else _unended(pieces)


def _unended(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces of text without the newline at the very end."""
    held = b""
    for piece in pieces:
        if piece:
            yield held + piece.removesuffix(b"\n")
            held = b"\n" if piece.endswith(b"\n") else b""


def _answer(at: Services, pieces: AsyncIterator[bytes]) -> Response:
    return Streamed(within_limits(at.settings, pieces), media_type=_PLAIN)


async def within_limits(settings: Settings, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces of a log up to the settings' size and time; a last line says that the size has cut it."""
    left: int = settings.max_log_response_bytes
    unlimited = left < 0
    loop = asyncio.get_running_loop()
    longest: float = settings.log_stream_timeout_seconds
    deadline = loop.time() + longest if longest else None
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                piece = await anext(pieces)
        except (StopAsyncIteration, TimeoutError):
            return
        if not unlimited and len(piece) > left:
            yield piece[:left]
            yield f"\n[cut after {settings.max_log_response_bytes} bytes; ask for the last lines with tail_lines]\n".encode()
            return
        left -= len(piece)
        yield piece


async def _follow(at: Services, job_id: str, index: int, options: _Options) -> AsyncIterator[bytes]:
    """Yield the tail of a log, then what is appended, until the run has ended and everything has been shown."""
    follower = Follower(at.logs, job_id, index, options.timestamps)
    follower.skip_to_tail(options.tail)
    yield b""  # the answer begins now, though the log may be silent for long
    while True:
        ticket = at.store.signals.ticket([log_topic(job_id), job_topic(job_id)])
        try:
            found = await at.store.lookup(JobWithRuns(job_id))
            ended = found is None or (found[1][index].status in TERMINAL_STATUSES and found[1][index].worker is None)
            if fresh := follower.fresh():
                yield fresh
            if ended or at.store.signals.closed:
                return
            await ticket.wait(_IDLE_S)
        finally:  # also of a reader who hangs up
            ticket.drop()


async def _settled(request: Request, job_id: str, index: int | None = None) -> list[Run]:
    """Return the runs of a job; wait a moment for the last lines of one (`index`; None: any) that has just ended.

    An adapter that has reported its end is still in its worker's hands: its output, and what it prints now, is on its way.
    Clients that wait for the end of a job read its log at once.
    """
    at, loop = services(request), asyncio.get_running_loop()
    deadline = loop.time() + _LAST_LINES_S
    while True:
        ticket = at.store.signals.ticket([log_topic(job_id)])
        try:
            runs = await _runs(request, job_id)
            ending = any(
                run.status in TERMINAL_STATUSES and run.worker is not None for run in runs if index in (None, run.index)
            )
            left = deadline - loop.time()
            if not ending or left <= 0 or at.store.signals.closed:
                return runs
            await ticket.wait(left)
        finally:
            ticket.drop()


async def _runs(request: Request, job_id: str) -> list[Run]:
    found = await services(request).store.lookup(JobWithRuns(job_id))
    if found is None or found[0].tenant != caller(request).tenant:
        raise NotFound(kind="evaluation job", id=job_id)
    return found[1]
