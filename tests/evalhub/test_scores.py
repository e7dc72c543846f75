"""How benchmarks and jobs are judged, seen through the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.client import JOBS, Api

Benchmark = dict[str, Any]


def judged(api: Api, benchmarks: list[Benchmark], metrics: list[dict[str, Any]], **members: Any) -> dict[str, Any]:
    """Run a job by hand: each benchmark completes with its metrics. Returns the job's document."""
    body = [{"provider_id": "manual", "id": "b0"} | benchmark for benchmark in benchmarks]
    job_id = api.submit(benchmarks=body, **members)
    for index, (benchmark, measured) in enumerate(zip(body, metrics, strict=True)):
        about: dict[str, Any] = {
            "provider": benchmark["provider_id"],
            "benchmark": benchmark["id"],
            "benchmark_index": index,
        }
        assert api.report(job_id, "completed", metrics=measured, **about).status == 204
    return api.job(job_id)


def wants(metric: str, threshold: float | None, **members: Any) -> Benchmark:
    """Return a benchmark with its own criteria."""
    lower = members.pop("lower", False)
    criteria = {} if threshold is None else {"pass_criteria": {"threshold": threshold}}
    return {"primary_score": {"metric": metric, "lower_is_better": lower}} | criteria | members


@pytest.mark.parametrize(
    ("benchmark", "value", "passed"),
    [
        (wants("acc", 0.5), 0.5, True),
        (wants("acc", 0.5), 0.49, False),
        (wants("acc", 0), 0, True),
        (wants("ms", 100, lower=True), 100, True),
        (wants("ms", 100, lower=True), 100.5, False),
    ],
)
def test_a_benchmark_is_held_against_its_threshold(api: Api, benchmark: Benchmark, value: float, passed: bool) -> None:
    document = judged(api, [benchmark], [{benchmark["primary_score"]["metric"]: value}])
    assert document["results"]["benchmarks"][0]["test"] == {
        "primary_score": value,
        "primary_score_metric": benchmark["primary_score"]["metric"],
        "threshold": benchmark["pass_criteria"]["threshold"],
        "pass": passed,
    }


def test_whole_numbers_are_written_without_a_fraction(api: Api) -> None:
    job_id = judged(api, [wants("acc", 1.0, weight=2.0)], [{"acc": 1.0}])["resource"]["id"]
    text = api.get(f"{JOBS}/{job_id}").text
    assert '"test":{"primary_score":1,"primary_score_metric":"acc","threshold":1,"pass":true}' in text
    assert '"test":{"score":1,"threshold":0.5,"pass":true}' in text
    assert '"weight":2,' in text


def test_the_providers_criteria_count_where_the_job_has_none(api: Api) -> None:
    document = judged(api, [{"provider_id": "scored", "id": "judged"}], [{"acc": 0.75}])
    assert document["results"]["benchmarks"][0]["test"] == {
        "primary_score": 0.75, "primary_score_metric": "acc", "threshold": 0.5, "pass": True,
    }  # fmt: skip


def test_score_and_threshold_are_taken_from_job_and_provider_separately(api: Api) -> None:
    benchmarks = [
        {"provider_id": "scored", "id": "judged", "primary_score": {"metric": "f1"}},
        {"provider_id": "scored", "id": "judged", "pass_criteria": {"threshold": 0.9}},
    ]
    document = judged(api, benchmarks, [{"f1": 0.6, "acc": 0.1}, {"acc": 0.6}])
    tests = [row["test"] for row in document["results"]["benchmarks"]]
    assert [(test["primary_score_metric"], test["threshold"], test["pass"]) for test in tests] == [
        ("f1", 0.5, True), ("acc", 0.9, False),
    ]  # fmt: skip


def test_the_same_benchmark_twice_is_judged_by_its_own_criteria(api: Api) -> None:
    document = judged(api, [wants("acc", 0.1), wants("acc", 0.9)], [{"acc": 0.5}, {"acc": 0.5}])
    assert [row["test"]["pass"] for row in document["results"]["benchmarks"]] == [True, False]


@pytest.mark.parametrize("metrics", [{"acc": "0.9"}, {}, {"acc": True}, {"acc": None}, {"acc": [0.9]}], ids=str)
def test_a_primary_metric_that_is_no_number_gives_a_warning_and_no_test(api: Api, metrics: dict[str, Any]) -> None:
    document = judged(api, [wants("acc", 0.5)], [metrics])
    assert document["status"]["state"] == "completed"
    assert "test" not in document["results"].get("benchmarks", [{}])[0]
    assert "test" not in document["results"]
    assert document["status"]["benchmarks"][0]["warning_message"]["message_origin"] == "server"


def test_an_adapters_own_warning_is_not_overwritten(api: Api) -> None:
    job_id = api.submit(benchmarks=[{"provider_id": "manual", "id": "b0"} | wants("acc", 0.5)])
    api.report(job_id, "completed", metrics={}, warning_message={"message": "mine", "message_code": "m"})
    assert api.job(job_id)["status"]["benchmarks"][0]["warning_message"]["message"] == "mine"


@pytest.mark.parametrize(
    ("benchmarks", "values", "score"),
    [
        ([wants("a", 0.5), wants("a", 0.5)], [0.9, 0.8], 0.85),
        ([wants("a", 0.5, weight=2), wants("a", 0.5)], [0.9, 0.6], 0.8),
        ([wants("a", 0.5, weight=0), wants("a", 0.5)], [0.1, 0.6], 0.6),
        ([wants("a", 0.5, weight=0.6), wants("a", 0.5, weight=0.4, lower=True)], [0.95, 0.1], 0.93),
        ([wants("a", 0.5), wants("other", None)], [0.7, 0.1], 0.7),
    ],
)
def test_the_score_of_a_job_is_the_weighted_mean(
    api: Api, benchmarks: list[Benchmark], values: list[float], score: float
) -> None:
    metrics = [{b["primary_score"]["metric"]: value} for b, value in zip(benchmarks, values, strict=True)]
    test = judged(api, benchmarks, metrics)["results"]["test"]
    assert test["score"] == pytest.approx(score, abs=1e-12)
    assert test["threshold"] == 0.5
    assert test["pass"] is (score >= 0.5)


def test_a_providers_lower_is_better_turns_the_score_round_too(api: Api) -> None:
    benchmark = {"provider_id": "scored", "id": "loss", "pass_criteria": {"threshold": 0.5}}
    assert judged(api, [benchmark], [{"l": 0.25}])["results"]["test"]["score"] == 0.75


def test_a_latency_does_not_make_the_score_negative(api: Api) -> None:
    document = judged(api, [wants("acc", 0.5), {"provider_id": "scored", "id": "latency"}], [{"acc": 0.8}, {"ms": 50}])
    assert document["results"]["benchmarks"][1]["test"]["pass"] is True
    assert 0 <= document["results"]["test"]["score"] <= 1


@pytest.mark.parametrize(("threshold", "passed"), [(0, True), (0.8, True), (0.81, False)])
def test_the_threshold_of_the_job_decides(api: Api, threshold: float, passed: bool) -> None:
    document = judged(api, [wants("a", 0.1)], [{"a": 0.8}], pass_criteria={"threshold": threshold})
    assert document["results"]["test"] == {"score": 0.8, "threshold": threshold, "pass": passed}


def test_a_job_that_did_not_complete_has_no_score(api: Api) -> None:
    job_id = api.submit(
        benchmarks=[{"provider_id": "manual", "id": "b0"} | wants("a", 0.1), {"provider_id": "manual", "id": "b1"}]
    )
    api.report(job_id, "completed", metrics={"a": 1})
    assert "test" not in api.job(job_id)["results"]
    api.report(job_id, "failed", benchmark="b1", benchmark_index=1)
    document = api.job(job_id)
    assert document["status"]["state"] == "partially_failed"
    assert "test" not in document["results"]
    assert document["results"]["benchmarks"][0]["test"]["pass"] is True


def test_scores_are_doubles(api: Api) -> None:
    assert judged(api, [wants("a", 0.1)], [{"a": 0.1}])["results"]["test"]["score"] == 0.1


def test_a_score_beyond_32_bits_leaves_the_list_readable(api: Api) -> None:
    """EvalHub's own clients read scores as numbers of 32 bits, and whoever meets a larger one cannot read the whole list."""
    job = judged(api, [wants("ppl", 10, lower=True)], [{"ppl": 1e39}])
    (result,) = job["results"]["benchmarks"]
    assert result["metrics"] == {"ppl": 1e39}
    assert result["test"]["primary_score"] == 3.4028234663852886e38
    assert result["test"]["pass"] is False


@pytest.mark.parametrize(
    "members",
    [
        {"pass_criteria": {"threshold": 1e39}},
        {"benchmarks": [{"id": "b0", "provider_id": "manual", "weight": 1e39}]},
        {"benchmarks": [{"id": "b0", "provider_id": "manual", "parameters": {"a": [10**400]}}]},
        {"custom": {"a": 10**400}},
    ],
    ids=lambda members: str(members)[:60],
)
def test_a_number_that_clients_cannot_read_is_refused(api: Api, members: dict[str, Any]) -> None:
    body = {
        "name": "n",
        "model": {"name": "m", "url": "http://127.0.0.1:1/v1"},
        "benchmarks": [{"id": "b0", "provider_id": "manual"}],
    }
    reply = api.post(JOBS, body | members)
    assert (reply.status, reply.code) == (400, "invalid_json_request"), reply.text
    assert "too large" in reply.message
