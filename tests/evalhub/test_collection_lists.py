"""Lists of collections: filters, orders, pages; and what a collection takes from its providers."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.server.client import JOBS, PROVIDERS, Api, job_body, unique

COLLECTIONS = "/api/v1/evaluations/collections"


@pytest.fixture(scope="module")
def tenant(api: Api) -> Api:
    """A tenant with three collections and a provider that knows what its benchmarks are about."""
    mine = api.as_(x_tenant=unique("collections"), x_user="ann")
    known = [
        {"id": "b0", "domains": ["law", "code"], "tasks": ["qa"]},
        {"id": "b1", "domains": ["code", "art"], "modalities": ["text"], "evaluation_targets": ["model"]},
    ]
    provider_id = mine.post(PROVIDERS, {"name": "p", "benchmarks": known}).json["resource"]["id"]
    benchmarks = [{"id": name, "provider_id": provider_id} for name in ("b1", "b0")]
    base = {"category": "plain", "benchmarks": benchmarks}
    ids = []
    for name, members in (
        ("bravo", {"tags": ["x", "y"], "industries": ["bank"]}),
        ("alpha", {"tags": ["y", "z"], "category": "odd", "domains": ["own"]}),
        ("charlie", {"tags": ["x"], "benchmarks": [{"id": "nowhere", "provider_id": "nobody"}]}),
    ):
        reply = mine.post(COLLECTIONS, {**base, "name": name, **members})
        assert reply.status == 201, reply.text
        ids.append(reply.json["resource"]["id"])
    for place, collection_id in ((2, ids[0]), (7, ids[1])):
        operation = {"op": "add", "path": "/pinned_order", "value": place}
        assert mine.call("PATCH", f"{COLLECTIONS}/{collection_id}", [operation]).status == 200
    for collection_id, runs in ((ids[1], 2), (ids[0], 1)):
        for _ in range(runs):
            assert mine.post(JOBS, job_body(benchmarks=[], collection={"id": collection_id})).status == 202
    return mine


def names(api: Api, query: str) -> list[str]:
    reply = api.get(f"{COLLECTIONS}?scope=tenant&{query}")
    assert reply.status == 200, reply.text
    return [item["name"] for item in reply.json["items"]]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("name", "alpha", ["alpha"]),
        ("name", "ALPHA", []),
        ("category", "odd", ["alpha"]),
        ("category", "odd,plain", ["charlie", "alpha", "bravo"]),
        ("category", "!plain", ["alpha"]),
        ("tags", "x,y", ["bravo"]),
        ("tags", "x|z", ["charlie", "alpha", "bravo"]),
        ("tags", "!x", ["alpha"]),
        ("domains", "code", ["bravo"]),
        ("domains", "own", ["alpha"]),
        ("domains", "law,art", ["bravo"]),
        ("domains", "law,own", []),
        ("domains", "law|own", ["alpha", "bravo"]),
        ("tasks", "qa", ["alpha", "bravo"]),
        ("modalities", "text", ["alpha", "bravo"]),
        ("industries", "bank", ["bravo"]),
        ("evaluation_targets", "model", ["alpha", "bravo"]),
    ],
)
def test_a_filter_finds(tenant: Api, name: str, value: str, found: list[str]) -> None:
    assert names(tenant, f"{name}={quote(value)}") == found


def test_a_repeated_tag_asks_for_both(tenant: Api) -> None:
    assert names(tenant, "tags=x&tags=y") == ["bravo"]


@pytest.mark.parametrize(
    ("member", "rising"),
    [
        ("name", ["alpha", "bravo", "charlie"]),
        ("created_at", ["bravo", "alpha", "charlie"]),
        ("updated_at", ["charlie", "bravo", "alpha"]),
        ("pinned_order", ["charlie", "bravo", "alpha"]),
        ("run_count", ["charlie", "bravo", "alpha"]),
    ],
)
def test_a_list_is_sorted_by_a_member_and_turned_round_by_a_minus(tenant: Api, member: str, rising: list[str]) -> None:
    assert names(tenant, f"sort_by={member}") == rising
    assert names(tenant, f"sort_by=-{member}") == rising[::-1]
    assert names(tenant, f"sort_by={member}&limit=1&offset=1") == rising[1:2]


@pytest.mark.parametrize("member", ["", "-", "category", "Name", "name,created_at", "--name"])
def test_a_list_is_sorted_by_nothing_else(tenant: Api, member: str) -> None:
    reply = tenant.get(f"{COLLECTIONS}?sort_by={member}")
    if not member:
        assert reply.status == 200
        return
    assert (reply.status, reply.code) == (400, "query_parameter_value_invalid")
    assert reply.message == (
        "The query parameter 'sort_by' is not valid. "
        "Allowed values are: 'name|created_at|updated_at|pinned_order|run_count'."
    )


def test_lists_that_are_left_out_are_filled_from_the_providers_in_their_order(tenant: Api) -> None:
    charlie, alpha, bravo = tenant.get(f"{COLLECTIONS}?scope=tenant").json["items"]
    assert (bravo["domains"], bravo["tasks"], bravo["modalities"]) == (["code", "art", "law"], ["qa"], ["text"])
    assert (alpha["domains"], alpha["evaluation_targets"]) == (["own"], ["model"])
    assert "domains" not in charlie


def test_pages_of_a_filter_follow_each_other(tenant: Api) -> None:
    href, shown = f"{COLLECTIONS}?scope=tenant&tags=x%7Cz&limit=2", []
    while href:
        page = tenant.get(href).json
        assert (page["limit"], page["total_count"]) == (2, 3)
        shown += [item["name"] for item in page["items"]]
        href = page.get("next", {}).get("href", "")
    assert shown == ["charlie", "alpha", "bravo"]


def test_a_clone_takes_what_is_said_over_what_it_copies_and_nothing_of_the_servers(tenant: Api) -> None:
    source = next(item for item in tenant.get(f"{COLLECTIONS}?scope=tenant").json["items"] if item["name"] == "alpha")
    clones = f"{COLLECTIONS}/{source['resource']['id']}/clones"
    one = [{"id": "b0", "provider_id": source["benchmarks"][0]["provider_id"]}]
    body = {"name": "", "tags": ["n"], "benchmarks": one, "pinned_order": 9, "curation_order": 3, "derived_from": "x"}
    cloner = tenant.as_(x_tenant=unique("other"), x_user="bob")
    assert cloner.post(clones, body).code == "resource_not_found"
    clone = tenant.as_(x_tenant=tenant.headers["x-tenant"], x_user="bob").post(clones, body).json
    assert (clone["name"], clone["category"], clone["tags"], clone["benchmarks"]) == ("alpha", "odd", ["n"], one)
    assert (clone["derived_from"], clone["status"]) == (source["resource"]["id"], {})
    assert clone["resource"]["owner"] == "bob"
    assert not clone.keys() & {"pinned_order", "curation_order"}
    again = tenant.post(f"{COLLECTIONS}/{clone['resource']['id']}/clones", b"null").json
    assert (again["derived_from"], again["tags"]) == (clone["resource"]["id"], ["n"])
    for collection_id in (clone["resource"]["id"], again["resource"]["id"]):
        assert tenant.delete(f"{COLLECTIONS}/{collection_id}").status == 204


@pytest.mark.parametrize("body", [{"category": "x" * 129}, {"benchmarks": [{"id": "b0"}]}])
def test_a_clone_keeps_the_rules_of_collections(tenant: Api, body: dict[str, object]) -> None:
    before = tenant.get(f"{COLLECTIONS}?scope=tenant").body
    assert tenant.post(f"{COLLECTIONS}/coding-v1/clones", body).code == "request_validation_failed"
    assert tenant.get(f"{COLLECTIONS}?scope=tenant").body == before
