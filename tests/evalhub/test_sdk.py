"""eval-hub-sdk 1.0.6, unmodified: its adapters."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from evalhub.client import SyncEvalHubClient
from evalhub.models.api import (
    BenchmarkConfig,
    JobStatus,
    JobSubmissionRequest,
    ModelAuth,
    ModelConfig,
    PassCriteria,
    PrimaryScore,
)

from tests.evalhub.live import Live
from tests.server.client import JOBS, unique
from tests.system.deployment import practice_model

KEY = "sk-canary-of-the-model"


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    """Base URL of a practice model that answers only to its key."""
    with practice_model(ASSAY_PRACTICE_API_KEY=KEY) as url:
        yield url


@pytest.fixture
def client(live: Live) -> Iterator[SyncEvalHubClient]:
    with SyncEvalHubClient(base_url=live.api.url, max_retries=0) as opened:
        yield opened


def secret(folder: Path, key: str) -> str:
    """Write a credential folder; return its URL."""
    (folder / "secret").mkdir(mode=0o700)
    (folder / "secret" / "api-key").write_text(key + "\n")
    return (folder / "secret").as_uri()


def request(url: str, secret_ref: str | None = None, **parameters: Any) -> JobSubmissionRequest:
    return JobSubmissionRequest(
        name=unique(),
        model=ModelConfig(url=url, name="practice", auth=ModelAuth(secret_ref=secret_ref) if secret_ref else None),
        benchmarks=[
            BenchmarkConfig(
                id="b0",
                provider_id="sdk",
                parameters=parameters,
                primary_score=PrimaryScore(metric="answered"),
                pass_criteria=PassCriteria(threshold=0.5),
            )
        ],
    )


def test_an_adapter_reaches_the_model_without_ever_seeing_its_key(
    live: Live, client: SyncEvalHubClient, model_url: str, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    job = client.jobs.submit(request(model_url, secret(tmp_path, KEY), num_examples=3, note=str(note)))
    done = client.jobs.wait_for_completion(job.id, timeout=60, poll_interval=0.05)
    assert done.status.state == JobStatus.COMPLETED, live.log(job.id)
    assert done.results.benchmarks[0].metrics == {"answered": 1.0}
    assert live.api.job(job.id)["results"]["test"]["pass"] is True
    seen = json.loads(note.read_text())
    assert seen["key"] == seen["again"] != KEY
    assert seen["key"]
    assert not seen["url"].startswith(model_url)
    assert not seen["callback"].startswith(live.api.url)
    assert KEY not in note.read_text() + live.log(job.id) + json.dumps(live.api.job(job.id))


def test_the_key_of_a_run_opens_nothing_once_the_run_is_over(
    client: SyncEvalHubClient, live: Live, model_url: str, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    job = client.jobs.submit(request(model_url, secret(tmp_path, KEY), note=str(note)))
    client.jobs.wait_for_completion(job.id, timeout=60, poll_interval=0.05)
    live.log(job.id)
    list(live.api.lines(f"{JOBS}/{job.id}/benchmarks/0/logs?follow=true"))  # ends when the worker has let the run go
    seen = json.loads(note.read_text())
    asked = urllib.request.Request(seen["url"] + "/models", headers={"Authorization": f"Bearer {seen['key']}"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked, timeout=20)
    assert refused.value.code in (401, 403, 404)


def test_a_wrong_key_is_the_models_refusal_and_is_not_shown(
    client: SyncEvalHubClient, live: Live, model_url: str, tmp_path: Path
) -> None:
    job = client.jobs.submit(request(model_url, secret(tmp_path, "sk-canary-that-is-wrong")))
    done = client.jobs.wait_for_completion(job.id, timeout=60, poll_interval=0.05)
    assert done.status.state == JobStatus.FAILED
    row = live.api.job(job.id)["status"]["benchmarks"][0]
    assert "401" in row["error_message"]["message"]
    assert "sk-canary" not in live.log(job.id) + json.dumps(live.api.job(job.id))


def test_a_credential_that_is_not_there_fails_with_its_name_and_where_to_put_it(
    client: SyncEvalHubClient, live: Live, model_url: str, tmp_path: Path
) -> None:
    job = client.jobs.submit(request(model_url, (tmp_path / "nowhere").as_uri()))
    client.jobs.wait_for_completion(job.id, timeout=60, poll_interval=0.05)
    error = live.api.job(job.id)["status"]["benchmarks"][0]["error_message"]
    assert error["message_code"] == "credential_missing"
    assert str(tmp_path / "nowhere") in error["message"]


def test_an_adapter_that_raises_reports_why(client: SyncEvalHubClient, live: Live, model_url: str) -> None:
    job = client.jobs.submit(request(model_url, fail=True))
    done = client.jobs.wait_for_completion(job.id, timeout=60, poll_interval=0.05)
    assert done.status.state == JobStatus.FAILED
    row = done.status.benchmarks[0]
    assert row.error_message is not None
    assert (row.error_message.message, row.error_message.message_origin) == ("the data set is missing", "adapter")
    assert row.phase == "initializing"


def test_what_an_adapter_sends_of_its_surroundings_is_kept(
    client: SyncEvalHubClient, model_url: str, tmp_path: Path
) -> None:
    job = client.jobs.submit(request(model_url, secret(tmp_path, KEY)))
    done = client.jobs.wait_for_completion(job.id, timeout=60, poll_interval=0.05)
    assert "evalhub.env_card" in done.results.benchmarks[0].artifacts
    assert done.status.benchmarks[0].completed_at is not None


def test_the_folder_of_a_job_is_where_the_sdk_expects_it(
    client: SyncEvalHubClient, live: Live, model_url: str, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    job = client.jobs.submit(request(model_url, secret(tmp_path, KEY), note=str(note)))
    client.jobs.wait_for_completion(job.id, timeout=60, poll_interval=0.05)
    base = Path(json.loads(note.read_text())["base"])
    assert live.served.data in base.parents
