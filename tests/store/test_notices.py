"""Notices are written with the change that they tell of, once, in lanes that leave in order; and only if somebody asked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from assay.model.errors import JobIsTerminal
from assay.model.notices import CREATED, DELETED, Notice
from assay.model.states import Status
from assay.store.notices import DeleteWebhook, SetPublishers
from assay.store.outbox import DueParcels, EndParcel, NextParcel, Outcome, Parcel, PruneTarget, ReleaseParcels, TakeParcels
from assay.store.resources import CreateResource

from .life import SECOND, Life

HOLD = 60 * SECOND


async def subscribe(life: Life, tenant: str = "", **body: Any) -> str:
    made = await life.store.apply(CreateResource("webhook", life.new_id(), tenant, "", {"url": "u"} | body, life.now))
    return made.id


async def take(life: Life, each: int = 10) -> list[Parcel]:
    due = await life.store.scan(DueParcels(life.now, each))
    return await life.store.apply(TakeParcels([(parcel, HOLD) for parcel in due], life.now))


async def end(life: Life, parcel: Parcel, delivered: bool = True, retry_at: int | None = None) -> bool:
    return await life.store.apply(EndParcel(parcel, Outcome(delivered, 200, "m", retry_at), life.now))


async def told(life: Life) -> list[tuple[str, str]]:
    """Target and type of everything in the outbox, in the order in which it was put there."""
    rows = await life.ask("SELECT target, content FROM outbox ORDER BY number")
    return [(row["target"], msgspec.json.decode(row["content"], type=Notice).type) for row in rows]


async def test_nothing_is_written_where_nobody_has_asked(life: Life) -> None:
    await subscribe(life, "another")
    job = await life.submit()
    await life.report(job, Status.RUNNING)
    await life.report(job, Status.COMPLETED)
    await life.delete(job)
    assert await told(life) == []
    assert await life.store.lookup(NextParcel()) is None


async def test_every_change_is_told_in_order(life: Life) -> None:
    webhook = await subscribe(life)
    job = await life.submit(2)
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    await life.end(lease)
    await life.report(job, Status.FAILED, 1)
    await life.delete(job)
    types = [
        CREATED,
        "assay.run.running",
        "assay.job.running",
        "assay.run.completed",
        "assay.run.failed",
        "assay.job.partially_failed",
        DELETED,
    ]
    assert await told(life) == [(webhook, type_) for type_ in types]


async def test_a_refused_change_is_not_told(life: Life) -> None:
    await subscribe(life)
    job = await life.submit()
    await life.report(job, Status.COMPLETED)
    before = await told(life)
    with pytest.raises(JobIsTerminal):
        await life.report(job, Status.RUNNING)
    with pytest.raises(JobIsTerminal):
        await life.cancel(job)
    assert await told(life) == before


async def test_a_cancelled_job_tells_of_each_of_its_runs(life: Life) -> None:
    webhook = await subscribe(life, events=["assay.run.cancelled", "assay.job.cancelled"])
    await life.cancel(await life.submit(3))
    assert await told(life) == [(webhook, "assay.run.cancelled")] * 3 + [(webhook, "assay.job.cancelled")]


async def test_a_lost_run_is_pending_again(life: Life) -> None:
    await subscribe(life, events=["assay.run.*"])
    await life.submit()
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    await life.register(incarnation="2")
    assert [type_ for _, type_ in await told(life)] == ["assay.run.running", "assay.run.pending"]


async def test_the_notices_of_a_job_leave_one_after_another_and_others_beside_them(life: Life) -> None:
    await subscribe(life)
    one, other = await life.submit(), await life.submit()
    await life.report(one, Status.COMPLETED)
    first = await take(life)
    assert [parcel.job_id for parcel in first] == [one.id, other.id]
    assert await take(life) == []
    assert await end(life, first[0])
    (second,) = await take(life)
    assert second.job_id == one.id
    assert await end(life, second, delivered=False, retry_at=life.now + SECOND)
    assert await take(life) == []
    life.later(SECOND)
    (again,) = await take(life)
    assert (again.number, again.attempt) == (second.number, 2)
    assert await end(life, again, delivered=False)
    (third,) = await take(life)
    assert third.number > again.number


async def test_what_is_held_is_nobody_elses_until_its_time_is_over(life: Life) -> None:
    await subscribe(life)
    await life.submit()
    due = await life.store.scan(DueParcels(life.now, 10))
    (older,) = await life.store.apply(TakeParcels([(due[0], HOLD)], life.now))
    assert await life.store.apply(TakeParcels([(due[0], HOLD)], life.now)) == []
    life.later(HOLD)
    (newer,) = await take(life)
    assert not await end(life, older)
    assert await end(life, newer)
    assert not await end(life, newer)


async def test_a_target_with_many_parcels_hides_no_other(life: Life) -> None:
    busy, idle = await subscribe(life), await subscribe(life, "b")
    for _ in range(20):
        await life.submit()
    await life.submit(tenant="b")
    targets = [parcel.target for parcel in await take(life, 3)]
    assert sorted(targets) == sorted([busy] * 3 + [idle])


async def test_filters_see_names_and_tags(life: Life) -> None:
    by_name, by_tag = await subscribe(life, names=["n"]), await subscribe(life, tags=["a", "b"])
    await life.submit(name="n", tags=["c"])
    await life.submit(name="m", tags=["b"])
    await life.submit(name="m", tags=["c"])
    assert await told(life) == [(by_name, CREATED), (by_tag, CREATED)]


async def test_a_paused_webhook_is_told_nothing_new(life: Life) -> None:
    await subscribe(life, paused=True)
    await life.submit()
    assert await told(life) == []


async def test_a_deleted_webhook_takes_what_waits_with_it(life: Life) -> None:
    webhook = await subscribe(life)
    await life.submit()
    (parcel,) = await take(life)
    await life.store.apply(DeleteWebhook(webhook))
    assert await told(life) == []
    assert not await end(life, parcel)
    await life.submit()
    assert await told(life) == []


async def test_publishers_hear_of_every_tenant_until_they_are_named_no_more(life: Life) -> None:
    await life.store.apply(SetPublishers(("dapr",), life.now))
    await life.submit(tenant="a")
    await life.submit(tenant="b")
    assert [parcel.kind for parcel in await take(life)] == ["dapr", "dapr"]
    await life.store.apply(SetPublishers((), life.now))
    await life.submit()
    assert await told(life) == []


async def test_what_a_stopped_server_held_is_due_at_its_start(life: Life) -> None:
    await subscribe(life)
    job = await life.submit()
    await life.report(job, Status.COMPLETED)
    await take(life)
    await life.store.apply(ReleaseParcels(life.now))
    (again,) = await take(life)
    assert again.attempt == 2


async def test_the_last_of_each_outcome_are_kept(life: Life) -> None:
    webhook = await subscribe(life, events=[CREATED])
    for i in range(8):
        await life.submit()
        (parcel,) = await take(life)
        await end(life, parcel, delivered=i < 5)
    await life.submit()
    await life.store.apply(PruneTarget(webhook, 2))
    rows = await life.ask("SELECT outcome, count(*) AS n FROM outbox GROUP BY outcome")
    assert {row["outcome"]: row["n"] for row in rows} == {"delivered": 2, "failed": 2, "": 1}
