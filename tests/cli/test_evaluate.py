from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Cli
from .fake_server import FakeServer, failed, finished, running

MODEL = ("--model-url", "http://model.example/v1", "--model-name", "m", "--no-check")


def test_a_passing_evaluation_shows_its_results_and_ends_with_0(cli: Cli, server: FakeServer) -> None:
    server.changes = [running(0, 48), running(24, 48), finished(0.75)]
    shown = cli("eval", "practice/arithmetic", *MODEL)
    assert shown.code == 0
    assert shown.err.splitlines() == [
        "submitted job-1",
        "practice/arithmetic: pending",
        "practice/arithmetic: running, 0/48",
        "practice/arithmetic: running, 24/48",
        "practice/arithmetic: completed",
    ]
    heading, first, second, verdict = shown.out.splitlines()
    assert heading.split() == ["BENCHMARK", "METRIC", "VALUE", "N", "ERRORED", "THRESHOLD", "RESULT"]
    assert first.split() == ["practice/arithmetic", "exact_match", "0.7500", "±", "0.0625", "48", "2", "0.6", "pass"]
    assert second.split() == ["other", "0.5000"]
    assert verdict == "job completed, pass (score 0.7500 ≥ threshold 0.6)"


def test_a_score_below_its_threshold_ends_with_1(cli: Cli, server: FakeServer) -> None:
    server.changes = [finished(0.5)]
    shown = cli("eval", "practice/arithmetic", *MODEL)
    assert shown.code == 1
    assert "fail" in shown.out


def test_a_failed_evaluation_tells_why_and_ends_with_1(cli: Cli, server: FakeServer) -> None:
    server.changes = [failed("The task file is broken.\nline 2")]
    shown = cli("eval", "practice/arithmetic", *MODEL)
    assert shown.code == 1
    assert "practice/arithmetic: error: The task file is broken." in shown.out
    assert "    line 2" in shown.out
    assert shown.out.splitlines()[-1] == "job failed"


def test_json_is_the_final_job_alone(cli: Cli, server: FakeServer) -> None:
    server.changes = [running(1, 2), finished()]
    shown = cli("eval", "practice/arithmetic", *MODEL, "--json")
    assert shown.json["status"]["state"] == "completed"


def test_without_following_the_id_is_printed(cli: Cli) -> None:
    shown = cli("eval", "practice/arithmetic", *MODEL, "--no-follow")
    assert (shown.code, shown.out, shown.err) == (0, "job-1\n", "")
    assert cli("eval", "practice/arithmetic", *MODEL, "--no-follow", "--json").json["resource"]["id"] == "job-2"


def test_options_become_the_submission(cli: Cli, server: FakeServer, tmp_path: Path) -> None:
    cli(
        *("eval", "practice/arithmetic", "--task", "mine", "--include-path", str(tmp_path), "--endpoint", "completions"),
        *(*MODEL, "--secret", "key-name", "-p", "num_fewshot=3", "-p", "note=text", "--limit", "10"),
        *("--threshold", "0.8", "--metric", "acc", "--tag", "a", "--tag", "b", "--run-timeout", "60", "--no-follow"),
    )
    given = {"num_fewshot": 3, "note": "text", "num_examples": 10}
    judged = {
        "primary_score": {"metric": "acc", "lower_is_better": False},
        "pass_criteria": {"threshold": 0.8},
    }
    own = {"task": "mine", "include_path": str(tmp_path), "endpoint": "completions"}
    assert server.submitted == [
        {
            "benchmarks": [
                {"provider_id": "practice", "id": "arithmetic", "parameters": given, **judged},
                {"provider_id": "lm_eval", "id": "custom", "parameters": own | given, **judged},
            ],
            "model": {"url": "http://model.example/v1", "name": "m", "auth": {"secret_ref": "key-name"}},
            "pass_criteria": {"threshold": 0.8},
            "tags": ["a", "b"],
            "timeout_seconds": 60.0,
            "name": "arithmetic+mine",
        }
    ]


def test_a_parameter_that_is_no_json_is_sent_as_text(cli: Cli, server: FakeServer) -> None:
    cli("eval", "practice/arithmetic", *MODEL, "--no-follow", "-p", "a=NaN", "-p", "b=1e999", "-p", "c=[1.5]")
    assert server.submitted[0]["benchmarks"][0]["parameters"] == {"a": "NaN", "b": "1e999", "c": [1.5]}


def test_a_job_file_is_the_submission_with_options_laid_over_it(cli: Cli, server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(
        "name: from-file\n"
        "model: {url: http://a.example/v1, name: a}\n"
        "benchmarks:\n"
        "  - {provider_id: practice, id: arithmetic, weight: 2, parameters: {num_fewshot: 1}}\n"
    )
    cli("eval", "--file", str(file), "--model-name", "b", "--limit", "5", "--no-follow", "--no-check")
    (sent,) = server.submitted
    assert (sent["name"], sent["model"]) == ("from-file", {"url": "http://a.example/v1", "name": "b"})
    (benchmark,) = sent["benchmarks"]
    assert (benchmark["weight"], benchmark["parameters"]) == (2, {"num_fewshot": 1, "num_examples": 5})


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("job.yaml", "name: x\nmodel: {url: [\n", "line 3"),
        ("job.json", '{\n "name": "x",\n}', "line 3, column 1"),
        ("job.yaml", "- a\n- b\n", "line 1: a submission is a mapping"),
        ("job.yaml", "name: x\nmodel: text\nbenchmarks: []\n", "line 2: 'model' must be a mapping"),
        ("job.yaml", "name: x\nmodel: {}\nbenchmarks: arithmetic\n", "line 3: 'benchmarks' must be a list"),
        ("job.yaml", "name: x\nbenchmarks:\n  - id: a\n", "line 2: benchmarks[0] needs provider_id and id"),
        ("job.yaml", "name: x\n", "'benchmarks' is missing"),
        ("job.yaml", "name: 2024-01-01\ncollection: {id: x}\n", "Write dates as text, in quotes"),
        ("job.yaml", "pass_criteria: {threshold: .nan}\ncollection: {id: x}\n", "only numbers that have an end"),
    ],
)
def test_a_malformed_job_file_is_refused_with_its_line(cli: Cli, tmp_path: Path, name: str, content: str, said: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    shown = cli("eval", "--file", str(file))
    assert shown.code == 2
    assert shown.err.startswith(f"error: {file}")
    assert said in shown.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Say what to evaluate"),
        (("arithmetic",), "'arithmetic' names no benchmark"),
        (("practice/arithmetic", "-p", "x"), "write key=value"),
        (("practice/arithmetic", "--include-path", "."), "belong to --task"),
        (("practice/arithmetic", "--lower-is-better"), "belongs to --metric"),
        (("practice/arithmetic",), "Say where the model is"),
        (("practice/arithmetic", "--file", "x.yaml"), "--file holds the benchmarks already"),
        (("--file", "missing.yaml"), "missing.yaml: No such file"),
        (("practice/arithmetic", "--threshold", "nan"), "'--threshold': nan is not a number with an end"),
        (("practice/arithmetic", "--threshold", "-inf"), "'--threshold': -inf is not a number with an end"),
        (("practice/arithmetic", "--run-timeout", "inf"), "'--run-timeout': inf is not a number with an end"),
        (("practice/arithmetic", "--timeout", "nan"), "'--timeout': nan is not a number with an end"),
        (("nope/arithmetic", *MODEL), "`assay providers list`"),
        (("practice/arithmetic", "--model-url", "localhost"), "is not the base URL"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    shown = cli("eval", *arguments)
    assert (shown.code, shown.out) == (2, "")
    assert said in shown.err


def test_a_model_that_nobody_serves_is_refused_before_anything_is_submitted(
    cli: Cli, server: FakeServer, closed_url: str
) -> None:
    shown = cli("eval", "practice/arithmetic", "--model-url", f"{closed_url}/v1")
    assert (shown.code, server.submitted) == (2, [])
    assert "connection refused" in shown.err
    assert "assay practice-model" in shown.err


def test_the_only_model_of_an_endpoint_needs_no_name(cli: Cli, server: FakeServer) -> None:
    cli("eval", "practice/arithmetic", "--model-url", f"{server.url}/v1", "--no-follow")
    assert server.submitted[0]["model"]["name"] == "tiny"


def test_among_several_models_the_user_chooses(cli: Cli, server: FakeServer) -> None:
    server.models = ["a", "b"]
    shown = cli("eval", "practice/arithmetic", "--model-url", f"{server.url}/v1")
    assert (shown.code, server.submitted) == (2, [])
    assert "has: a, b" in shown.err


def test_an_endpoint_that_wants_a_key_is_a_warning(cli: Cli, server: FakeServer) -> None:
    server.models_status = 401
    where = ("--model-url", f"{server.url}/v1", "--model-name", "m", "--no-follow")
    assert "--secret" in cli("eval", "practice/arithmetic", *where).err
    assert cli("eval", "practice/arithmetic", *where, "--secret", "name").err == ""


def test_following_survives_a_server_that_is_away_for_a_moment(cli: Cli, server: FakeServer) -> None:
    def stumble(job: object) -> None:
        server.broken = 1

    server.changes = [stumble, finished()]
    shown = cli("eval", "practice/arithmetic", *MODEL)
    assert shown.code == 0
    assert "the server does not answer; waiting for it" in shown.err


def test_when_the_time_is_over_the_job_goes_on_and_the_code_is_4(cli: Cli, server: FakeServer) -> None:
    shown = cli("eval", "practice/arithmetic", *MODEL, "--timeout", "0.3")
    assert (shown.code, server.cancelled) == (4, [])
    assert "assay jobs show job-1 --follow" in shown.err
    assert "assay jobs cancel job-1" in shown.err


def test_when_asked_to_the_time_out_cancels(cli: Cli, server: FakeServer) -> None:
    shown = cli("eval", "practice/arithmetic", *MODEL, "--timeout", "0.3", "--cancel-on-interrupt")
    assert (shown.code, server.cancelled) == (4, ["job-1"])


def test_a_job_may_be_followed_later(cli: Cli, server: FakeServer) -> None:
    cli("eval", "practice/arithmetic", *MODEL, "--no-follow")
    server.changes = [running(1, 2), finished(0.1)]
    shown = cli("jobs", "show", "last", "--follow")
    assert shown.code == 1
    assert "practice/arithmetic: running, 1/2" in shown.err


def test_ctrl_c_leaves_the_job_running(server: FakeServer) -> None:
    command = [sys.executable, "-m", "assay", "eval", "practice/arithmetic", *MODEL]
    environment = {**os.environ, "ASSAY_SERVER": server.url}
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whoever runs the tests may ignore it
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "submitted job-1\n"
        assert process.stderr.readline() == "practice/arithmetic: pending\n"
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(10) == 4
    assert "Interrupted. The job job-1 goes on." in said
    assert "Traceback" not in said
    assert server.cancelled == []
