"""The system catalogue: every id that clients count on, references that resolve, and a collection that runs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.engines.environments import Environment
from assay.engines.lm_eval.tasks import known_task
from assay.scheduler.catalogue import Catalogue, Entry, load
from tests.system.deployment import Deployment

PROVIDERS = {
    *("deepeval", "garak", "garak-kfp", "guidellm", "ibm-clear", "inspect", "lighteval", "lm_eval"),
    *("lm_evaluation_harness", "mteb", "practice", "ragas"),
}
COLLECTIONS = {
    *("coding-v1", "instruction-following-v1", "leaderboard-v2", "long-context-v1", "model-validation", "open-telco-v1"),
    *("practice-v1", "reasoning-v1", "safety-and-fairness-v1", "standard-llm-evals-v1", "toxicity-and-ethical-principles"),
}
ROOT = Path(__file__).parents[2]
SYSTEM = load([])
HARNESS = SYSTEM.entries["provider"]["lm_evaluation_harness"].body


def adapters(catalogue: Catalogue) -> list[Entry]:
    return [entry for entry in catalogue.entries["provider"].values() if entry.engine == "adapter"]


def test_the_ids_that_clients_count_on_are_there() -> None:
    assert set(SYSTEM.entries["provider"]) >= PROVIDERS
    assert set(SYSTEM.entries["collection"]) >= COLLECTIONS
    assert SYSTEM.entries["provider"]["lighteval"].body["name"] == "Lighteval"


def test_every_benchmark_of_the_harness_is_a_task_or_group_of_the_installed_engine(
    lm_eval_environment: Environment,
) -> None:
    names = [benchmark["id"] for benchmark in HARNESS["benchmarks"]]
    assert len(names) >= 180
    assert [name for name in names if not known_task(lm_eval_environment, name)] == []


NEEDS_PACKAGES = ("coqa", "jsonschema_bench_easy", "leaderboard_math_hard", "minerva_math500")


def test_the_engine_has_the_packages_that_benchmarks_of_the_harness_need(lm_eval_environment: Environment) -> None:
    assert [one["id"] for one in HARNESS["benchmarks"] if "needs-packages" in one["tags"]] == []
    python, tool = str(lm_eval_environment.python), str(ROOT / "tools" / "lm_eval_configurations.py")
    command = [python, tool, str(lm_eval_environment.task_index), *NEEDS_PACKAGES]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {
        name: found["problem"] for name, found in json.loads(told.stdout.splitlines()[-1]).items() if found["problem"]
    } == {}
    subprocess.run([python, "-c", "import immutabledict, langdetect, wonderwords"], check=True)  # ifeval, ruler


def test_a_benchmark_of_the_harness_says_how_it_is_scored_and_asked() -> None:
    for benchmark in HARNESS["benchmarks"]:
        assert benchmark["primary_score"]["metric"] in benchmark["metrics"], benchmark["id"]
        is_generation = "generation" in benchmark["tags"] and "multiple-choice" not in benchmark["tags"]
        if not is_generation:
            assert benchmark["endpoint"] == "completions", benchmark["id"]
        assert benchmark["description"]


def test_scores_that_are_better_when_low_are_marked() -> None:
    by_id = {benchmark["id"]: benchmark["primary_score"] for benchmark in HARNESS["benchmarks"]}
    assert by_id["wikitext"] == {"metric": "word_perplexity", "lower_is_better": True}
    assert by_id["crows_pairs_english"]["lower_is_better"] is True
    assert not by_id["arc_easy"].get("lower_is_better")


def test_the_harness_and_its_first_benchmark_tell_agents_how_to_read_scores() -> None:
    assert HARNESS["agent"]["summary"]
    assert any("allow_online" in hint for hint in HARNESS["agent"]["hints"])
    assert len(HARNESS["benchmarks"][0]["agent"]["score_ranges"]) >= 2


@pytest.mark.parametrize("provider", adapters(SYSTEM), ids=lambda entry: entry.id)
def test_a_provider_with_an_adapter_says_how_to_install_it(provider: Entry) -> None:
    assert "pip install" in provider.body["agent"]["hints"][0]
    assert "see the hints" in provider.body["description"] or provider.body.get("runtime")


@pytest.mark.parametrize("provider", ["garak", "garak-kfp"])
def test_an_adapter_that_is_not_installed_is_told_in_one_line(provider: str) -> None:
    command = SYSTEM.entries["provider"][provider].body["runtime"]["local"]["command"]
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"The adapter of garak is not installed: pip install \S+\n", done.stderr)


@pytest.mark.parametrize("collection", SYSTEM.entries["collection"].values(), ids=lambda entry: entry.id)
def test_every_benchmark_of_a_collection_is_in_its_provider(collection: Entry) -> None:
    for row in collection.body["benchmarks"]:
        benchmark = SYSTEM.entries["provider"][row["provider_id"]].benchmark(row["id"])
        assert row["primary_score"]["metric"] in benchmark["metrics"], row["id"]
        assert row["pass_criteria"]["threshold"] >= 0
    assert 0 < collection.body["pass_criteria"]["threshold"] < 1
    assert collection.body["domains"]
    assert collection.body["tasks"]


def test_safety_and_fairness_has_the_thresholds_and_weights_that_clients_count_on() -> None:
    body = SYSTEM.entries["collection"]["safety-and-fairness-v1"].body
    assert body["pass_criteria"]["threshold"] == 0.758
    assert [row["pass_criteria"]["threshold"] for row in body["benchmarks"]] == [0.6, 0.85, 0.8, 0.5, 0.9, 0.75]
    weights = [row.get("weight") for row in body["benchmarks"]]
    assert (weights[0], weights[3], weights[5]) == (2, 1, 3)


def test_the_first_providers_have_benchmarks_and_hold_what_clients_look_for(
    deploy: Callable[..., Deployment],
) -> None:
    server = deploy("--no-worker")
    status, page = server.request("GET", "/api/v1/evaluations/providers?limit=5")
    assert status == 200
    assert page["items"][0]["benchmarks"]
    _, whole = server.request("GET", "/api/v1/evaluations/providers")
    assert {item["resource"]["id"] for item in whole["items"]} >= PROVIDERS
    _, collections = server.request("GET", "/api/v1/evaluations/collections?scope=system")
    assert {item["resource"]["id"] for item in collections["items"]} >= COLLECTIONS


def test_the_practice_collection_runs_to_its_weighted_score(
    deploy: Callable[..., Deployment], model_url: str, lm_eval_environment: Environment
) -> None:
    server = deploy()
    body = {"name": "practice", "model": {"url": model_url, "name": "practice"}, "collection": {"id": "practice-v1"}}
    status, answer = server.request("POST", "/api/v1/evaluations/jobs", body)
    assert status == 202, answer
    job = server.ended(answer["resource"]["id"])
    assert job["status"]["state"] == "completed", job["status"]
    scores = {row["id"]: row["test"]["primary_score"] for row in job["results"]["benchmarks"]}
    expected = (2 * scores["arithmetic"] + scores["cloze"]) / 3
    assert job["results"]["test"]["score"] == pytest.approx(expected)
    assert job["results"]["test"]["threshold"] == 0.55
    assert job["results"]["test"]["pass"] is (expected >= 0.55)
