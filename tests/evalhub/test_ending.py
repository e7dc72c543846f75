"""Cancelling and deleting, without a process in the way."""

from __future__ import annotations

import pytest

from tests.server.client import JOBS, Api, unique


def test_a_cancelled_job_says_so_and_so_do_its_open_benchmarks(api: Api) -> None:
    job_id = api.submit("b0", "b1", "b0")
    api.report(job_id, "completed", benchmark_index=0)
    api.report(job_id, "running", benchmark="b1", benchmark_index=1)
    reply = api.delete(f"{JOBS}/{job_id}")
    assert (reply.status, reply.body) == (204, b"")
    status = api.job(job_id)["status"]
    said = {"message": "Evaluation job cancelled", "message_code": "evaluation_job_cancelled", "message_origin": "server"}
    assert (status["state"], status["message"]) == ("cancelled", said)
    assert [row["status"] for row in status["benchmarks"]] == ["completed", "cancelled", "cancelled"]
    assert [row.get("error_message") for row in status["benchmarks"]] == [None, said, said]


def test_cancelling_twice_is_harmless(api: Api) -> None:
    job_id = api.submit()
    assert api.delete(f"{JOBS}/{job_id}").status == 204
    before = api.job(job_id)
    assert api.delete(f"{JOBS}/{job_id}").status == 204
    assert api.job(job_id) == before


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_an_ended_job_cannot_be_cancelled(api: Api, end: str) -> None:
    job_id = api.submit()
    api.report(job_id, end)
    before = api.job(job_id)
    reply = api.delete(f"{JOBS}/{job_id}")
    assert (reply.status, reply.code) == (409, "job_can_not_be_updated")
    assert reply.message == f"The job {job_id} can not be cancelled because it is '{end}'."
    assert api.job(job_id) == before


@pytest.mark.parametrize("end", ["", "running", "completed", "failed", "cancelled"])
@pytest.mark.parametrize("flag", ["true", "1", "T", "TRUE"])
def test_a_job_is_deleted_for_good_in_any_state(api: Api, end: str, flag: str) -> None:
    name = unique()
    job_id = api.submit(name=name)
    if end == "cancelled":
        api.delete(f"{JOBS}/{job_id}")
    elif end:
        api.report(job_id, end)
    assert api.delete(f"{JOBS}/{job_id}?hard_delete={flag}").status == 204
    assert api.get(f"{JOBS}/{job_id}").status == 404
    assert api.get(f"{JOBS}/{job_id}/logs").status == 404
    assert api.report(job_id, "running").status == 404
    assert api.delete(f"{JOBS}/{job_id}?hard_delete={flag}").status == 404
    assert api.get(f"{JOBS}?name={name}").json["total_count"] == 0


@pytest.mark.parametrize("flag", ["false", "0", "F", ""])
def test_a_false_flag_only_cancels(api: Api, flag: str) -> None:
    job_id = api.submit()
    assert api.delete(f"{JOBS}/{job_id}?hard_delete={flag}").status == 204
    assert api.job(job_id)["status"]["state"] == "cancelled"


def test_a_flag_that_is_no_boolean_is_refused_and_nothing_happens(api: Api) -> None:
    job_id = api.submit()
    reply = api.delete(f"{JOBS}/{job_id}?hard_delete=maybe")
    assert (reply.status, reply.code) == (400, "query_parameter_invalid")
    assert reply.message == "The query parameter 'hard_delete' is not a valid boolean: 'maybe'."
    assert api.job(job_id)["status"]["state"] == "pending"


@pytest.mark.parametrize("flag", ["true", "maybe"])
def test_an_unknown_job_is_a_404_whatever_the_flag_says(api: Api, flag: str) -> None:
    reply = api.delete(f"{JOBS}/nope?hard_delete={flag}")
    assert (reply.status, reply.code) == (404, "resource_not_found")


def test_other_parameters_are_ignored(api: Api) -> None:
    assert api.delete(f"{JOBS}/{api.submit()}?x=1").status == 204
