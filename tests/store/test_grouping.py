"""Operations that wait at the same time are carried out together where they may be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from assay.model.errors import AssayError, IdempotencyMismatch, StaleFence, TooManyJobs
from assay.model.protocol import Ending
from assay.store.base import Operation, Statement, Steps
from assay.store.grouping import MOST, each_alone, units
from assay.store.jobs import CancelJob, CreateJob
from assay.store.queue import TakeRuns
from assay.store.runs import EndRun, StartRun

from .life import GRACE, LEASE, Life, new_job


def ending(run_id: str, fence: int = 1) -> EndRun:
    return EndRun(run_id, Ending(fence=fence, outcome="completed"), 1, "at 1", GRACE)


def start(run_id: str) -> StartRun:
    return StartRun(run_id, 1, 1, "at 1")


class Counted:
    """Ends runs together, and notes the statements that it takes."""

    def __init__(self, endings: Sequence[EndRun]) -> None:
        self.endings, self.statements = endings, list[str]()

    def steps(self) -> Steps[Sequence[AssayError | None]]:
        steps = EndRun.together(self.endings)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Statement):
                    self.statements.append(step.name)
                step = steps.send((yield step))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def places(calls: Sequence[Sequence[Operation[object]]]) -> list[list[int]]:
    return [unit.places for unit in units(calls)]


def test_calls_of_one_class_are_carried_out_together() -> None:
    assert places([[ending("a")], [start("a")], [ending("b"), ending("c")], [start("b")]]) == [[0, 2, 3], [1, 4]]


def test_what_changes_the_same_run_twice_goes_one_after_the_other() -> None:
    assert places([[ending("a")], [ending("b")], [ending("a")], [ending("c")]]) == [[0, 1], [2, 3]]


def test_the_operations_of_a_mixed_call_keep_their_order() -> None:
    cancel = CancelJob("j", None, 1)
    assert places([[ending("a")], [start("b"), ending("b")], [cancel], [ending("c")]]) == [[0, 4], [1], [2], [3]]


def test_no_unit_is_larger_than_it_may_be() -> None:
    calls = [[ending(f"r{i}")] for i in range(MOST + 5)]
    assert [len(found) for found in places(calls)] == [MOST, 5]


def test_alone_means_in_order_and_one_by_one() -> None:
    assert [unit.places for unit in each_alone([[ending("a"), ending("b")], [start("c")]])] == [[0], [1], [2]]


async def test_those_of_one_job_that_end_together_leave_it_as_if_one_after_another(life: Life) -> None:
    await life.register()
    job = await life.submit(5)
    leases = await life.take(5)
    endings = [EndRun(lease.run_id, Ending(fence=1, outcome="completed"), life.now, life.at, GRACE) for lease in leases]
    answers = await asyncio.gather(*(life.store.apply(one) for one in endings))
    assert answers == [None] * 5
    assert (await life.job(job)).state == "completed"
    assert [run.state for run in await life.runs(job)] == ["completed"] * 5
    await life.check_counters()


async def test_one_that_is_refused_does_not_hold_the_others_up(life: Life) -> None:
    await life.register()
    await life.submit(3)
    leases = await life.take(3)
    fences = (1, 7, 1)
    endings = [
        EndRun(lease.run_id, Ending(fence=fence, outcome="completed"), life.now, life.at, GRACE)
        for lease, fence in zip(leases, fences, strict=True)
    ]
    answers = await life.store.transact(endings)
    assert [type(answer) for answer in answers] == [type(None), StaleFence, type(None)]
    await life.check_counters()


async def test_one_that_breaks_a_rule_of_the_schema_is_undone_and_the_others_are_not(life: Life) -> None:
    one, two = new_job(life.new_id), new_job(life.new_id)
    answers = await life.store.transact([CreateJob(one, life.now), CreateJob(one, life.now), CreateJob(two, life.now)])
    assert answers[0] == one.created(life.now)
    assert isinstance(answers[1], AssayError)
    assert "CreateJob could not be written" in answers[1].message
    assert answers[2] == two.created(life.now)
    await life.check_counters()


async def test_of_two_submissions_with_one_key_at_once_one_makes_the_job(life: Life) -> None:
    one, two = (new_job(life.new_id, key="k") for _ in range(2))
    other = new_job(life.new_id, key="k", spec=b'{"name":"other"}')
    answers = await asyncio.gather(
        *(life.store.apply(CreateJob(job, life.now)) for job in (one, two, other)), return_exceptions=True
    )
    assert answers[0] == one.created(life.now)
    assert not isinstance(answers[1], BaseException)
    assert answers[1][0].id == one.id
    assert isinstance(answers[2], IdempotencyMismatch)


async def test_submissions_at_once_do_not_pass_the_limit_of_their_tenant(life: Life) -> None:
    jobs = [msgspec.structs.replace(new_job(life.new_id), max_open=2) for _ in range(5)]
    answers = await life.store.transact([CreateJob(job, life.now) for job in jobs])
    assert [isinstance(answer, TooManyJobs) for answer in answers] == [False, False, True, True, True]


async def test_workers_that_ask_at_once_are_given_different_runs(life: Life) -> None:
    names = [f"w{i}" for i in range(6)]
    for name in names:
        await life.register(name)
    await life.submit(4)
    taking = [TakeRuns(name, "1", 1, life.now, LEASE) for name in names]
    taken = await asyncio.gather(*(life.store.apply(one) for one in taking))
    runs = [lease.run_id for one in taken for lease in one.leases]
    assert len(runs) == len(set(runs)) == 4
    assert [len(one.leases) for one in taken] == [1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("count", [1, 50])
async def test_many_take_as_many_statements_as_one(life: Life, count: int) -> None:
    await life.register()
    await life.submit(count)
    leases = await life.take(count)
    endings = [EndRun(lease.run_id, Ending(fence=1, outcome="completed"), life.now, life.at, GRACE) for lease in leases]
    counted = Counted(endings)
    assert await life.store.apply(counted) == [None] * count
    assert counted.statements == ["runs_to_end", "insert_attempt", "jobs_to_change", "update_run", "put_result",
                                  "update_job", "insert_event"]  # fmt: skip
