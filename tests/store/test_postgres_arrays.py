"""PostgreSQL carries one statement out for many rows at once, and that is as if it were executed for one after another."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import pytest

from assay.model.errors import AssayError
from assay.model.states import RunState
from assay.store.base import Statement, Steps, Store, change_each, run_many
from assay.store.history import EventsOfJob, event, record
from assay.store.postgres.several import FEWEST, form
from assay.store.postgres.translate import translate
from assay.store.statements import statements

from .life import Life

MANY = 20
WRITTEN = re.compile(r'(?:run_many|change_each)\(\s*"(\w+)"')


class Carried:
    """Carries statements out and returns nothing."""

    def __init__(self, *every: Statement) -> None:
        self._every = every

    def steps(self) -> Steps[None]:
        for one in self._every:
            _ = yield one


class Recorded:
    """Records events."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self._events = events

    def steps(self) -> Steps[None]:
        yield from record(self._events)


def written() -> set[str]:
    """Return the names of the statements that are carried out for many rows."""
    files = (file for file in resources.files("assay.store").iterdir() if file.name.endswith(".py"))
    return {name for file in files for name in WRITTEN.findall(file.read_text(encoding="utf-8"))}


def test_the_statements_that_are_carried_out_for_many_rows_are_found() -> None:
    assert {"insert_event", "put_result", "update_run"} <= written()


@pytest.mark.parametrize("name", sorted(written()))
def test_each_has_a_form_for_many(name: str) -> None:
    sql, names = translate(statements("postgres")[name])
    found = form(sql)
    assert found
    assert "$" not in found.before + found.after
    assert found.of(["text"] * len(names)).count("[]") == len(names)


async def test_events_of_several_jobs_keep_their_order(life: Life) -> None:
    jobs = [await life.submit(), await life.submit()]
    events = [event(jobs[number % 2].id, "", life.now, f"test.{number}", {}) for number in range(MANY)]
    await life.store.apply(Recorded(events))
    for place, job in enumerate(jobs):
        history = await life.store.lookup(EventsOfJob(job.id))
        assert [one.type for one in history][1:] == [f"test.{number}" for number in range(place, MANY, 2)]
        assert [one.seq for one in history] == sorted(one.seq for one in history)


@pytest.mark.parametrize("wrong", [0, FEWEST, MANY - 1])
async def test_a_row_that_is_not_as_it_was_read_undoes_the_operation(life: Life, wrong: int) -> None:
    await life.register()
    job = await life.submit(MANY)
    runs = await life.runs(job)
    rows = [
        {"id": one.id, "from": RunState.QUEUED, "fence": one.fence + (place == wrong), "worker": "w", "expires": life.now}
        for place, one in enumerate(runs)
    ]
    with pytest.raises(AssayError):
        await life.store.apply(Carried(change_each("take_run", rows)))
    assert {one.state for one in await life.runs(job)} == {RunState.QUEUED}
    assert len(await life.take(MANY)) == MANY


async def test_of_many_results_each_goes_to_its_run(life: Life, store: Store) -> None:
    job = await life.submit(MANY)
    runs = await life.runs(job)
    rows = [{"run_id": one.id, "result": b"first %d" % one.index} for one in runs]
    await store.apply(Carried(run_many("put_result", rows)))
    again = [{"run_id": one.id, "result": b"again %d" % one.index} for one in runs[1:]]
    await store.apply(Carried(run_many("put_result", again)))
    await store.apply(Carried(run_many("drop_result", [{"run_id": one.id} for one in runs[-FEWEST:]])))
    results = [one.result for one in await life.runs(job)]
    assert results == [b"first 0", *(b"again %d" % n for n in range(1, MANY - FEWEST)), *[b""] * FEWEST]
