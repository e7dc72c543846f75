"""What the server can say about a task folder before anything is queued."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from assay.engines.lm_eval.preflight import Checked, Problem, check

from .engine_runs import PRACTICE_TASKS


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PRACTICE_TASKS, tmp_path / "tasks"))


def problem(folder: Path, task: str) -> Problem:
    found = check(folder, task)
    assert isinstance(found, list)
    [only] = found
    return only


def checked(folder: Path, task: str, known: set[str] | None = None) -> Checked:
    found = check(folder, task, known=lambda name: name in (known or set()))
    assert isinstance(found, Checked), found
    return found


def test_a_task_is_found_counted_and_digested(tasks: Path) -> None:
    found = checked(tasks, "practice_cloze")

    assert (found.kind, found.samples) == ("task", 48)
    assert found.output_types == {"multiple_choice"}
    data = tasks / "cloze.jsonl"
    assert found.digests[str(data)] == f"sha256:{hashlib.sha256(data.read_bytes()).hexdigest()}"
    assert set(found.digests) == {str(data), str(tasks / "cloze.yaml")}


def test_an_included_file_counts_as_a_source(tasks: Path) -> None:
    found = checked(tasks, "practice_arithmetic_completion")

    assert {Path(path).name for path in found.digests} == {
        "arithmetic.jsonl",
        "arithmetic.yaml",
        "arithmetic_completion.yaml",
    }


def test_a_group_covers_its_members(tasks: Path) -> None:
    found = checked(tasks, "practice_starter")

    assert (found.kind, found.samples) == ("group", 96)
    assert found.output_types == {"multiple_choice", "generate_until"}


def test_a_tag_covers_the_tasks_that_carry_it(tasks: Path) -> None:
    with (tasks / "cloze.yaml").open("a") as file:
        file.write("tag: [mine]\n")

    assert (checked(tasks, "mine").kind, checked(tasks, "mine").samples) == ("tag", 48)


def test_a_group_may_list_the_librarys_own_tasks(tasks: Path) -> None:
    (tasks / "mixed.yaml").write_text("group: mixed\ntask: [practice_cloze, gsm8k]\n")

    assert checked(tasks, "mixed", {"gsm8k"}).library_tasks == ("gsm8k",)
    assert checked(tasks, "mixed", {"gsm8k"}).samples is None
    assert problem(tasks, "mixed").code == "unknown_task"


def test_a_function_tag_is_read_and_its_module_is_a_source(tasks: Path) -> None:
    (tasks / "helpers.py").write_text("def process(docs):\n    return docs\n")
    with (tasks / "cloze.yaml").open("a") as file:
        file.write("process_docs: !function helpers.process\n")

    assert str(tasks / "helpers.py") in checked(tasks, "practice_cloze").digests


def test_a_data_set_that_is_no_file_is_reported_as_remote(tasks: Path) -> None:
    (tasks / "far.yaml").write_text("task: far\ndataset_path: someone/something\noutput_type: generate_until\n")

    assert checked(tasks, "far").remote_datasets == ("someone/something",)


def test_an_unknown_task_is_told_with_names_like_it(tasks: Path) -> None:
    found = problem(tasks, "practice_cloz")

    assert (found.field, found.code) == ("task", "unknown_task")
    assert "Did you mean practice_cloze" in found.message


def test_a_missing_folder_a_missing_file_and_a_broken_line_are_named(tasks: Path) -> None:
    assert problem(tasks / "nowhere", "x").code == "bad_task_file"
    (tasks / "arithmetic.jsonl").unlink()
    assert str(tasks / "arithmetic.jsonl") in problem(tasks, "practice_arithmetic").message
    with (tasks / "cloze.jsonl").open("a") as file:
        file.write('{"text": \n')
    found = problem(tasks, "practice_cloze")
    assert found.code == "bad_dataset"
    assert "cloze.jsonl, line 49" in found.message


def test_a_broken_task_file_is_named_with_its_line_unless_the_task_is_elsewhere(tasks: Path) -> None:
    (tasks / "broken.yaml").write_text("task: broken\nx: [\n")

    assert checked(tasks, "practice_cloze").samples == 48
    found = problem(tasks, "broken")
    assert found.code == "bad_task_file"
    assert f"{tasks / 'broken.yaml'}, line 3" in found.message


def test_a_split_that_the_data_do_not_have_is_named(tasks: Path) -> None:
    text = (tasks / "cloze.yaml").read_text().replace("test_split: test", "test_split: dev")
    (tasks / "cloze.yaml").write_text(text)

    assert "split 'dev'" in problem(tasks, "practice_cloze").message


def test_files_that_include_each_other_are_refused(tasks: Path) -> None:
    (tasks / "a.yaml").write_text("include: b.yaml\ntask: a\n")
    (tasks / "b.yaml").write_text("include: a.yaml\n")

    assert "includes itself" in problem(tasks, "a").message
