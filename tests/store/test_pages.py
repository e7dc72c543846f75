"""Pages of jobs: every filter gives what looking at every job gives."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.model.ids import uuid7
from assay.model.records import Job, NewJob, Run
from assay.model.states import JobState, Status
from assay.store.base import Statement, Steps
from assay.store.pages import JobFilter, JobsWithRuns, Match, PageVersions
from assay.store.queries import JobCounts

from .conftest import DIALECTS, empty_store
from .life import Life

NAMES = ["a", "b", "a,b", "", "ü|€", "a%_'\"", "ü" * 199, "ü" * 200, "ü" * 201]
OWNERS = ["", "ann", "bob"]
TAGS = ["x", "y", "z", "with space", "€" * 128]  # with three others the last is too long to be kept beside them
EXPERIMENTS = ["", "e1", "e2"]
MODELS = ["m", "org/m", "m" * 200, "m" * 3000]
COLLECTIONS = ["", "c1"]
TENANTS = ["", "t"]
STATES = [state.value for state in JobState]


@dataclass(frozen=True)
class SetExperiment:
    """What tracking will write one day, when an experiment was made for a job."""

    job_id: str
    experiment_id: str

    def steps(self) -> Steps[None]:
        values = {"id": self.job_id, "experiment": self.experiment_id}
        yield Statement("set_experiment", values, "UPDATE jobs SET experiment_id = :experiment WHERE id = :id")


@dataclass(frozen=True)
class Known:
    """A job as the test knows it."""

    id: str
    tenant: str
    columns: dict[str, str]
    tags: frozenset[str]

    def fits(self, where: JobFilter) -> bool:
        within = where.since <= self.id and (not where.before or self.id < where.before)
        return self.tenant == where.tenant and within and all(self._fits(*pair) for pair in where.matches.items())

    def _fits(self, column: str, match: Match) -> bool:
        values = self.tags if column == "tag" else {self.columns[column]}
        return (
            (not match.any_of or bool(values & set(match.any_of)))
            and values >= set(match.all_of)
            and not values & set(match.none_of)
        )


@dataclass
class Shelf:
    """A store full of jobs, and what is known of each, newest first."""

    life: Life
    known: list[Known]

    async def page(self, where: JobFilter, limit: int = 0, offset: int = 0) -> tuple[list[str], int]:
        rows, total = await self.life.store.scan(PageVersions(where, limit, offset))
        return [job_id for job_id, _ in rows], total

    def expected(self, where: JobFilter) -> list[str]:
        return [job.id for job in self.known if job.fits(where)]


async def drive(life: Life, job: NewJob, state: JobState) -> None:
    """Bring a job of two runs into a state."""
    if state is JobState.CANCELLED:
        await life.cancel(job)
    ends = {
        JobState.RUNNING: [Status.RUNNING],
        JobState.COMPLETED: [Status.COMPLETED, Status.COMPLETED],
        JobState.FAILED: [Status.FAILED, Status.FAILED],
        JobState.PARTIALLY_FAILED: [Status.COMPLETED, Status.FAILED],
    }
    for index, status in enumerate(ends.get(state, [])):
        await life.report(job, status, index)


@pytest.fixture(scope="module", params=DIALECTS)
async def shelf(request: pytest.FixtureRequest) -> AsyncIterator[Shelf]:
    async with empty_store(request.param, request) as store:
        yield await filled(Life(store))


async def filled(life: Life) -> Shelf:
    """Put ninety jobs into a store."""
    chance, known = random.Random(7), []
    for number in range(90):
        columns = {
            "name": chance.choice(NAMES),
            "owner": chance.choice(OWNERS),
            "experiment": chance.choice(EXPERIMENTS),
            "model": chance.choice(MODELS),
            "collection": chance.choice(COLLECTIONS),
        }
        tags = chance.sample(TAGS, chance.randrange(len(TAGS) + 1))
        tenant = TENANTS[number % 4 == 0]
        given = {column: columns[column] for column in ("name", "owner", "model", "collection")}
        job = await life.submit(2, tenant=tenant, tags=[*tags, *tags[:1]], **given)
        state = chance.choice(list(JobState))
        await drive(life, job, state)
        await life.store.apply(SetExperiment(job.id, columns["experiment"]))
        known.append(Known(job.id, tenant, {**columns, "state": state.value}, frozenset(tags)))
    return Shelf(life, known[::-1])


def some(values: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from([*values, "unknown"]), max_size=3).map(tuple)


def match(values: list[str]) -> st.SearchStrategy[Match]:
    asked = [value for value in values if value]
    return st.builds(Match, any_of=some(asked), all_of=st.just(()) | some(asked), none_of=some(values))


MOMENT = st.integers(0, 280).map(lambda made: uuid7(made, bytes(10)))

FILTER = st.builds(
    JobFilter,
    st.sampled_from([*TENANTS, "stranger"]),
    st.fixed_dictionaries(
        {},
        optional={
            "name": match([name for name in NAMES if name]),
            "tag": match(TAGS),
            "owner": match(OWNERS),
            "experiment": match(EXPERIMENTS),
            "model": match(MODELS),
            "collection": match(COLLECTIONS),
            "state": match(STATES),
        },
    ),
    since=st.just("") | MOMENT,
    before=st.just("") | MOMENT,
)

STATES_ALONE = st.builds(
    JobFilter, st.sampled_from(TENANTS), st.fixed_dictionaries({}, optional={"state": st.builds(Match, any_of=some(STATES))})
)


@given(where=FILTER)
async def test_a_filter_finds_what_looking_at_every_job_finds(shelf: Shelf, where: JobFilter) -> None:
    expected = shelf.expected(where)
    assert await shelf.page(where) == (expected, len(expected))


@given(where=FILTER | STATES_ALONE, limit=st.integers(0, 40), offset=st.integers(0, 80), far=st.sampled_from([0, 1000]))
async def test_a_page_is_a_window_of_the_whole_list_and_the_total_stays(
    shelf: Shelf, where: JobFilter, limit: int, offset: int, far: int
) -> None:
    expected = shelf.expected(where)
    window = expected[offset : offset + limit] if limit else expected[offset:]
    with patch("assay.store.pages._FAR", far):  # from there pages are read from the nearer end
        assert await shelf.page(where, limit, offset) == (window, len(expected))


@pytest.mark.parametrize(("limit", "offset"), [(10**18, 10**18), (10**18 - 1, 0), (1, 10**18 - 1)])
async def test_the_greatest_limit_and_offset_that_can_be_asked_for_are_no_trouble(
    shelf: Shelf, limit: int, offset: int
) -> None:
    where = JobFilter("", {"tag": Match(any_of=("x", "y"))})
    expected = shelf.expected(where)
    assert await shelf.page(where, limit, offset) == (expected[offset:], len(expected))


async def test_the_newest_job_comes_first(shelf: Shelf) -> None:
    ids, _ = await shelf.page(JobFilter(""))
    assert len(ids) > 50
    assert ids == sorted(ids, reverse=True)


EXAMPLES: list[dict[str, Match]] = [
    {"name": Match(any_of=("a,b", "a", "b"))},
    {"tag": Match(all_of=("x", "y"))},
    {"tag": Match(any_of=("x", "y"))},
    {"tag": Match(none_of=("x",))},
    {"tag": Match(all_of=("x", "x"))},
    {"state": Match(none_of=("completed", "failed"))},
    {"owner": Match(none_of=("",))},
    {"tag": Match(any_of=("x",)), "state": Match(any_of=("completed", "cancelled")), "owner": Match(none_of=("ann",))},
]


@pytest.mark.parametrize("matches", EXAMPLES)
async def test_the_operators_of_the_contract_find_some_jobs_and_not_all(shelf: Shelf, matches: dict[str, Match]) -> None:
    ids, total = await shelf.page(JobFilter("", matches))
    everything = sum(1 for job in shelf.known if job.tenant == "")
    assert ids == shelf.expected(JobFilter("", matches))
    assert 0 < total < everything


async def test_a_scalar_that_must_be_two_things_at_once_finds_nothing(shelf: Shelf) -> None:
    assert await shelf.page(JobFilter("", {"name": Match(all_of=("a", "b"))})) == ([], 0)


async def test_a_page_says_the_version_of_every_job(shelf: Shelf) -> None:
    rows, _ = await shelf.life.store.scan(PageVersions(JobFilter(""), 0, 0))
    jobs = await shelf.life.store.scan(JobsWithRuns(tuple(job_id for job_id, _ in rows)))
    assert [(job.id, job.version) for job, _ in jobs] == rows


async def test_jobs_come_with_their_runs_in_the_order_asked_for(shelf: Shelf) -> None:
    ids = [job.id for job in shelf.known[:10]]
    wanted = (*ids[5:], "unknown", *ids[:5])
    found: list[tuple[Job, list[Run]]] = await shelf.life.store.scan(JobsWithRuns(wanted))
    assert [job.id for job, _ in found] == [job_id for job_id in wanted if job_id != "unknown"]
    known: dict[str, Any] = {job.id: job for job in shelf.known}
    for job, runs in found:
        assert [(run.job_id, run.index) for run in runs] == [(job.id, 0), (job.id, 1)]
        assert (job.tenant, job.name, job.spec) == (known[job.id].tenant, known[job.id].columns["name"], b'{"name":"j"}')
    assert await shelf.life.store.scan(JobsWithRuns(())) == []


async def test_jobs_are_counted_by_tenant_and_state(shelf: Shelf) -> None:
    counted = {(tenant, state): n for tenant, state, n in await shelf.life.store.scan(JobCounts())}
    assert counted == Counter((job.tenant, job.columns["state"]) for job in shelf.known)
    await shelf.life.check_counters()
