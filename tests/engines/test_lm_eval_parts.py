"""Small parts of the engine: specification, events, redaction, results, the index."""

from __future__ import annotations

import ast
import dataclasses
import io
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay.engines import lm_eval
from assay.engines.environments import Environment
from assay.engines.lm_eval import LmEvalSpec, flat_metrics, parse_result, plain_command
from assay.engines.lm_eval.inside.events import Control
from assay.engines.lm_eval.inside.secrecy import CleanStream, Redactor
from assay.engines.lm_eval.inside.spec import RunSpec, read
from assay.engines.lm_eval.inside.task_index import TaskIndex, member_names

INSIDE = Path(lm_eval.__file__).parent / "inside"


def metric(value: float | None, filter_name: str = "none", stderr: float | None = None) -> dict[str, Any]:
    return {"value": value, "stderr": stderr, "higher_is_better": True, "filter": filter_name}


def task(metrics: dict[str, Any], scored: int = 4, errored: int = 0) -> dict[str, Any]:
    counts = {"n_planned": scored + errored, "n_scored": scored, "n_errored": errored}
    rest = {"n_shot": 0, "version": 1.0, "task_hash": "h", "output_type": "generate_until"}
    return {"metrics": metrics, **counts, **rest}


def event(tasks: dict[str, Any], primary: str, groups: dict[str, Any] | None = None) -> dict[str, Any]:
    usage = {
        "requests": 4,
        "failed_requests": 0,
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "latency_s_total": 0.1,
    }
    rest = {"usage": usage, "lm_eval_version": "0.4.13", "artifacts": []}
    return {"type": "result", "tasks": tasks, "groups": groups or {}, "primary": primary, **rest}


def test_nothing_inside_imports_assay() -> None:
    for path in INSIDE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            assert not [name for name in names if name.split(".")[0] == "assay"], path


def test_the_driver_reads_what_the_worker_writes(tmp_path: Path) -> None:
    spec = LmEvalSpec(
        task="t",
        endpoint="chat",
        base_url="http://h/v1",
        model="m",
        output_dir="/o",
        limit=0.5,
        gen_kwargs={"temperature": 0.5},
        seeds=(1, 2, 3, 4),
        system_instruction="Be brief.",
    )
    spec.write(tmp_path / "spec.json")
    found = read(str(tmp_path / "spec.json"))

    assert dataclasses.asdict(found) == {field: getattr(spec, field) for field in LmEvalSpec.__struct_fields__}
    assert {field.name for field in dataclasses.fields(RunSpec)} == set(LmEvalSpec.__struct_fields__)
    assert (tmp_path / "spec.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("base", "url", "root"),
    [
        ("http://h:1/v1", "http://h:1/v1/chat/completions", "http://h:1"),
        ("http://h:1/token/v1/", "http://h:1/token/v1/chat/completions", "http://h:1/token"),
    ],
)
def test_urls_follow_from_the_base(base: str, url: str, root: str) -> None:
    spec = RunSpec("t", "chat", base, "m", "/o")
    assert (spec.url, spec.server_root) == (url, root)


def test_the_plain_command_carries_the_parameters_and_no_key(tmp_path: Path) -> None:
    env = Environment("lm_eval", "0.4.13", tmp_path, tmp_path / "python", "")
    spec = LmEvalSpec(task="t", endpoint="chat", base_url="http://h/v1", model="m", output_dir="/o", limit=5, num_fewshot=2)
    command = plain_command(env, spec)

    assert command[1:4] == ["-m", "lm_eval", "run"]
    assert "--apply_chat_template" in command
    assert command[command.index("--limit") + 1] == "5"
    assert command[command.index("--num_fewshot") + 1] == "2"


def test_a_second_filter_keeps_its_name_in_flat_metrics() -> None:
    metrics = {
        "exact_match": metric(0.5, "strict", 0.1),
        "exact_match,flexible": metric(0.75, "flexible", 0.2),
        "odd": metric(None),
    }
    assert flat_metrics(parse_result(event({"t": task(metrics, 4, 1)}, "t"))) == {
        "exact_match": 0.5,
        "exact_match_stderr": 0.1,
        "exact_match,flexible": 0.75,
        "exact_match_stderr,flexible": 0.2,
        "n": 4,
        "n_errored": 1,
    }


def test_members_of_a_group_and_of_a_tag_are_prefixed() -> None:
    tasks = {"a": task({"acc": metric(0.25)}), "b": task({"acc": metric(0.75)})}
    group = {"g": {"metrics": {"acc": metric(0.5)}, "subtasks": ["a", "b"]}}

    grouped = flat_metrics(parse_result(event(tasks, "g", group)))
    assert grouped == {"acc": 0.5, "a/acc": 0.25, "b/acc": 0.75, "n": 8, "n_errored": 0}
    tagged = flat_metrics(parse_result(event(tasks, "some_tag")))
    assert tagged == {"a/acc": 0.25, "b/acc": 0.75, "n": 8, "n_errored": 0}


def test_a_result_of_another_shape_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        parse_result({"type": "result", "tasks": {}})


def test_events_are_lines_without_secrets_and_progress_is_thinned() -> None:
    reading, writing = os.pipe()
    control = Control(writing)
    control.conceal(Redactor({'s3cr3t/k"y': "[redacted]"}))
    control.warning('the key s3cr3t/k"y was shown')
    for done in range(1000):
        control.progress("running_evaluation", done, 1000, "t")
    control.progress("running_evaluation", 1000, 1000, "t")
    os.close(writing)
    with os.fdopen(reading) as stream:
        events = [json.loads(line) for line in stream]

    assert events[0]["message"] == "the key [redacted] was shown"
    assert events[1]["done"] == 0
    assert events[-1]["done"] == 1000
    assert len(events) < 500


def test_writing_to_a_reader_that_has_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    Control(writing).warning("nobody listens")
    os.close(writing)


def test_a_stream_hides_a_secret_that_arrives_in_pieces() -> None:
    target = io.StringIO()
    stream = CleanStream(target, Redactor({"canary-key": "[redacted]"}))
    for piece in ("before can", "ary-k", "ey after\nnext ", "canary-key"):
        stream.write(piece)
    stream.close()

    assert target.getvalue() == "before [redacted] after\nnext [redacted]\n"


def test_a_closure_holds_everything_that_a_name_consists_of() -> None:
    index = TaskIndex(
        Path("/root"),
        {
            "all": ["group", "all.yaml", ["half", "tagged", "inline"]],
            "half": ["group", "half.yaml", ["a"]],
            "tagged": ["tag", None, ["b"]],
            "a": ["task", "a.yaml", []],
            "b": ["task", "b.yaml", []],
            "c": ["task", "c.yaml", []],
        },
    )
    assert set(index.closure(["all"])) == {"all", "half", "tagged", "a", "b"}


def test_member_names_include_those_of_inline_groups() -> None:
    config = {"task": ["a", {"task": "b"}, {"group": "g", "task": ["c", {"task": "d"}]}]}
    assert member_names(config) == ["a", "b", "g", "c", "d"]
