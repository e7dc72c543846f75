"""Waiting for a job to change: ETag, If-None-Match, Prefer: wait; and submitting once: Idempotency-Key."""

from __future__ import annotations

import threading
import time

import pytest

from tests.server.client import JOBS, Api, Reply, job_body, unique

COLLECTIONS = "/api/v1/evaluations/collections"


def etag(api: Api, job_id: str) -> str:
    return api.get(f"{JOBS}/{job_id}").headers["etag"]


def test_a_job_that_has_not_changed_is_a_304(api: Api) -> None:
    job_id = api.submit()
    known = etag(api, job_id)
    reply = api.get(f"{JOBS}/{job_id}", if_none_match=known)
    assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", known)


@pytest.mark.parametrize("form", ["W/{}", '"other", {}', "{}, W/{}", "*"])
def test_every_form_of_if_none_match_is_understood(api: Api, form: str) -> None:
    job_id = api.submit()
    known = etag(api, job_id)
    assert api.get(f"{JOBS}/{job_id}", if_none_match=form.replace("{}", known)).status == 304


@pytest.mark.parametrize("form", ['"other"', "x", '""', "W/", ","])
def test_another_tag_brings_the_job(api: Api, form: str) -> None:
    assert api.get(f"{JOBS}/{api.submit()}", if_none_match=form).status == 200


def test_every_change_brings_a_new_tag(api: Api) -> None:
    job_id = api.submit()
    tags = [etag(api, job_id)]
    for status in ("running", "completed"):
        assert api.report(job_id, status).status == 204
        tags.append(etag(api, job_id))
    assert len(set(tags)) == 3
    for old in tags[:2]:
        assert api.get(f"{JOBS}/{job_id}", if_none_match=old).json["status"]["state"] == "completed"


def test_two_jobs_do_not_share_a_document(api: Api) -> None:
    first, second = api.submit(), api.submit()
    assert api.get(f"{JOBS}/{second}", if_none_match=etag(api, first)).status in (200, 304)
    assert api.job(first)["resource"]["id"] == first
    assert api.job(second)["resource"]["id"] == second


def test_a_wait_ends_as_soon_as_the_job_changes(api: Api) -> None:
    job_id = api.submit()
    answers: list[Reply] = []
    known = etag(api, job_id)
    waiting = threading.Thread(
        target=lambda: answers.append(api.get(f"{JOBS}/{job_id}", if_none_match=known, prefer="respond-async, wait=50"))
    )
    waiting.start()
    assert api.report(job_id, "running").status == 204
    waiting.join(40)
    assert not waiting.is_alive()
    assert answers[0].status == 200
    assert answers[0].json["status"]["state"] == "running"
    assert answers[0].headers["etag"] != known


def test_a_wait_for_a_job_that_is_deleted_meanwhile_is_a_404(api: Api) -> None:
    job_id = api.submit()
    answers: list[Reply] = []
    known = etag(api, job_id)
    waiting = threading.Thread(
        target=lambda: answers.append(api.get(f"{JOBS}/{job_id}", if_none_match=known, prefer="wait=50"))
    )
    waiting.start()
    assert api.delete(f"{JOBS}/{job_id}?hard_delete=true").status == 204
    waiting.join(40)
    assert not waiting.is_alive()
    assert answers[0].status == 404


def test_a_wait_is_over_after_its_time(api: Api) -> None:
    job_id = api.submit()
    began = time.monotonic()
    assert api.get(f"{JOBS}/{job_id}", if_none_match=etag(api, job_id), prefer="wait=1").status == 304
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("preference", ["wait=0", "wait=x", "wait=-5", "wait", "wait=1e9", "return=minimal", "wait=²"])
def test_a_preference_that_is_none_is_passed_over(api: Api, preference: str) -> None:
    job_id = api.submit()
    headers = {"If-None-Match": etag(api, job_id), "Prefer": preference.encode("latin-1")}
    assert api.call("GET", f"{JOBS}/{job_id}", headers=headers).status == 304  # type: ignore[arg-type]


def test_a_wait_without_a_known_tag_answers_at_once(api: Api) -> None:
    assert api.get(f"{JOBS}/{api.submit()}", prefer="wait=50").status == 200


def test_many_can_wait_at_once(api: Api) -> None:
    job_id = api.submit()
    answers: list[int] = []
    known = etag(api, job_id)
    waiting = [
        threading.Thread(
            target=lambda: answers.append(api.get(f"{JOBS}/{job_id}", if_none_match=known, prefer="wait=50").status)
        )
        for _ in range(20)
    ]
    for one in waiting:
        one.start()
    assert api.delete(f"{JOBS}/{job_id}").status == 204
    for one in waiting:
        one.join(40)
    assert answers == [200] * 20


def test_the_same_key_and_body_make_one_job(api: Api) -> None:
    key, name = unique("key"), unique()
    replies = [api.post(JOBS, job_body(name=name), idempotency_key=key) for _ in range(3)]
    assert {reply.status for reply in replies} == {202}
    assert len({reply.json["resource"]["id"] for reply in replies}) == 1
    assert api.get(f"{JOBS}?name={name}").json["total_count"] == 1


def test_requests_with_one_key_that_come_together_make_one_job(api: Api) -> None:
    key, name, ids = unique("key"), unique(), []
    posting = [
        threading.Thread(
            target=lambda: ids.append(api.post(JOBS, job_body(name=name), idempotency_key=key).json["resource"]["id"])
        )
        for _ in range(16)
    ]
    for one in posting:
        one.start()
    for one in posting:
        one.join(60)
    assert (len(ids), len(set(ids))) == (16, 1)
    assert api.get(f"{JOBS}?name={name}").json["total_count"] == 1


def test_the_order_of_members_does_not_make_another_body(api: Api) -> None:
    key, body = unique("key"), job_body(name=unique())
    first = api.post(JOBS, body, idempotency_key=key)
    second = api.post(JOBS, dict(reversed(body.items())), idempotency_key=key)
    assert first.json["resource"]["id"] == second.json["resource"]["id"]


def test_a_key_used_for_another_body_is_refused(api: Api) -> None:
    key = unique("key")
    assert api.post(JOBS, job_body(name=unique()), idempotency_key=key).status == 202
    reply = api.post(JOBS, job_body(name=unique()), idempotency_key=key)
    assert (reply.status, reply.code) == (422, "idempotency_key_reused")


def test_a_key_belongs_to_its_tenant(api: Api) -> None:
    key, name = unique("key"), unique()
    ids = {
        api.as_(x_tenant=tenant).post(JOBS, job_body(name=name), idempotency_key=key).json["resource"]["id"]
        for tenant in (unique("a"), unique("b"))
    }
    assert len(ids) == 2


def test_a_refused_submission_does_not_use_its_key_up(api: Api) -> None:
    key = unique("key")
    assert api.post(JOBS, job_body("nope"), idempotency_key=key).status == 400
    assert api.post(JOBS, job_body(), idempotency_key=key).status == 202


def test_without_a_key_the_same_body_makes_a_job_each_time(api: Api) -> None:
    body = job_body(name=unique())
    ids = {api.post(JOBS, body).json["resource"]["id"] for _ in range(5)}
    assert len(ids) == 5


def test_a_key_may_be_used_again_once_its_job_is_deleted_for_good(api: Api) -> None:
    key, body = unique("key"), job_body(name=unique())
    first = api.post(JOBS, body, idempotency_key=key).json["resource"]["id"]
    assert api.delete(f"{JOBS}/{first}?hard_delete=true").status == 204
    reply = api.post(JOBS, body, idempotency_key=key)
    assert reply.status == 202
    assert reply.json["resource"]["id"] != first
    assert api.job(reply.json["resource"]["id"])["name"] == body["name"]


@pytest.mark.parametrize("fate", ["changed", "deleted"])
def test_a_repeated_submission_makes_no_second_job_whatever_became_of_its_collection(api: Api, fate: str) -> None:
    body = {"name": "c", "category": "g", "benchmarks": [{"id": "b0", "provider_id": "manual"}]}
    collection = f"{COLLECTIONS}/{api.post(COLLECTIONS, body).json['resource']['id']}"
    key, job = unique("key"), job_body(benchmarks=[], collection={"id": collection.rpartition("/")[2]})
    first = api.post(JOBS, job, idempotency_key=key)
    answer = api.call("PATCH", collection, {"name": "d"}) if fate == "changed" else api.call("DELETE", collection)
    assert answer.status in (200, 204)
    again = api.post(JOBS, job, idempotency_key=key)
    assert (again.status, again.json["resource"]["id"]) == (202, first.json["resource"]["id"])
