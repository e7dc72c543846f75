"""Cards wait in the outbox from the end of their job until they have arrived, whatever happens meanwhile."""

from __future__ import annotations

import msgspec

from assay.model.exports import COMPLETED, FAILED, MLFLOW, OCI, Export
from assay.model.records import NewJob
from assay.model.results import Message
from assay.model.states import Status
from assay.store.exports import EndExport
from assay.store.outbox import DueParcels, NextParcel, Parcel, ReleaseParcels, TakeParcels

from .life import GRACE, SECOND, Life

HOLD = 60 * SECOND
ARRIVED = Export(state=COMPLETED, message=Message("arrived", "c", "server"), reference="r")


async def take(life: Life, free: int = 10) -> list[Parcel]:
    due = await life.store.scan(DueParcels(life.now, free))
    return await life.store.apply(TakeParcels([(parcel, HOLD) for parcel in due], life.now))


async def end(life: Life, parcel: Parcel, outcome: Export = ARRIVED, retry_at: int | None = None) -> bool:
    return await life.store.apply(EndExport(parcel, outcome, life.now, retry_at))


async def states(life: Life, job: NewJob) -> dict[str, str]:
    exports = msgspec.json.decode((await life.job(job)).exports, type=dict[str, Export])
    return {target: export.state for target, export in exports.items()}


async def left(life: Life) -> int:
    (row,) = await life.ask("SELECT count(*) AS n FROM outbox")
    return int(row["n"])


async def test_a_card_is_due_when_its_job_has_ended_and_not_before(life: Life) -> None:
    job = await life.submit(2, exports=[MLFLOW, OCI])
    await life.report(job, Status.COMPLETED)
    assert await life.store.lookup(NextParcel()) is None
    await life.report(job, Status.COMPLETED, 1)
    assert await life.store.lookup(NextParcel()) == life.now
    parcels = await take(life)
    assert {(parcel.job_id, parcel.target, parcel.attempt) for parcel in parcels} == {(job.id, MLFLOW, 1), (job.id, OCI, 1)}


async def test_a_job_without_exports_has_no_card(life: Life) -> None:
    job = await life.submit()
    await life.report(job, Status.COMPLETED)
    assert await left(life) == 0


async def test_a_cancelled_job_has_its_card_too(life: Life) -> None:
    job = await life.submit(exports=[MLFLOW])
    await life.cancel(job)
    assert [parcel.target for parcel in await take(life)] == [MLFLOW]


async def test_a_card_that_somebody_holds_is_taken_by_nobody_else_until_that_time_is_over(life: Life) -> None:
    job = await life.submit(exports=[MLFLOW])
    await life.report(job, Status.COMPLETED)
    assert len(await take(life)) == 1
    assert await take(life) == []
    life.later(HOLD)
    (parcel,) = await take(life)
    assert parcel.attempt == 2


async def test_no_more_cards_of_a_target_are_looked_at_than_wanted(life: Life) -> None:
    for _ in range(3):
        await life.report(await life.submit(exports=[MLFLOW]), Status.COMPLETED)
    assert len(await take(life, 2)) == 2
    assert len(await take(life, 2)) == 1


async def test_a_card_that_arrived_leaves_the_outbox_and_its_job_says_so(life: Life) -> None:
    job = await life.submit(exports=[MLFLOW, OCI])
    await life.report(job, Status.COMPLETED)
    by_target = {parcel.target: parcel for parcel in await take(life)}
    before = (await life.job(job)).version
    assert await end(life, by_target[MLFLOW])
    assert await states(life, job) == {MLFLOW: COMPLETED, OCI: "pending"}
    assert (await life.job(job)).version > before
    assert await end(life, by_target[OCI], Export(state=FAILED))
    assert await left(life) == 0
    story = [event.type for event in await life.events(job)]
    assert story[-2:] == ["job.card_exported", "job.card_not_exported"]


async def test_a_card_that_failed_is_due_again_at_its_time(life: Life) -> None:
    job = await life.submit(exports=[MLFLOW])
    await life.report(job, Status.COMPLETED)
    (parcel,) = await take(life)
    assert await end(life, parcel, Export(), retry_at=life.now + SECOND)
    assert await take(life) == []
    life.later(SECOND)
    (parcel,) = await take(life)
    assert parcel.attempt == 2


async def test_the_outcome_of_an_older_attempt_is_dropped(life: Life) -> None:
    job = await life.submit(exports=[MLFLOW])
    await life.report(job, Status.COMPLETED)
    (older,) = await take(life)
    life.later(HOLD)
    (newer,) = await take(life)
    assert not await end(life, older)
    assert await end(life, newer)


async def test_a_job_that_changes_after_its_end_is_exported_again(life: Life) -> None:
    job = await life.submit(exports=[MLFLOW])
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    await life.end(lease, "exited", code="process_exited", exit_code=9)
    life.later(GRACE)
    await life.lapse_graces()
    (of_the_failure,) = await take(life)
    await life.report(job, Status.COMPLETED)
    assert not await end(life, of_the_failure)
    (of_the_result,) = await take(life)
    assert await end(life, of_the_result)
    assert await states(life, job) == {MLFLOW: COMPLETED}


async def test_a_benchmark_that_has_more_to_say_is_exported_again(life: Life) -> None:
    job = await life.submit(exports=[MLFLOW])
    await life.register()
    (lease,) = await life.take()
    await life.start(lease)
    await life.end(lease, "exited", code="process_exited", exit_code=9)
    life.later(GRACE)
    await life.lapse_graces()
    (of_the_watchdog,) = await take(life)
    assert await end(life, of_the_watchdog)
    await life.report(job, Status.FAILED)
    assert await states(life, job) == {MLFLOW: "pending"}
    assert len(await take(life)) == 1


async def test_what_a_stopped_server_held_is_due_at_its_start(life: Life) -> None:
    await life.report(await life.submit(exports=[MLFLOW]), Status.COMPLETED)
    await take(life)
    await life.store.apply(ReleaseParcels(life.now))
    assert len(await take(life)) == 1


async def test_a_deleted_job_takes_its_cards_with_it(life: Life) -> None:
    job = await life.submit(exports=[MLFLOW])
    await life.report(job, Status.COMPLETED)
    (parcel,) = await take(life)
    await life.delete(job)
    assert await left(life) == 0
    assert not await end(life, parcel)
