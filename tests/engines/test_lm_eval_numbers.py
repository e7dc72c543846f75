"""The numbers of a run, however it was started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.engines.lm_eval import flat_metrics

from .engine_runs import Outcome, Runner, practice_model

TASKS = [
    ("practice_arithmetic", "chat"),
    ("practice_cloze", "completions"),
    ("practice_starter", "completions"),
]


def rows(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Everything that the run measured in the library's own keys, by task or group."""
    result = outcome.result
    entries = {name: task.metrics for name, task in result.tasks.items()}
    entries |= {name: group.metrics for name, group in result.groups.items()}
    return {
        name: {
            key: value
            for metric_name, metric in metrics.items()
            for key, value in (
                (f"{metric_name.split(',')[0]},{metric.filter}", metric.value),
                (f"{metric_name.split(',')[0]}_stderr,{metric.filter}", metric.stderr),
            )
        }
        for name, metrics in entries.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(("task", "endpoint"), TASKS)
async def test_hosted_cold_and_plain_runs_measure_the_same(runner: Runner, model_url: str, task: str, endpoint: str) -> None:
    hosted = await runner.hosted(task, endpoint, model_url)
    cold = await runner.cold(task, endpoint, model_url)
    plain = await runner.plain(task, endpoint, model_url)

    expected = {name: {key: value for key, value in row.items() if "," in key} for name, row in plain["results"].items()}
    assert rows(hosted) == expected
    assert rows(cold) == expected
    hashes = {name: found.task_hash for name, found in hosted.result.tasks.items()}
    assert hashes == plain["task_hashes"]


async def test_results_are_whole_and_the_run_says_what_it_cost(runner: Runner, model_url: str) -> None:
    outcome = await runner.hosted("practice_arithmetic", "chat", model_url)

    assert outcome.returncode == 0
    assert outcome.events[0]["type"] == "started"
    assert outcome.events[0]["warm"] is True
    assert outcome.events[-1]["type"] == "result"
    task = outcome.result.tasks["practice_arithmetic"]
    assert (task.n_planned, task.n_scored, task.n_errored) == (48, 48, 0)
    assert task.output_type == "generate_until"
    assert task.metrics["exact_match"].higher_is_better is True
    usage = outcome.result.usage
    assert (usage.requests, usage.failed_requests) == (48, 0)
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0


async def test_progress_counts_samples_up_to_the_last_one(runner: Runner, model_url: str) -> None:
    outcome = await runner.hosted("practice_cloze", "completions", model_url)

    progress = outcome.of("progress")
    running = [event for event in progress if event["phase"] == "running_evaluation"]
    assert progress[0]["phase"] == "loading_data"
    assert progress[-1]["phase"] == "post_processing"
    assert (running[0]["done"], running[-1]["done"]) == (0, 48)
    assert {event["total"] for event in running} == {48}


async def test_artifacts_are_the_documents_of_the_plain_command(runner: Runner, model_url: str) -> None:
    outcome = await runner.hosted("practice_starter", "completions", model_url)

    files = {artifact.name: Path(artifact.path) for artifact in outcome.result.artifacts}
    assert set(files) == {
        "results.json",
        "samples_practice_arithmetic_completion.jsonl",
        "samples_practice_cloze.jsonl",
    }
    document = json.loads(files["results.json"].read_text())
    assert document["config"]["model"] == "local-completions"
    assert document["n-samples"]["practice_cloze"] == {"original": 48, "effective": 48}
    lines = [json.loads(line) for line in files["samples_practice_cloze.jsonl"].read_text().splitlines()]
    assert len(lines) == 48
    assert {"doc_id", "doc", "target", "arguments", "resps", "acc", "prompt_hash"} <= set(lines[0])
    assert not any("error" in line for line in lines)


async def test_a_limit_and_few_shots_are_kept_to(runner: Runner, model_url: str) -> None:
    outcome = await runner.hosted("practice_arithmetic", "chat", model_url, limit=5, num_fewshot=2)

    task = outcome.result.tasks["practice_arithmetic"]
    assert (task.n_planned, task.n_shot) == (5, 2)


async def test_answers_without_content_are_scored_as_empty_and_reported(runner: Runner) -> None:
    with practice_model("--null-content-rate", "1") as url:
        outcome = await runner.hosted("practice_arithmetic", "chat", url, limit=4)

    assert outcome.result.tasks["practice_arithmetic"].metrics["exact_match"].value == 0
    assert "4 answers without content" in outcome.of("warning")[0]["message"]


async def test_flat_metrics_name_a_groups_members(runner: Runner, model_url: str) -> None:
    outcome = await runner.hosted("practice_starter", "completions", model_url, limit=8)

    flat = flat_metrics(outcome.result)
    assert flat["n"] == 16
    assert flat["n_errored"] == 0
    assert {
        "exact_match",
        "exact_match_stderr",
        "practice_cloze/acc",
        "practice_cloze/acc_norm_stderr",
    } <= set(flat)
    assert "acc" not in flat
