"""The forecast: the scheduler's rules, played forward."""

from __future__ import annotations

import math

from assay.model.fairness import Lane, lane_key
from assay.model.forecast import Busy, Expected, Place, Queue, Waiting, forecast
from assay.model.quotas import Quota, Quotas, TenantQuota

NOW = 1_000_000_000_000_000
ENGINE = frozenset({"adapter"})


def lane(tenant: str, run_id: str, engine: str = "adapter", gpus: int = 0) -> Lane:
    return Lane(lane_key(tenant, "", "p", engine, gpus, {}), tenant, "", "p", engine, gpus, "", 0, run_id)


def waiting(run_id: str, available_at: int = NOW) -> Waiting:
    return Waiting(run_id, f"job-{run_id}", 0, "b", 1, 0, NOW, available_at)


def expected(queue: Queue, took_s: float = 60.0) -> list[tuple[str, int | None, str, float | None]]:
    found: list[Expected] = list(
        forecast(queue, lambda provider, benchmark: took_s, lambda place, one: one.engine in place.engines)
    )
    return [(one.run.run_id, one.position, one.waits_for, one.starts_in_s) for one in found]


def queue(lines: dict[Lane, list[Waiting]], busy: list[Busy], slots: int, quotas: Quotas | None = None) -> Queue:
    passes = {one.tenant: 0.0 for one in lines}
    return Queue(lines, busy, [Place(slots, ENGINE, 0, {})], passes, quotas or Quotas(), NOW)


def test_runs_start_as_slots_become_free() -> None:
    busy = [Busy(lane("a", "x"), 10.0), Busy(lane("a", "y"), 30.0)]
    line = [waiting(name) for name in "1234"]
    assert expected(queue({lane("a", "1"): line}, busy, 2)) == [
        ("1", 1, "slot", 10.0), ("2", 2, "slot", 30.0), ("3", 3, "slot", 70.0), ("4", 4, "slot", 90.0)
    ]  # fmt: skip


def test_a_free_slot_is_about_to_be_taken() -> None:
    assert expected(queue({lane("a", "1"): [waiting("1"), waiting("2")]}, [], 1)) == [
        ("1", 1, "turn", 0.0), ("2", 2, "turn", 60.0)
    ]  # fmt: skip


def test_another_tenant_is_next_however_long_the_queue() -> None:
    lines = {lane("a", "1"): [waiting(str(n)) for n in range(1, 9)], lane("b", "9"): [waiting("9")]}
    assert expected(queue(lines, [Busy(lane("a", "x"), 5.0)], 1))[:2] == [("1", 1, "slot", 5.0), ("9", 2, "slot", 65.0)]


def test_whoever_is_at_his_quota_waits_until_he_holds_less() -> None:
    lines = {lane("a", "1"): [waiting("1")], lane("b", "2"): [waiting("2")]}
    quotas = Quotas(tenants={"a": TenantQuota(runs=1)})
    assert expected(queue(lines, [Busy(lane("a", "x"), 40.0)], 3, quotas)) == [
        ("2", 1, "turn", 0.0), ("1", 2, "quota", 40.0)
    ]  # fmt: skip


def test_a_quota_of_nothing_is_never_over() -> None:
    quotas = Quotas(total=Quota(runs=0))
    assert expected(queue({lane("a", "1"): [waiting("1")]}, [], 3, quotas)) == [("1", None, "quota", None)]


def test_a_run_that_nobody_can_take_has_no_place_in_line() -> None:
    lines = {lane("a", "1", engine="nix"): [waiting("1")], lane("a", "2"): [waiting("2")]}
    assert expected(queue(lines, [], 1)) == [("2", 1, "turn", 0.0), ("1", None, "worker", None)]


def test_a_retry_waits_for_its_time() -> None:
    assert expected(queue({lane("a", "1"): [waiting("1", NOW + 7_000_000)]}, [], 1)) == [("1", 1, "retry", 7.0)]


def test_nothing_is_promised_while_nobody_knows_how_long_runs_take() -> None:
    busy = [Busy(lane("a", "x"), math.inf)]
    assert expected(queue({lane("a", "1"): [waiting("1")]}, busy, 1), math.inf) == [("1", 1, "slot", None)]
