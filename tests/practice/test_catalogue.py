"""The built-in catalogue: files that parse, names that meet, data that are what they say."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.practice.fitting import LanguageModel
from assay.practice.generation import Decoding, generate, score

CATALOGUE = Path(str(resources.files("assay.catalogue")))
PROVIDERS = [CATALOGUE / "providers" / f"{name}.yaml" for name in ("lm_eval", "practice")]
TASKS = CATALOGUE / "tasks" / "practice"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rows(name: str) -> list[Any]:
    return [json.loads(line) for line in (TASKS / name).read_text(encoding="utf-8").splitlines()]


PRACTICE = read(CATALOGUE / "providers" / "practice.yaml")


@pytest.mark.parametrize("path", PROVIDERS, ids=lambda path: path.stem)
def test_a_provider_has_the_evalhub_shape(path: Path) -> None:
    provider = read(path)
    assert provider["id"] == path.stem
    assert provider["runtime"]["assay"]["engine"] == "lm_eval"
    assert 0 < len(provider["description"]) <= 1024
    assert len(provider["agent"]["summary"]) <= 200
    assert provider["agent"]["target_type"] == "model"
    identifiers = [benchmark["id"] for benchmark in provider["benchmarks"]]
    assert len(set(identifiers)) == len(identifiers)
    for benchmark in provider["benchmarks"]:
        assert {"id", "name", "category", "description", "metrics", "tags", "endpoint"} <= benchmark.keys()
        assert benchmark["endpoint"] in ("chat", "completions")
        for band in benchmark.get("agent", {}).get("score_ranges", []):
            assert isinstance(band["range"], str)
            assert isinstance(band["meaning"], str)


def test_each_benchmark_of_practice_names_a_task_or_group_in_its_folder() -> None:
    folder = (CATALOGUE / "providers" / PRACTICE["runtime"]["assay"]["include_path"]).resolve()
    assert folder == TASKS.resolve()
    configs = [read(path) for path in folder.glob("*.yaml")]
    names = {config.get("task") if isinstance(config.get("task"), str) else config["group"] for config in configs}
    for benchmark in PRACTICE["benchmarks"]:
        assert benchmark["task"] in names
        assert benchmark["primary_score"]["metric"] in benchmark["metrics"]


def test_task_files_name_their_data_relative_to_their_folder() -> None:
    named = {
        file for path in TASKS.glob("*.yaml") for file in read(path).get("dataset_kwargs", {}).get("data_files", {}).values()
    }
    assert named == {"arithmetic.jsonl", "cloze.jsonl"}


@pytest.mark.parametrize("name", ["arithmetic.jsonl", "cloze.jsonl"])
def test_data_have_enough_samples_with_ids_of_their_own(name: str) -> None:
    samples = rows(name)
    assert 40 <= len(samples) <= 60
    assert len({sample["id"] for sample in samples}) == len(samples)
    size = next(b["dataset_size"] for b in PRACTICE["benchmarks"] if b["id"] == name.removesuffix(".jsonl"))
    assert size == len(samples)


def test_the_sums_are_right() -> None:
    apply = {"plus": int.__add__, "minus": int.__sub__, "times": int.__mul__}
    for sample in rows("arithmetic.jsonl"):
        left, operation, right = sample["question"].removeprefix("What is ").removesuffix("?").split()
        assert int(sample["answer"]) == apply[operation](int(left), int(right))


def test_the_choices_are_four_different_words_and_the_answer_is_one_of_them() -> None:
    answers = []
    for sample in rows("cloze.jsonl"):
        assert len(set(sample["choices"])) == 4
        answers.append(sample["answer"])
    assert set(answers) == {0, 1, 2, 3}


def test_the_practice_model_scores_between_luck_and_perfection(model: LanguageModel) -> None:
    vocabulary = model.vocabulary
    sums = rows("arithmetic.jsonl")
    right = sum(
        generate(
            model,
            vocabulary.tokenise(f"Question: Reply with the number only. {sample['question']}\nAnswer:"),
            Decoding(max_tokens=16),
        ).text.strip()
        == sample["answer"]
        for sample in sums
    )
    assert 0.6 <= right / len(sums) <= 0.9

    def choose(sample: Any) -> int:
        known = len(vocabulary.tokenise(sample["text"]))
        scores = [
            sum(item.logprob or 0 for item in score(model, vocabulary.tokenise(f"{sample['text']} {choice}"), 1)[known:])
            for choice in sample["choices"]
        ]
        return scores.index(max(scores))

    sentences = rows("cloze.jsonl")
    right = sum(choose(sample) == sample["answer"] for sample in sentences)
    assert 0.5 <= right / len(sentences) <= 0.9
