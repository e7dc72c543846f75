"""What is backed up while a server works is there again after a restore, on either kind of database."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.server.acting import Held, Worker, framed
from tests.server.client import JOBS, Api, job_body

from .conftest import Place

Documents = dict[str, Any]


def documents(api: Api) -> dict[str, Documents]:
    """Return every job as the server answers it, by id."""
    page = api.get(f"{JOBS}?limit=0").json
    return {item["resource"]["id"]: item for item in page["items"]}


def ended(worker: Worker, api: Api, content: bytes) -> Held:
    """Carry a run out: it leaves a log and an artifact."""
    held = worker.take(api)
    assert held.start().status == 204
    assert held.append(0, framed("first", "second")).status == 200
    reference = held.put("out.json", content).json
    assert held.end("completed", artifacts=[reference], result={"metrics": {"acc": 0.5}}).status == 204
    return held


@contextmanager
def load(api: Api) -> Iterator[list[str]]:
    """Submit jobs and report on them, as fast as that goes; yield the ids of those that were acknowledged."""
    acknowledged: list[str] = []
    over = threading.Event()
    failures: list[str] = []

    def submit() -> None:
        while not over.is_set():
            reply = api.post(JOBS, job_body())
            if reply.status != 202:
                failures.append(reply.text)
                return
            job_id = str(reply.json["resource"]["id"])
            acknowledged.append(job_id)
            assert api.report(job_id, "running").status == 204

    threads = [threading.Thread(target=submit) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_every_job_that_was_acknowledged_before_a_backup_under_load_is_restored(
    places: tuple[Place, Place], target: Path
) -> None:
    old, new = places
    with old.serve() as served:
        api = served.api
        worker = Worker(api)
        done = [ended(worker, api, b"artifact %d" % n) for n in range(5)]
        still = documents(api)
        with load(api) as acknowledged:
            for _ in range(2):
                so_many = len(acknowledged) + 50
                while len(acknowledged) < so_many:
                    threading.Event().wait(0.01)
                before = list(acknowledged)
                made = old.backup(target)
        after = documents(api)
        assert made["missing"] == 0
        assert made["jobs"] >= len(before) + len(done)

    restored = new.run("restore", target, "--json").json
    assert restored["jobs"] == made["jobs"]
    with new.serve() as served:
        found = documents(served.api)
        assert len(found) == made["jobs"]
        assert {*before, *(held.job_id for held in done)} <= set(found)
        for job_id, document in still.items():
            assert found[job_id] == document == after[job_id]
        for n, held in enumerate(done):
            artifact = served.api.get(f"{JOBS}/{held.job_id}/benchmarks/0/artifacts/out.json")
            assert artifact.body == b"artifact %d" % n
            assert served.api.get(f"{JOBS}/{held.job_id}/logs").text.endswith("first\nsecond")
        for job_id in before[:20]:
            history = served.api.get(f"{JOBS}/{job_id}/history").json["items"]
            assert history[0]["type"] == "job.created"


def test_a_run_that_was_being_carried_out_goes_back_to_the_queue_and_its_old_worker_is_stopped(
    places: tuple[Place, Place], target: Path
) -> None:
    old, new = places
    with old.serve(ASSAY_LEASE_SECONDS="15") as served:
        worker = Worker(served.api)
        held = worker.take(served.api)
        assert held.start().status == 204
        old.backup(target)
    assert new.run("restore", target).code == 0
    with new.serve(ASSAY_LEASE_SECONDS="1") as served:
        late = copy.copy(worker)
        late.api = served.api.as_(**worker.api.headers)
        returned = Held(late, held.run_id, held.job_id, held.fence)
        assert returned.end("completed").code == "stale_fence"
        assert late.beat(returned).json["stop"] == [held.run_id]
        other = Worker(served.api)
        (lease,) = other.lease(wait_s=30).json["leases"]
        assert lease["run_id"] == held.run_id
        assert lease["fence"] > held.fence + 1
        # What the late worker would have held by now, had the server not been restored.
        assert Held(late, held.run_id, held.job_id, held.fence + 1).end("completed").code == "stale_fence"
        assert Held(other, held.run_id, held.job_id, lease["fence"]).end("completed").status == 204


def test_a_later_backup_shares_what_has_not_changed(places: tuple[Place, Place], target: Path) -> None:
    old, _ = places
    with old.serve() as served:
        worker = Worker(served.api)
        first_run = ended(worker, served.api, b"1" * 100_000)
        first = old.backup(target)
        ended(worker, served.api, b"2" * 100_000)
        second = old.backup(target)
    log = f"logs/{first_run.job_id}/0.1.log"
    assert (Path(first["path"]) / log).samefile(Path(second["path"]) / log)
    blob = next(Path(first["path"]).glob("blobs/*/*/*"))
    assert blob.samefile(Path(second["path"]) / blob.relative_to(first["path"]))
    assert second["written"] < second["size"] - 100_000


def test_what_is_restored_skips_event_numbers_and_versions_that_were_given_since(
    places: tuple[Place, Place], target: Path
) -> None:
    old, new = places
    with old.serve() as served:
        job_id = served.api.submit()
        old.backup(target)
        for _ in range(3):
            assert served.api.report(job_id, "running").status == 204
        last = served.api.get(f"{JOBS}/{job_id}/history").json["items"][-1]["seq"]
        etag = served.api.get(f"{JOBS}/{job_id}").headers["etag"]
    assert new.run("restore", target).code == 0
    with new.serve() as served:
        assert served.api.report(job_id, "running").status == 204
        assert served.api.get(f"{JOBS}/{job_id}/history?after={last}").json["items"]
        assert int(served.api.get(f"{JOBS}/{job_id}").headers["etag"].strip('"')) > int(etag.strip('"')) + 1000
