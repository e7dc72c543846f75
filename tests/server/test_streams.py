"""Live events over HTTP: the whole history, then what happens, to any number of watchers."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from tests.evalhub.live import until
from tests.server.acting import Worker
from tests.server.client import JOBS, Api, unique
from tests.server.scrape import Scrape
from tests.server.serving import Served
from tests.server.watching import ALL, Watch, kinds, stream_of

LIFE = ["job.created", "run.leased", "run.running", "job.running", "run.completed", "job.completed"]


def test_a_job_is_told_from_its_beginning_to_its_end(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    with Watch(api, stream_of(held.job_id)) as watch:
        assert watch.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert watch.answer.headers["cache-control"] == "no-store"
        assert kinds(watch.until("run.leased")) == LIFE[:2]
        assert held.start().status == 204
        assert kinds(watch.until("job.running")) == LIFE[2:4]
        assert held.end("completed", metrics={"acc": 1}).status == 204
        rest = list(watch)
    assert kinds(rest) == LIFE[4:]
    assert (rest[-1].kind, rest[-1].id, rest[-1].data["data"]) == ("end", 0, {"reason": "ended", "state": "completed"})


def test_what_is_told_is_what_the_history_has(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    assert held.end("failed", code="bad_luck", message="It rained.").status == 204
    with Watch(api, stream_of(held.job_id)) as watch:
        told = list(watch)
    assert [one.data for one in told[:-1]] == api.get(f"{JOBS}/{held.job_id}/history").json["items"]
    assert [one.id for one in told[:-1]] == [one.data["seq"] for one in told[:-1]]
    (failed,) = [one for one in told if one.kind == "run.failed"]
    said = {"cause": "finish", "benchmark_index": 0, "attempt": 1, "code": "bad_luck", "message": "It rained."}
    assert failed.data["data"] == said


def test_progress_is_told_without_an_id_and_to_whoever_comes_later(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    far = {"benchmark_index": 0, "done": 3, "total": 9, "phase": "evaluating"}
    with Watch(api, stream_of(held.job_id)) as first:
        assert held.start().status == 204
        assert worker.beat(held, done=3, total=9, phase="evaluating").status == 200
        told = next(one for one in first if one.data.get("data") == far)
        assert (told.id, told.kind, told.data["run_id"]) == (0, "run.progress", held.run_id)
        with Watch(api, stream_of(held.job_id), last=0) as second:
            assert second.until("run.progress")[-1].data == told.data


@pytest.mark.parametrize("seen", range(7))
def test_a_stream_goes_on_after_the_last_event_that_was_seen(api: Api, worker: Worker, seen: int) -> None:
    held = worker.take(api)
    held.start()
    held.end("completed")
    numbers = [item["seq"] for item in api.get(f"{JOBS}/{held.job_id}/history").json["items"]]
    last = [0, *numbers][seen]
    for path, header in ((stream_of(held.job_id), last), (f"{stream_of(held.job_id)}?last_event_id={last}", None)):
        with Watch(api, path, header) as watch:
            told = list(watch)
        assert kinds(told) == LIFE[seen:]
        assert told[-1].kind == "end"


def test_the_header_counts_more_than_the_query(api: Api) -> None:
    job_id = api.submit()
    (item,) = api.get(f"{JOBS}/{job_id}/history").json["items"]
    path = f"{stream_of(job_id)}?follow=false&last_event_id=0"
    with Watch(api, path) as watch:
        assert kinds(list(watch)) == ["job.created"]
    with Watch(api, path, last=item["seq"]) as watch:
        assert list(watch) == []


@pytest.mark.parametrize("path", [ALL, f"{JOBS}/{{job}}/stream"])
@pytest.mark.parametrize("last", ["x", "-1", "1.5", "999999999999", "9" * 30, "٣"])
def test_the_id_of_no_event_is_refused_with_a_remedy(api: Api, path: str, last: str) -> None:
    path = path.format(job=api.submit())
    replies = [api.get(f"{path}?last_event_id={last}")] if last.isascii() else []
    if last.isascii():
        replies.append(api.get(path, last_event_id=last))
    for reply in replies:
        assert (reply.status, reply.code) == (400, "last_event_id_invalid")
        assert "0 for all of them" in reply.message


def test_other_mistakes_are_refused_too(api: Api) -> None:
    assert api.get(stream_of("nope")).code == "resource_not_found"
    assert api.as_(x_tenant="another").get(stream_of(api.submit())).code == "resource_not_found"
    assert api.get(f"{ALL}?folow=true").code == "query_bad_parameter"
    assert api.get(f"{ALL}?follow=maybe").code == "query_parameter_invalid"


def test_a_deleted_job_ends_its_stream(api: Api) -> None:
    job_id = api.submit()
    with Watch(api, stream_of(job_id)) as watch:
        watch.until("job.created")
        assert api.delete(f"{JOBS}/{job_id}?hard_delete=true").status == 204
        (end,) = list(watch)
    assert (end.kind, end.data["data"]) == ("end", {"reason": "deleted"})


def test_all_jobs_of_a_tenant_are_told_and_no_others(api: Api) -> None:
    ours, theirs = api.as_(x_tenant=unique("t")), api.as_(x_tenant=unique("t"))
    before = ours.submit()
    with Watch(ours, ALL) as live, Watch(theirs, ALL) as other:
        job_ids = [theirs.submit(), ours.submit(), ours.submit()]
        for one in job_ids:
            (theirs if one == job_ids[0] else ours).delete(f"{JOBS}/{one}")
        told = [next(iter(live)) for _ in range(6)]
        assert [one.kind for one in told] == ["job.created", "job.created", *["run.cancelled", "job.cancelled"] * 2]
        assert {one.data["job_id"] for one in told} == set(job_ids[1:])
        assert {one.data["job_id"] for one in other.until("job.cancelled")} == {job_ids[0]}
        with Watch(ours, ALL, last=told[1].id) as later:
            assert [next(iter(later)) for _ in range(4)] == told[2:]
    with Watch(ours, f"{ALL}?follow=false", last=0) as whole:
        assert {one.data["job_id"] for one in whole} == {before, *job_ids[1:]}


def test_a_history_of_several_pages_is_told_whole(api: Api, worker: Worker) -> None:
    held = worker.take(api, benchmarks=[{"id": "b0", "provider_id": "manual"}] * 600)
    with Watch(api, stream_of(held.job_id)) as watch:
        assert api.delete(f"{JOBS}/{held.job_id}").status == 204
        told = list(watch)
    assert kinds(told) == ["job.created", "run.leased", *["run.cancelled"] * 600, "job.cancelled"]
    assert [one.id for one in told if one.id] == sorted({one.id for one in told if one.id})


def test_two_hundred_watchers_are_told_the_same(api: Api, worker: Worker) -> None:
    held = worker.take(api)

    async def watch(session: aiohttp.ClientSession, ready: asyncio.Semaphore) -> bytes:
        async with session.get(api.url + stream_of(held.job_id)) as answer:
            assert answer.status == 200
            seen = b""
            async for line in answer.content:
                seen += line
                if line.startswith(b"event: run.leased"):
                    ready.release()
            return seen

    async def all_of_them() -> list[bytes]:
        ready = asyncio.Semaphore(0)
        connector, patience = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:
            watching = [asyncio.create_task(watch(session, ready)) for _ in range(200)]
            for _ in watching:
                await ready.acquire()
            await asyncio.to_thread(held.start)
            await asyncio.to_thread(held.end, "completed")
            return await asyncio.gather(*watching)

    for seen in asyncio.run(all_of_them()):
        told = [line.removeprefix(b"event: ").decode() for line in seen.splitlines() if line.startswith(b"event: ")]
        assert [kind for kind in told if kind != "run.progress"] == [*LIFE, "end"]


def test_whoever_has_gone_is_counted_no_more(served: Served) -> None:
    api = served.api
    job_id = api.submit()
    with Watch(api, stream_of(job_id)) as watch:
        watch.until("job.created")
        assert _watchers(api) >= 1
    until(lambda: _watchers(api) == 0, "the last watcher's leave")


def _watchers(api: Api) -> float:
    return Scrape.of(api).value("assay_watchers")


def test_json_of_an_event_fits_on_its_line(api: Api, worker: Worker) -> None:
    held = worker.take(api)
    held.end("failed", code="c", message="one\ntwo\r\n\r\ndata: three\u2028")
    with Watch(api, stream_of(held.job_id)) as watch:
        (failed,) = [one for one in watch if one.kind == "run.failed"]
    assert failed.data["data"]["message"] == "one\ntwo\r\n\r\ndata: three\u2028"
    assert json.dumps(failed.data)
