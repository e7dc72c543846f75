"""Shares: who is given the next slot."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.model.fairness import Held, Lane, Shares, Turns, lane_key
from assay.model.quotas import Quota, Quotas, TenantQuota


def lane(tenant: str, run_id: str = "1", *, owner: str = "", provider: str = "p", gpus: int = 0, priority: int = 0) -> Lane:
    key = lane_key(tenant, owner, provider, "adapter", gpus, {})
    return Lane(key, tenant, owner, provider, "adapter", gpus, "", priority, run_id)


def rounds(lanes: list[Lane], slots: int, quotas: Quotas | None = None) -> Counter[str]:
    """Give single slots, each given back before the next, and count who got them."""
    shares = Shares(quotas or Quotas(), (), {one.tenant: 0.0 for one in lanes})
    got: Counter[str] = Counter()
    for _ in range(slots):
        chosen = Turns(shares, lanes).next()
        assert chosen is not None
        shares.take(chosen)
        shares.give_back(chosen)
        got[chosen.tenant] += 1
    return got


def test_whoever_holds_least_is_next() -> None:
    shares = Shares(Quotas(), [Held("a", "", "p", 3, 0)], {"a": 0.0, "b": 9.0})
    assert Turns(shares, [lane("a", "0"), lane("b", "1")]).next() == lane("b", "1")


def test_a_single_slot_goes_round() -> None:
    assert rounds([lane("a"), lane("b"), lane("c")], 9) == {"a": 3, "b": 3, "c": 3}


def test_a_single_slot_goes_round_by_weight() -> None:
    quotas = Quotas(tenants={"a": TenantQuota(weight=3), "b": TenantQuota(weight=0.5)})
    assert rounds([lane("a"), lane("b"), lane("c")], 45, quotas) == {"a": 30, "b": 5, "c": 10}


def test_many_slots_are_held_by_weight() -> None:
    quotas = Quotas(tenants={"a": TenantQuota(weight=3), "*": TenantQuota(weight=1)})
    lanes = [lane("a"), lane("b"), lane("c")]
    shares = Shares(quotas, (), {"a": 0.0, "b": 0.0, "c": 0.0})
    held: Counter[str] = Counter()
    for _ in range(50):
        chosen = Turns(shares, lanes).next()
        assert chosen is not None
        shares.take(chosen)
        held[chosen.tenant] += 1
    assert held == {"a": 30, "b": 10, "c": 10}


def test_a_tenant_that_was_away_is_owed_one_turn() -> None:
    shares = Shares(Quotas(), (), {"a": 1000.0, "b": 3.0})
    got = []
    for _ in range(4):
        chosen = Turns(shares, [lane("a"), lane("b")]).next()
        assert chosen is not None
        shares.take(chosen)
        shares.give_back(chosen)
        got.append(chosen.tenant)
    assert got in (["b", "a", "b", "a"], ["b", "b", "a", "b"])


def test_within_a_tenant_priority_counts_before_age() -> None:
    shares = Shares(Quotas(), (), {"a": 0.0})
    lanes = [lane("a", "1", owner="x"), lane("a", "2", owner="y", priority=5), lane("a", "0", owner="z")]
    assert Turns(shares, lanes).next() == lanes[1]
    assert Turns(shares, [lanes[0], lanes[2]]).next() == lanes[2]


@pytest.mark.parametrize(
    ("quotas", "limit"),
    [
        (Quotas(total=Quota(runs=2)), "total.runs"),
        (Quotas(total=Quota(gpus=3)), "total.gpus"),
        (Quotas(tenants={"a": TenantQuota(runs=2)}), "tenants.a.runs"),
        (Quotas(tenants={"*": TenantQuota(gpus=3)}), "tenants.a.gpus"),
        (Quotas(users={"u": Quota(runs=1)}), "users.u.runs"),
        (Quotas(providers={"p": Quota(runs=2)}), "providers.p.runs"),
        (Quotas(tenants={"*": TenantQuota(runs=0), "a": TenantQuota()}), ""),
        (Quotas(users={"other": Quota(runs=0)}, providers={"q": Quota(runs=0)}), ""),
    ],
)
def test_a_quota_holds_back_and_is_named(quotas: Quotas, limit: str) -> None:
    held = [Held("a", "u", "p", 1, 2), Held("b", "u", "p", 1, 0)] if limit == "total.runs" else [Held("a", "u", "p", 2, 2)]
    wanted = lane("a", owner="u", gpus=2)
    shares = Shares(quotas, held, {"a": 0.0})
    assert shares.limit(wanted) == limit
    assert (Turns(shares, [wanted]).next() is None) is bool(limit)


def test_the_gpus_of_a_quota_do_not_hold_back_who_needs_none() -> None:
    shares = Shares(Quotas(total=Quota(gpus=0)), (), {"a": 0.0})
    assert shares.limit(lane("a", gpus=0)) == ""
    assert shares.limit(lane("a", gpus=1)) == "total.gpus"


TENANTS = st.sampled_from(["a", "b", "c", "d"])


@given(
    weights=st.dictionaries(TENANTS, st.sampled_from([0.5, 1.0, 2.0, 4.0])),
    backlog=st.sets(TENANTS, min_size=1),
    slots=st.integers(1, 6),
    steps=st.lists(st.integers(0, 5), max_size=60),
)
def test_whoever_has_nothing_gets_the_next_slot_but_for_others_who_have_nothing(
    weights: dict[str, float], backlog: set[str], slots: int, steps: list[int]
) -> None:
    quotas = Quotas(tenants={name: TenantQuota(weight=weight) for name, weight in weights.items()})
    lanes = [lane(name) for name in sorted(backlog)]
    shares = Shares(quotas, (), dict.fromkeys(backlog, 0.0))
    holding: list[Lane] = []
    for step in steps:
        while len(holding) < slots:
            chosen = Turns(shares, lanes).next()
            assert chosen is not None
            idle = {one.tenant for one in lanes} - {one.tenant for one in holding}
            assert chosen.tenant in idle or not idle
            shares.take(chosen)
            holding.append(chosen)
        shares.give_back(holding.pop(step % len(holding)))


def test_lanes_differ_in_whatever_the_scheduler_looks_at() -> None:
    keys = {
        lane_key("a", "", "p", "e", 0, {}),
        lane_key("", "a", "p", "e", 0, {}),
        lane_key("a", "", "q", "e", 0, {}),
        lane_key("a", "", "p", "f", 0, {}),
        lane_key("a", "", "p", "e", 1, {}),
        lane_key("a", "", "p", "e", 0, {"disk": "fast"}),
    }
    assert len(keys) == 6
    assert lane_key("a", "", "p", "e", 0, {"x": "1", "y": "2"}) == lane_key("a", "", "p", "e", 0, {"y": "2", "x": "1"})


def test_what_a_quota_holds_back_waits_until_something_is_given_back() -> None:
    shares = Shares(Quotas(providers={"p": Quota(runs=1)}), (), {"a": 0.0})
    first, other = lane("a", "1"), lane("a", "2", provider="q")
    turns = Turns(shares, [first, other])
    assert turns.next() == first
    shares.take(first)
    turns.put(first._replace(run_id="3"))
    assert turns.next() == other
    assert turns.next() is None
    assert [one.run_id for one in turns.held_back] == ["3"]
    assert turns
    shares.give_back(first)
    turns.look_again()
    assert turns.next() == first._replace(run_id="3")
    assert not turns


@given(
    lanes=st.lists(st.tuples(TENANTS, st.integers(-1, 1), st.sampled_from(["p", "q"])), min_size=1, max_size=8),
    most=st.integers(1, 4),
)
def test_turns_go_to_the_least_of_all_that_may(lanes: list[tuple[str, int, str]], most: int) -> None:
    """The heaps choose what looking at every lane would choose."""
    made = [lane(tenant, f"{i}", provider=provider, priority=rank) for i, (tenant, rank, provider) in enumerate(lanes)]
    shares = Shares(Quotas(providers={"q": Quota(runs=most)}), (), {one.tenant: 0.0 for one in made})
    turns, left = Turns(shares, made), list(made)
    while (chosen := turns.next()) is not None:
        may = [one for one in left if not shares.limit(one)]
        firsts = {one.tenant: one for one in sorted(may, key=lambda one: (-one.priority, one.run_id), reverse=True)}
        assert chosen == min(firsts.values(), key=shares.turn)
        shares.take(chosen)
        left.remove(chosen)
    assert all(shares.limit(one) for one in left)


@given(
    passes=st.dictionaries(TENANTS, st.floats(0.0, 0.9), min_size=1),
    lanes=st.lists(st.tuples(TENANTS, st.integers(-1, 1)), min_size=1, max_size=8),
    most=st.integers(0, 4),
)
def test_those_that_are_soon_next_are_the_first_of_each_tenant(
    passes: dict[str, float], lanes: list[tuple[str, int]], most: int
) -> None:
    """As many as there are tenants are named as they come; after that those of each go on, if it has any."""
    made = [lane(tenant, f"{i}", priority=rank) for i, (tenant, rank) in enumerate(lanes)]
    tenants = {one.tenant for one in made}
    shares = Shares(Quotas(), (), {tenant: passes.get(tenant, 0.0) for tenant in tenants})
    turns = Turns(shares, made)
    soon, following = turns.soon(most), []
    for _ in range(min(most, len(tenants))):
        chosen = turns.next()
        assert chosen is not None
        shares.take(chosen)
        following.append(chosen)
    assert len(soon) <= most
    assert set(following) <= set(soon) <= set(made)


QUOTA = st.builds(Quota, st.none() | st.integers(0, 3), st.none() | st.integers(0, 3))
LANES = st.builds(
    lambda tenant, owner, provider, gpus: lane(tenant, owner=owner, provider=provider, gpus=gpus),
    TENANTS,
    st.sampled_from(["", "u", "v"]),
    st.sampled_from(["p", "q"]),
    st.integers(0, 2),
)


@given(
    quotas=st.builds(
        lambda total, tenant, user, provider: Quotas(
            total=total,
            tenants={"a": TenantQuota(tenant.runs, tenant.gpus)},
            users={"u": user},
            providers={"*": provider},
        ),
        QUOTA,
        QUOTA,
        QUOTA,
        QUOTA,
    ),
    lanes=st.lists(LANES, min_size=1, max_size=6),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=20),
)
def test_a_lane_waits_as_long_as_a_sum_of_what_is_held_says(
    quotas: Quotas, lanes: list[Lane], steps: list[tuple[bool, int]]
) -> None:
    shares, holding = Shares(quotas, (), dict.fromkeys("abcd", 0.0)), list[Lane]()

    def waits(wanted: Lane) -> bool:
        of: list[tuple[Quota, list[Lane]]] = [
            (quotas.total, holding),
            (quotas.tenant(wanted.tenant), [one for one in holding if one.tenant == wanted.tenant]),
            (quotas.user(wanted.owner), [one for one in holding if one[1:3] == wanted[1:3]]),
            (quotas.provider(wanted.provider_id), [one for one in holding if one.provider_id == wanted.provider_id]),
        ]
        return any(
            (quota.runs is not None and len(held) >= quota.runs)
            or (quota.gpus is not None and wanted.gpus and sum(one.gpus for one in held) + wanted.gpus > quota.gpus)
            for quota, held in of
        )

    for takes, at in steps:
        assert [bool(shares.limit(one)) for one in lanes] == [waits(one) for one in lanes]
        if takes or not holding:
            shares.take(lanes[at % len(lanes)])
            holding.append(lanes[at % len(lanes)])
        else:
            shares.give_back(holding.pop(at % len(holding)))
    assert [bool(shares.limit(one)) for one in lanes] == [waits(one) for one in lanes]


def test_a_tenant_that_has_nothing_left_counts_no_more_for_how_far_the_others_are() -> None:
    shares = Shares(Quotas(), (), {"ahead": 10.0, "behind": 0.0})
    assert shares.pass_of("behind") == 9.0
    shares.leave("ahead")
    assert shares.pass_of("behind") == 0.0
