"""Workers that ask for runs at once are given what they would have been given one after another."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.model.placement import Resources
from assay.model.protocol import Gpu
from assay.model.quotas import Quota, Quotas, TenantQuota
from assay.store.base import Store
from assay.store.queue import Taken, TakeRuns
from assay.store.sqlite import SqliteStore

from .life import LEASE, Life

LABELS: list[dict[str, str]] = [{}, {"zone": "a"}, {"zone": "b"}]


class Submitted(NamedTuple):
    tenant: str
    owner: str
    runs: int
    priority: int
    gpus: int
    labels: dict[str, str]


class Asking(NamedTuple):
    free: int
    gpus: int
    labels: dict[str, str]


JOBS = st.lists(
    st.builds(
        Submitted,
        tenant=st.sampled_from(["a", "b", "c"]),
        owner=st.sampled_from(["", "ann"]),
        runs=st.integers(1, 3),
        priority=st.integers(0, 1),
        gpus=st.sampled_from([0, 0, 1, 2]),
        labels=st.sampled_from([{}, *LABELS]),
    ),
    min_size=1,
    max_size=8,
)
ASKS = st.lists(
    st.builds(Asking, free=st.integers(1, 3), gpus=st.integers(0, 2), labels=st.sampled_from(LABELS)), min_size=2, max_size=6
)
LIMIT = st.none() | st.integers(1, 4)
QUOTAS = st.builds(
    lambda total, gpus, tenant, weight: Quotas(
        total=Quota(runs=total, gpus=gpus), tenants={"a": TenantQuota(runs=tenant, weight=weight)}
    ),
    LIMIT,
    LIMIT,
    LIMIT,
    st.sampled_from([1.0, 2.0]),
)


async def filled(store: Store, jobs: list[Submitted], asks: list[Asking]) -> Life:
    """A store with jobs and a worker for each asking, the same whenever it is made."""
    life = Life(store)
    for job in jobs:
        resources = Resources(job.gpus, job.labels)
        await life.submit(job.runs, tenant=job.tenant, owner=job.owner, priority=job.priority, resources=resources)
    for number, ask in enumerate(asks):
        gpus = [Gpu(str(i), "gpu", 1) for i in range(ask.gpus)]
        await life.register(f"w{number}", labels=ask.labels, gpus=gpus)
    return life


def told(taken: Taken | Exception) -> tuple[list[str], bool]:
    assert isinstance(taken, Taken)
    return [lease.run_id for lease in taken.leases], taken.held_back


@given(jobs=JOBS, asks=ASKS, quotas=QUOTAS)
@settings(max_examples=60)
async def test_what_many_get_at_once_each_gets_alone(jobs: list[Submitted], asks: list[Asking], quotas: Quotas) -> None:
    at_once, in_turn = SqliteStore.temporary(), SqliteStore.temporary()
    try:
        life = await filled(at_once, jobs, asks)
        await filled(in_turn, jobs, asks)
        taking = [
            TakeRuns(f"w{number}", "1", ask.free, life.now, LEASE, quotas, ask.gpus) for number, ask in enumerate(asks)
        ]
        together = await at_once.transact(taking)
        assert list(map(told, together)) == [told(await in_turn.apply(one)) for one in taking]
    finally:
        await at_once.close()
        await in_turn.close()
