"""eval-hub-sdk 1.0.6, unmodified: what its clients do with jobs and their logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from evalhub.client import JobCanNotBeCancelledError, JobLogOptions, JobNotFoundError
from evalhub.models import (
    BenchmarkConfig,
    CollectionRef,
    EvaluationExports,
    EvaluationExportsOCI,
    ExperimentConfig,
    GitTestDataRef,
    HFTestDataRef,
    JobPhase,
    JobStatus,
    JobSubmissionRequest,
    ModelAuth,
    ModelConfig,
    OCIConnectionConfig,
    OCICoordinates,
    OCISigningConfig,
    PassCriteria,
    PrimaryScore,
    PVCTestDataRef,
    QueueConfig,
    S3TestDataRef,
)
from evalhub.models import TestDataRef as DataRef

from tests.evalhub.live import Live
from tests.evalhub.sdk_clients import Connect
from tests.server.client import JOBS, unique

QUICK = 0.05
PATIENCE_S = 60
DONE = ["post", {"status": "completed", "metrics": {"acc": 0.75}}]


def job(*programs: list[list[Any]], **members: Any) -> JobSubmissionRequest:
    """Return a submission with a benchmark for each list of steps that an adapter takes."""
    benchmarks = [BenchmarkConfig(id="b0", provider_id="by-hand", parameters={"steps": steps}) for steps in programs]
    chosen = {} if "collection" in members else {"benchmarks": benchmarks or waiting()}
    return JobSubmissionRequest(
        **{"name": unique(), "model": ModelConfig(url="http://m.example/v1", name="m")} | chosen | members
    )


def waiting(**members: Any) -> list[BenchmarkConfig]:
    """Return a benchmark that stays at work until it is stopped."""
    return [BenchmarkConfig(id="b0", provider_id="by-hand", parameters={"steps": [["sleep", 600]]}, **members)]


def ended(client: Any, job_id: str) -> Any:
    """Wait for the end of a job as the SDK does."""
    return client.jobs.wait_for_completion(job_id, timeout=PATIENCE_S, poll_interval=QUICK)


def dump(model: Any) -> Any:
    """Return what of a model is not null."""
    return model.model_dump(mode="json", exclude_none=True)


def test_every_member_of_a_job_comes_back(client: Any, tenant_name: str) -> None:
    sent = job(
        description="All that can be said of a job.",
        tags=["one", "two"],
        model=ModelConfig(url="http://m.example/v1", name="m", auth=ModelAuth(secret_ref="file:///nowhere")),
        benchmarks=waiting(primary_score=PrimaryScore(metric="acc"), pass_criteria=PassCriteria(threshold=0.0)),
        exports=EvaluationExports(
            oci=EvaluationExportsOCI(
                coordinates=OCICoordinates(
                    oci_host="registry.example", oci_repository="a/b", oci_tag="t", annotations={"a": "b"}
                ),
                k8s=OCIConnectionConfig(connection="push"),
                signing=OCISigningConfig(type="key-pair", secret_ref="signer"),
            )
        ),
        queue=QueueConfig(name="batch"),
    )
    made = client.jobs.submit(sent)
    assert made.resource.tenant == tenant_name
    assert made.resource.created_at.tzinfo is not None
    found = client.jobs.get(made.id)
    for name in ("name", "description", "tags", "model", "benchmarks", "exports"):
        assert getattr(found, name) == getattr(sent, name), name
    assert (found.queue.name, found.queue.kind) == ("batch", "kueue")
    assert [dump(listed)["name"] for listed in client.jobs.list()] == [sent.name]
    assert client.jobs.cancel(made.id, hard_delete=True) is True


@pytest.mark.parametrize(
    "source",
    [
        {"s3": S3TestDataRef(bucket="b", key="k/", secret_ref="s")},
        {"pvc": PVCTestDataRef(claim_name="c")},
        {"pvc": PVCTestDataRef(claim_name="c", sub_path="a/b")},
        {"git": GitTestDataRef(url="http://git.example/a.git", ref="main")},
        {"git": GitTestDataRef(url="https://git.example/a.git", ref="v1", sub_path="a", secret_ref="s")},
        {"hf": HFTestDataRef(repo_id="a/b")},
        {"hf": HFTestDataRef(repo_id="a/b", revision="main", sub_path="a", secret_ref="s")},
    ],
    ids=lambda source: "-".join([*source, *map(str, dump(next(iter(source.values()))))]),
)
def test_a_reference_to_test_data_comes_back(client: Any, source: dict[str, Any]) -> None:
    sent = job(benchmarks=waiting(test_data_ref=DataRef(**source, resolved_sha="0123456789abcdef")))
    made = client.jobs.submit(sent)
    kept = client.jobs.get(made.id).benchmarks[0].test_data_ref
    assert dump(kept) == dump(DataRef(**source))
    assert client.jobs.cancel(made.id, hard_delete=True) is True


def test_a_job_may_run_a_collection_with_settings_of_its_own(client: Any) -> None:
    made = client.collections.create(
        {
            "name": "c",
            "category": "x",
            "benchmarks": [
                {
                    "id": "b0",
                    "provider_id": "by-hand",
                    "primary_score": {"metric": "acc"},
                    "pass_criteria": {"threshold": 0.5},
                },
                {"id": "b1", "provider_id": "by-hand"},
            ],
        }
    )
    override = BenchmarkConfig(id="b0", provider_id="by-hand", parameters={"steps": [DONE]})
    sent = job(collection=CollectionRef(id=made.resource.id, benchmarks=[override]))
    done = ended(client, client.jobs.submit(sent).id)
    assert done.collection.id == made.resource.id
    assert [row.id for row in done.status.benchmarks] == ["b0", "b1"]
    assert done.state == JobStatus.COMPLETED
    assert done.benchmarks is None


def test_what_is_wrong_with_a_submission_is_said(client: Any) -> None:
    absent = BenchmarkConfig(id="nothing", provider_id="by-hand")
    for sent, status, words in (
        (job(name=""), 400, "'EvaluationJobConfig.name' Error:Field validation for 'name' failed on the 'required' tag"),
        (job(benchmarks=[absent]), 400, "The benchmark with id 'nothing' does not exist."),
        (job(collection=CollectionRef(id="nothing")), 404, "The collection resource 'nothing' was not found."),
        (job(experiment=ExperimentConfig(name="e")), 400, "MLflow is required for experiment tracking."),
    ):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            client.jobs.submit(sent)
        answer = refused.value.response
        assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text
    assert client.jobs.list() == []


def test_a_job_that_is_not_there_is_not_found(client: Any) -> None:
    jobs = client.jobs
    for call in (jobs.get, jobs.get_logs, jobs.wait_for_completion, lambda job_id: list(jobs.watch_logs(job_id))):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            call("nothing")
        assert refused.value.response.status_code == 404
        assert refused.value.response.json()["detail"] == "The evaluation job resource 'nothing' was not found."
    with pytest.raises(JobNotFoundError, match="nothing"):
        client.jobs.cancel("nothing")


def test_jobs_are_listed_newest_first_by_state_and_number(client: Any) -> None:
    made = [client.jobs.submit(job()).id for _ in range(3)]
    done = ended(client, client.jobs.submit(job([DONE])).id).id
    assert [listed.id for listed in client.jobs.list()] == [done, *reversed(made)]
    assert [listed.id for listed in client.jobs.list(limit=2)] == [done, made[2]]
    assert [listed.id for listed in client.jobs.list(status=JobStatus.COMPLETED)] == [done]
    assert client.jobs.cancel(made[0])
    assert [listed.id for listed in client.jobs.list(status=JobStatus.CANCELLED, limit=5)] == [made[0]]
    assert client.jobs.list(status=JobStatus.PARTIALLY_FAILED) == []
    assert all(client.jobs.cancel(job_id, hard_delete=True) for job_id in made)


def test_without_a_number_fifty_jobs_are_listed(client: Any) -> None:
    made = [client.jobs.submit(job(benchmarks=[BenchmarkConfig(id="b0", provider_id="silent")])).id for _ in range(51)]
    assert [listed.id for listed in client.jobs.list()] == made[:0:-1]
    assert len(client.jobs.list(limit=100)) == 51


def test_a_job_is_waited_for_until_its_last_benchmark_has_ended(client: Any, tmp_path: Path) -> None:
    submitted = client.jobs.submit(job([DONE], [["wait", str(tmp_path / "go")], DONE]))
    assert submitted.effective_state == JobStatus.PENDING
    assert [row.status for row in submitted.status.benchmarks] == [JobStatus.PENDING, JobStatus.PENDING]
    with pytest.raises(TimeoutError, match=submitted.id):
        client.jobs.wait_for_completion(submitted.id, timeout=1, poll_interval=QUICK)
    (tmp_path / "go").touch()
    done = ended(client, submitted.id)
    assert done.effective_state == JobStatus.COMPLETED
    assert [row.benchmark_index for row in done.results.benchmarks] == [0, 1]


def test_what_an_adapter_reports_is_read_in_full(client: Any) -> None:
    reported = {
        "status": "completed",
        "phase": "completed",
        "metrics": {"acc": 0.5, "label": "good", "yes": True, "all": [1, 2], "nothing": None},
        "metrics_schema": [{"name": "acc", "type": "numeric"}, {"name": "all", "type": "array_ordered"}],
        "artifacts": {"table": {"a": [None, 1]}},
        "additional_info": {"sha": "abc", "nothing": None},
        "mlflow_run_id": "run",
        "logs_path": "/logs",
        "started_at": "2026-01-01T00:00:00.123456+00:00",
        "completed_at": "2026-01-01T00:00:01.5Z",
    }
    warning = {"status": "running", "phase": "loading_data", "warning_message": {"message": "slow", "message_code": "w"}}
    done = ended(client, client.jobs.submit(job([["post", warning], ["post", reported]])).id)
    row, result = done.status.benchmarks[0], done.results.benchmarks[0]
    assert (row.state, row.phase) == (JobStatus.COMPLETED, JobPhase.COMPLETED)
    assert (row.started_at.microsecond, (row.completed_at - row.started_at).total_seconds()) == (123456, 1.376544)
    for name in ("metrics", "artifacts", "additional_info", "mlflow_run_id", "logs_path"):
        assert getattr(result, name) == reported[name], name
    assert {one.name: one.type.value for one in result.metrics_schema}["all"] == "array_ordered"
    assert done.status.message.message == "Evaluation job is completed"


@pytest.mark.parametrize("origin", ["adapter", "sdk", "server", "runtime", "a stranger", ""])
def test_messages_of_every_origin_can_be_read(client: Any, origin: str) -> None:
    error = {"message": "it broke", "message_code": "broken", "message_origin": origin}
    done = ended(client, client.jobs.submit(job([["post", {"status": "failed", "error_message": error}]])).id)
    assert done.state == JobStatus.FAILED
    assert done.status.benchmarks[0].error_message.message == "it broke"
    assert client.jobs.list()[0].status.benchmarks[0].error_message.message_code == "broken"


def test_every_state_of_a_job_can_be_read(client: Any) -> None:
    partly = client.jobs.submit(job([["exit", 1]], [DONE])).id
    failed = client.jobs.submit(job([["exit", 7]])).id
    assert ended(client, partly).effective_state == JobStatus.PARTIALLY_FAILED
    message = ended(client, failed).status.benchmarks[0].error_message
    assert (message.message_code, message.message_origin.value) == ("process_exited", "runtime")
    assert "7" in message.message
    assert {listed.id: listed.state for listed in client.jobs.list()} == {
        partly: JobStatus.PARTIALLY_FAILED,
        failed: JobStatus.FAILED,
    }


def test_a_job_is_cancelled_and_then_deleted(client: Any) -> None:
    job_id = client.jobs.submit(job([["sleep", 600]], [["sleep", 600]])).id
    assert client.jobs.cancel(job_id) is True
    cancelled = client.jobs.get(job_id)
    assert cancelled.state == JobStatus.CANCELLED
    assert [row.status for row in cancelled.status.benchmarks] == [JobStatus.CANCELLED, JobStatus.CANCELLED]
    assert cancelled.status.benchmarks[0].error_message.message == "Evaluation job cancelled"
    assert client.jobs.cancel(job_id) is True
    assert client.jobs.cancel(job_id, hard_delete=True) is True
    with pytest.raises(JobNotFoundError) as missing:
        client.jobs.cancel(job_id, hard_delete=True)
    assert missing.value.job_id == job_id


def test_a_job_that_has_ended_cannot_be_cancelled_and_says_why(client: Any) -> None:
    done = ended(client, client.jobs.submit(job([DONE])).id)
    with pytest.raises(JobCanNotBeCancelledError) as refused:
        client.jobs.cancel(done.id)
    assert refused.value.reason == f"The job {done.id} can not be cancelled because it is 'completed'."
    assert client.jobs.get(done.id).results == done.results
    assert client.jobs.cancel(done.id, hard_delete=True) is True


def test_logs_are_read_whole_by_benchmark_and_in_part(client: Any) -> None:
    job_id = client.jobs.submit(job([["print", "one"], ["print", "two"], DONE], [["print", "three"], DONE])).id
    ended(client, job_id)
    whole = client.jobs.get_logs(job_id)
    first, second = (client.jobs.get_logs(job_id, benchmark_index=index) for index in (0, 1))
    title = f"=== pod={job_id}-%d container=local benchmark_id=b0 ===\n"
    assert whole == title % 0 + first + "\n" + title % 1 + second
    assert first.startswith("one\ntwo\n")
    assert second.startswith("three\n")
    lines = len(first.splitlines())
    tail = client.jobs.get_logs(job_id, benchmark_index=0, options=JobLogOptions(tail_lines=lines - 1))
    assert tail == first.split("\n", 1)[1]
    options = JobLogOptions(tail_lines=10_000, timestamps=True, since_seconds=3600)
    stamped = client.jobs.get_logs(job_id, benchmark_index=0, options=options)
    assert [line.split(" ", 1)[1] for line in stamped.splitlines()] == first.splitlines()
    with pytest.raises(httpx.HTTPStatusError) as refused:
        client.jobs.get_logs(job_id, benchmark_index=2)
    assert refused.value.response.status_code == 404


def test_logs_are_watched_to_their_last_line(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "go"
    job_id = client.jobs.submit(
        job([["print", "early"], ["wait", str(path)], ["print", "late"], DONE, ["print", "last"]])
    ).id
    pieces = []
    for update in client.jobs.watch_logs(job_id, benchmark_index=0, poll_interval=QUICK, timeout=PATIENCE_S):
        pieces.append(update.logs)
        if "early" in update.logs:
            path.touch()
    assert update.job.effective_state == JobStatus.COMPLETED
    text = "".join(pieces)
    assert text == client.jobs.get_logs(job_id, benchmark_index=0)
    assert [word for word in text.split() if word in ("early", "late", "last")] == ["early", "late", "last"]


def test_the_logs_of_a_whole_job_are_watched(client: Any) -> None:
    job_id = client.jobs.submit(job([["print", "one"], DONE])).id
    watched = client.jobs.watch_logs(job_id, options=JobLogOptions(tail_lines=5), poll_interval=QUICK, timeout=PATIENCE_S)
    text = "".join(update.logs for update in watched)
    assert text == client.jobs.get_logs(job_id)
    assert text.startswith(f"=== pod={job_id}-0 container=local benchmark_id=b0 ===\none\n")


def test_watching_ends_at_its_limit(client: Any) -> None:
    job_id = client.jobs.submit(job()).id
    with pytest.raises(TimeoutError, match=job_id):
        list(client.jobs.watch_logs(job_id, poll_interval=QUICK, timeout=0.2))
    assert client.jobs.cancel(job_id)


def test_a_tenant_sees_its_own_jobs_only(client: Any, connect: Connect) -> None:
    other = unique("sdk")
    job_id = client.jobs.submit(job([["print", "mine"], DONE]), tenant=other).id
    done = client.jobs.wait_for_completion(job_id, timeout=PATIENCE_S, poll_interval=QUICK, tenant=other)
    assert done.resource.tenant == other
    assert [listed.id for listed in client.jobs.list(tenant=other)] == [job_id]
    assert "mine" in client.jobs.get_logs(job_id, tenant=other)
    assert "mine" in "".join(update.logs for update in client.jobs.watch_logs(job_id, tenant=other))
    for stranger in (client, connect()):
        assert job_id not in [listed.id for listed in stranger.jobs.list(limit=1000)]
        with pytest.raises(httpx.HTTPStatusError):
            stranger.jobs.get(job_id)
        with pytest.raises(JobNotFoundError):
            stranger.jobs.cancel(job_id, hard_delete=True)
    assert client.jobs.cancel(job_id, hard_delete=True, tenant=other) is True


@pytest.mark.parametrize(
    "model", [{"url": "http://m.example/v1", "name": "  "}, {"url": "", "name": "m", "auth": {"secret_ref": " "}}]
)
def test_nothing_is_accepted_that_the_sdk_could_not_list(client: Any, live: Live, tenant_name: str, model: Any) -> None:
    body = dump(job()) | {"model": model}
    refused = live.api.as_(x_tenant=tenant_name).post(JOBS, body)
    assert (refused.status, refused.code) == (400, "request_validation_failed")
    assert "failed on the 'notblank' tag" in refused.message
    assert client.jobs.list() == []
