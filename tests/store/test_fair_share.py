"""Fair share and quotas in the store: what a worker is given when several want it."""

from __future__ import annotations

from collections import Counter

import msgspec

from assay.model.quotas import Quota, Quotas, TenantQuota
from assay.model.records import Job
from assay.store.jobs import CreateJob
from assay.store.queries import JobWithRuns
from assay.store.queue import Taken, TakeRuns

from .life import LEASE, Life, new_job


async def take(life: Life, free: int = 1, quotas: Quotas | None = None, gpus: int = 0, **labels: str) -> Taken:
    if labels:
        await life.register(labels=labels)
    asked = TakeRuns("w", "1", free, life.now, LEASE, quotas or Quotas(), gpus)
    return await life.store.apply(asked)


async def jobs(life: Life, taken: Taken) -> list[Job]:
    found = [await life.store.lookup(JobWithRuns(lease.job_id)) for lease in taken.leases]
    return [one[0] for one in found if one]


async def tenants(life: Life, taken: Taken) -> list[str]:
    return [job.tenant for job in await jobs(life, taken)]


async def test_a_long_queue_delays_another_tenant_by_one_slot(life: Life) -> None:
    await life.submit(10_000, tenant="many")
    await life.register()
    busy = (await take(life, 4)).leases
    await life.submit(1, tenant="few")
    await life.end(busy[0])
    assert await tenants(life, await take(life, 1)) == ["few"]


async def test_a_single_slot_goes_round_by_weight(life: Life) -> None:
    quotas = Quotas(tenants={"a": TenantQuota(weight=2)})
    for name in ("a", "b"):
        await life.submit(20, tenant=name)
    await life.register()
    got: Counter[str] = Counter()
    for _ in range(12):
        taken = await take(life, 1, quotas)
        got.update(await tenants(life, taken))
        await life.end(taken.leases[0])
    assert got == {"a": 8, "b": 4}


async def test_several_slots_at_once_are_shared(life: Life) -> None:
    for name in ("a", "b", "c"):
        await life.submit(10, tenant=name)
    await life.register()
    assert Counter(await tenants(life, await take(life, 7))) == {"a": 3, "b": 2, "c": 2}


async def test_quotas_count_what_is_leased_and_nothing_else(life: Life) -> None:
    quotas = Quotas(tenants={"a": TenantQuota(runs=2)}, total=Quota(runs=3))
    await life.submit(5, tenant="a")
    await life.register()
    first = await take(life, 5, quotas)
    assert (len(first.leases), first.held_back) == (2, True)
    await life.submit(5, tenant="b")
    second = await take(life, 5, quotas)
    assert (await tenants(life, second), second.held_back) == (["b"], True)
    assert (await take(life, 5, quotas)).leases == []
    await life.end(first.leases[0])
    assert await tenants(life, await take(life, 5, quotas)) == ["a"]


async def test_a_user_at_his_limit_does_not_hold_up_his_tenant(life: Life) -> None:
    quotas = Quotas(users={"*": Quota(runs=1)})
    await life.submit(50, tenant="t", owner="x")
    await life.submit(1, tenant="t", owner="y")
    await life.register()
    taken = await take(life, 9, quotas)
    assert [job.owner for job in await jobs(life, taken)] == ["x", "y"]
    assert taken.held_back


async def test_a_worker_gets_no_run_that_asks_for_more_gpus_than_it_has_free(life: Life) -> None:
    job = new_job(life.new_id, 4, tenant="t")
    runs = [msgspec.structs.replace(run, gpus=gpus) for run, gpus in zip(job.runs, (2, 1, 0, 2), strict=True)]
    await life.store.apply(CreateJob(msgspec.structs.replace(job, runs=runs), life.now))
    await life.register()
    taken = await take(life, 4, gpus=3)
    assert [lease.index for lease in taken.leases] == [0, 1, 2]
    assert not taken.held_back
    assert [lease.index for lease in (await take(life, 4, gpus=2)).leases] == [3]


async def test_a_quota_of_gpus_holds_back_who_asks_for_one(life: Life) -> None:
    quotas = Quotas(tenants={"*": TenantQuota(gpus=2)})
    job = new_job(life.new_id, 3, tenant="t")
    runs = [msgspec.structs.replace(run, gpus=gpus) for run, gpus in zip(job.runs, (2, 1, 0), strict=True)]
    await life.store.apply(CreateJob(msgspec.structs.replace(job, runs=runs), life.now))
    await life.register()
    taken = await take(life, 3, quotas, gpus=8)
    assert ([lease.index for lease in taken.leases], taken.held_back) == ([0, 2], True)


async def test_a_run_goes_only_to_a_worker_with_its_labels(life: Life) -> None:
    job = new_job(life.new_id, 2, tenant="t")
    runs = [msgspec.structs.replace(job.runs[0], labels={"disk": "fast", "zone": "a"}), job.runs[1]]
    await life.store.apply(CreateJob(msgspec.structs.replace(job, runs=runs), life.now))
    await life.register()
    assert [lease.index for lease in (await take(life, 2, disk="fast")).leases] == [1]
    assert (await take(life, 2, disk="fast", zone="b")).leases == []
    assert [lease.index for lease in (await take(life, 2, disk="fast", zone="a", more="1")).leases] == [0]


async def test_a_run_that_must_wait_is_passed(life: Life) -> None:
    await life.submit(2, tenant="a")
    await life.register()
    lease = (await take(life, 1)).leases[0]
    await life.end(lease, "failed", temporary=True)
    assert [one.index for one in (await take(life, 2)).leases] == [1]
