"""What a server refuses because its settings say so: others' changes, code of one's own, too much of anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.server import catalogue
from tests.server.catalogue import provider
from tests.server.client import JOBS, PROVIDERS, Api, job_body, unique
from tests.server.serving import serving

COLLECTIONS = "/api/v1/evaluations/collections"
COMMAND = {"name": "p", "benchmarks": [{"id": "b"}], "runtime": {"local": {"command": "true"}}}
COLLECTION: dict[str, Any] = {"name": "c", "category": "x", "benchmarks": [{"id": "b0", "provider_id": "manual"}]}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server that leaves things to their owners, code to administrators, and allows little of everything."""
    folder = tmp_path_factory.mktemp("strict")
    settings = {
        "ASSAY_OWNER_POLICY": "owner_or_admin",
        "ASSAY_LOCAL_CODE": "admins",
        "ASSAY_ADMINS": "root, system:serviceaccount:ops:boss",
        "ASSAY_MAX_OPEN_JOBS": "2",
        "ASSAY_MAX_BENCHMARKS": "3",
        "ASSAY_MAX_PAGE_ITEMS": "4",
    }
    written = catalogue.write(folder / "catalogue", provider("manual", "true"))
    with serving(folder, "--catalog", str(written), worker=False, **settings) as running:
        yield running.api


@pytest.fixture
def ann(strict: Api) -> Api:
    """A user of a tenant of its own."""
    return strict.as_(x_tenant=unique("t"), x_user="ann")


def as_user(api: Api, user: str) -> Api:
    """Return the same tenant with another user."""
    return api.as_(x_tenant=api.headers["x-tenant"], x_user=user)


def test_only_the_owner_and_administrators_may_cancel_or_delete_a_job(ann: Api) -> None:
    job_id = ann.submit("b0")
    bob, nobody = as_user(ann, "bob"), ann.as_(x_tenant=ann.headers["x-tenant"])
    for stranger in (bob, nobody):
        for path in (f"{JOBS}/{job_id}", f"{JOBS}/{job_id}?hard_delete=true", f"{JOBS}/{job_id}/benchmarks/0"):
            reply = stranger.delete(path)
            assert (reply.status, reply.code) == (403, "not_owner")
    assert ann.job(job_id)["status"]["state"] == "pending"
    assert bob.get(f"{JOBS}/{job_id}").status == 200
    assert as_user(ann, "system:serviceaccount:ops:boss").delete(f"{JOBS}/{job_id}/benchmarks/0").status == 204
    assert ann.delete(f"{JOBS}/{job_id}?hard_delete=true").status == 204
    assert bob.delete(f"{JOBS}/{job_id}").status == 404


@pytest.mark.parametrize(("path", "body"), [(PROVIDERS, {"name": "p"}), (COLLECTIONS, COLLECTION)])
def test_only_the_owner_and_administrators_may_change_a_resource(ann: Api, path: str, body: dict[str, Any]) -> None:
    one = f"{path}/{ann.post(path, body).json['resource']['id']}"
    bob, root = as_user(ann, "bob"), as_user(ann, "root")
    rename = [{"op": "replace", "path": "/name", "value": "n"}]
    for reply in (bob.call("PUT", one, body), bob.call("PATCH", one, rename), bob.delete(one)):
        assert (reply.status, reply.code) == (403, "not_owner")
        assert "belongs to 'ann'" in reply.message
    assert root.call("PATCH", one, rename).json["resource"]["owner"] == "ann"
    assert ann.call("PUT", one, body).status == 200
    assert ann.delete(one).status == 204


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (PROVIDERS, COMMAND, "runtime.local.command"),
        (PROVIDERS, {"name": "p", "runtime": {"local": {"env": [{"Name": "A", "Value": "b"}]}}}, "runtime.local.env"),
        (
            PROVIDERS,
            {"name": "p", "runtime": {"assay": {"engine": "lm_eval", "include_path": "/t"}}},
            "runtime.assay.include_path",
        ),
        (
            COLLECTIONS,
            COLLECTION | {"benchmarks": [{"id": "custom", "provider_id": "lm_eval", "parameters": {"include_path": "/t"}}]},
            "benchmarks[0].parameters.include_path",
        ),
        (
            JOBS,
            job_body(benchmarks=[{"id": "custom", "provider_id": "lm_eval", "parameters": {"include_path": "/t"}}]),
            "benchmarks[0].parameters.include_path",
        ),
        (
            JOBS,
            job_body(benchmarks=[{"id": "b0", "provider_id": "manual", "parameters": {"confirm_unsafe_code": True}}]),
            "benchmarks[0].parameters.confirm_unsafe_code",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_only_administrators_may_bring_code_where_that_is_said(
    ann: Api, path: str, body: dict[str, Any], field: str
) -> None:
    reply = ann.post(path, body)
    assert (reply.status, reply.code) == (403, "local_code_refused")
    assert field in reply.message


def test_code_that_an_administrator_brought_stays_and_may_not_be_changed(ann: Api) -> None:
    root = as_user(ann, "root")
    made = root.post(PROVIDERS, COMMAND)
    assert made.status == 201
    one = f"{PROVIDERS}/{made.json['resource']['id']}"
    assert root.call("PATCH", one, [{"op": "replace", "path": "/runtime/local/command", "value": "false"}]).status == 200
    mine = f"{COLLECTIONS}/{ann.post(COLLECTIONS, COLLECTION).json['resource']['id']}"
    code = {"parameters": {"include_path": "/t"}}
    assert ann.call("PUT", mine, COLLECTION | {"benchmarks": [COLLECTION["benchmarks"][0] | code]}).status == 403
    added = {"op": "replace", "path": "/benchmarks/0/parameters", "value": code["parameters"]}
    assert ann.call("PATCH", mine, [added]).code == "local_code_refused"
    assert as_user(ann, "root").call("PATCH", mine, [added]).status == 200
    assert ann.call("PATCH", mine, {"name": "renamed"}).status == 200
    assert ann.post(f"{mine}/clones", {}).status == 201


def test_a_tenant_may_have_so_many_jobs_that_have_not_ended(ann: Api, strict: Api) -> None:
    first = ann.submit("b0")
    ann.submit("b0")
    reply = ann.post(JOBS, job_body())
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (429, "too_many_jobs", "30")
    assert ann.post(f"{JOBS}/{first}/rerun", {"benchmarks": "all"}).status == 429
    assert strict.as_(x_tenant=unique("t")).post(JOBS, job_body()).status == 202
    ann.delete(f"{JOBS}/{first}")
    assert ann.post(JOBS, job_body()).status == 202


def test_a_repeated_submission_is_answered_even_where_the_tenant_may_have_no_more(ann: Api) -> None:
    ann.submit("b0")
    once, again = (ann.post(JOBS, job_body(), idempotency_key="k") for _ in range(2))
    assert once.json["resource"]["id"] == again.json["resource"]["id"]


def test_a_job_may_have_so_many_benchmarks(ann: Api) -> None:
    assert ann.post(JOBS, job_body("b0", "b1", "b0")).status == 202
    reply = ann.post(JOBS, job_body("b0", "b1", "b0", "b1"))
    assert (reply.status, reply.code) == (400, "too_many_benchmarks")


@pytest.mark.parametrize("limit", [0, 5, 2000])
def test_no_page_has_more_items_than_the_server_allows(ann: Api, limit: int) -> None:
    for i in range(5):
        assert ann.post(PROVIDERS, {"name": f"p{i}"}).status == 201
    shown, href = [], f"{PROVIDERS}?scope=tenant&limit={limit}"
    while href:
        page = ann.get(href).json
        assert len(page["items"]) <= 4
        shown += [item["name"] for item in page["items"]]
        href = page.get("next", {}).get("href", "")
    assert shown == ["p4", "p3", "p2", "p1", "p0"]
    few = ann.get(f"{PROVIDERS}?scope=tenant&name=p1&limit={limit}").json
    assert (few["limit"], len(few["items"]), "next" in few) == (limit, 1, False)


def test_nothing_of_this_is_refused_unless_it_is_asked_for(api: Api) -> None:
    ann = api.as_(x_tenant=unique("t"), x_user="ann")
    jobs = [ann.submit(*["b0"] * 20) for _ in range(3)]
    made = ann.post(PROVIDERS, COMMAND)
    bob = as_user(ann, "bob")
    assert [bob.delete(f"{JOBS}/{job_id}").status for job_id in jobs] == [204] * 3
    assert bob.delete(f"{PROVIDERS}/{made.json['resource']['id']}").status == 204
