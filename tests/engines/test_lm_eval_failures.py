"""What a run says when the model or the task is at fault."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from assay.engines.lm_eval import flat_metrics

from .engine_runs import PRACTICE_TASKS, Runner, practice_model


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A copy of the practice tasks that a test may break."""
    return Path(shutil.copytree(PRACTICE_TASKS, tmp_path / "tasks"))


def samples_of(outcome_folder: Path, task: str) -> list[dict[str, Any]]:
    path = outcome_folder / "out" / f"samples_{task}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_failing_sample_is_left_out_and_the_rest_scores_as_before(runner: Runner, model_url: str) -> None:
    questions = [json.loads(line) for line in (PRACTICE_TASKS / "arithmetic.jsonl").read_text().splitlines()]
    bad = questions[3]["question"]
    whole = await runner.hosted("practice_arithmetic", "chat", model_url)
    scores = [row["exact_match"] for row in samples_of(runner.folder / "run1", "practice_arithmetic")]

    with practice_model("--fail-on", bad) as url:
        outcome = await runner.hosted("practice_arithmetic", "chat", url)

    assert whole.returncode == outcome.returncode == 0
    task = outcome.result.tasks["practice_arithmetic"]
    lines = samples_of(runner.folder / "run2", "practice_arithmetic")
    failed = [line["doc_id"] for line in lines if "error" in line]
    kept = [score for i, score in enumerate(scores) if i not in failed]
    assert failed == [i for i, row in enumerate(questions) if bad in row["question"]]
    assert (task.n_planned, task.n_scored, task.n_errored) == (48, 48 - len(failed), len(failed))
    assert task.metrics["exact_match"].value == pytest.approx(sum(kept) / len(kept))
    assert outcome.result.usage.failed_requests == len(failed)
    error = lines[failed[0]]["error"]
    assert error["kind"] == "http_500"
    assert flat_metrics(outcome.result)["n_errored"] == len(failed)


async def test_a_choice_that_fails_takes_its_whole_sample_out(runner: Runner) -> None:
    rows = [json.loads(line) for line in (PRACTICE_TASKS / "cloze.jsonl").read_text().splitlines()]
    with practice_model("--fail-on", rows[0]["text"]) as url:
        outcome = await runner.hosted("practice_starter", "completions", url)

    result = outcome.result
    cloze = result.tasks["practice_cloze"]
    assert cloze.n_errored >= 1
    assert result.tasks["practice_arithmetic_completion"].n_errored == 0
    sizes = {name: task.n_scored for name, task in result.tasks.items()}
    values = {name: task.metrics["exact_match"].value or 0 for name, task in result.tasks.items()}
    pooled = sum(sizes[name] * values[name] for name in sizes) / sum(sizes.values())
    assert result.groups["practice_starter"].metrics["exact_match"].value == pytest.approx(pooled)


async def test_too_many_errors_fail_the_run_but_keep_its_results(runner: Runner) -> None:
    with practice_model("--fail-rate", "0.5", "--seed", "1") as url:
        outcome = await runner.hosted("practice_arithmetic", "chat", url, max_error_rate=0.05)

    assert outcome.returncode == 1
    assert [event["type"] for event in outcome.events[-2:]] == ["result", "error"]
    assert outcome.error["code"] == "too_many_errors"
    assert 0 < outcome.result.n_scored < 48
    assert all(Path(artifact.path).exists() for artifact in outcome.result.artifacts)


async def test_a_run_without_a_single_answer_fails_and_divides_by_nothing(runner: Runner) -> None:
    with practice_model("--refuse", "500") as url:
        outcome = await runner.hosted("practice_arithmetic", "chat", url, max_error_rate=1.0, limit=4)

    assert outcome.error["code"] == "too_many_errors"
    assert "no sample of practice_arithmetic could be scored" in outcome.error["message"]
    assert flat_metrics(outcome.result) == {"n": 0, "n_errored": 4}


@pytest.mark.parametrize(("status", "remedy"), [("401", "credential"), ("404", "name and URL")])
async def test_a_refusing_model_stops_the_run_at_once(runner: Runner, status: str, remedy: str) -> None:
    with practice_model("--refuse", status) as url:
        outcome = await runner.hosted("practice_arithmetic", "chat", url)

    assert outcome.error["code"] == "model_refused"
    assert outcome.error["temporary"] is False
    assert remedy in outcome.error["message"]


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
async def test_an_unreachable_model_stops_the_run(runner: Runner, endpoint: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        task = "practice_arithmetic" if endpoint == "chat" else "practice_cloze"
        outcome = await runner.hosted(task, endpoint, url)

    assert outcome.error["code"] == "model_unreachable"
    assert outcome.error["temporary"] is True
    assert url not in json.dumps(outcome.events)


async def test_a_chat_endpoint_is_refused_for_a_task_that_needs_log_probabilities(runner: Runner, model_url: str) -> None:
    outcome = await runner.hosted("practice_cloze", "chat", model_url)

    assert outcome.error["code"] == "needs_completions"


async def test_an_unknown_task_is_told_with_names_like_it(runner: Runner, model_url: str) -> None:
    outcome = await runner.hosted("practice_arithmetics", "chat", model_url)

    assert outcome.error["code"] == "unknown_task"
    assert "practice_arithmetic" in outcome.error["message"]


async def test_a_built_in_task_without_its_data_names_the_data_set(runner: Runner, model_url: str) -> None:
    outcome = await runner.hosted("gsm8k", "chat", model_url, include_path=None)

    assert outcome.error["code"] == "needs_network"
    assert "gsm8k" in outcome.error["message"]


async def test_a_broken_task_file_is_named_with_its_line(runner: Runner, tasks: Path) -> None:
    (tasks / "arithmetic.yaml").write_text("task: practice_arithmetic\nmetric_list: [\n")
    outcome = await runner.hosted("practice_arithmetic", "chat", "http://127.0.0.1:9/v1", include_path=str(tasks))

    assert outcome.error["code"] == "bad_task_file"
    assert f"{tasks / 'arithmetic.yaml'}, line 3" in outcome.error["message"]


async def test_a_task_file_with_an_unknown_field_is_named(runner: Runner, tasks: Path) -> None:
    with (tasks / "arithmetic.yaml").open("a") as file:
        file.write("no_such_field: 1\n")
    outcome = await runner.hosted("practice_arithmetic", "chat", "http://127.0.0.1:9/v1", include_path=str(tasks))

    assert outcome.error["code"] == "bad_task_file"
    assert "no_such_field" in outcome.error["message"]
    assert "Traceback" not in outcome.error["message"]


async def test_a_malformed_data_line_is_named(runner: Runner, tasks: Path) -> None:
    lines = (tasks / "arithmetic.jsonl").read_text().splitlines()
    lines[6] = lines[6][:-1]
    (tasks / "arithmetic.jsonl").write_text("\n".join(lines))
    outcome = await runner.hosted("practice_arithmetic", "chat", "http://127.0.0.1:9/v1", include_path=str(tasks))

    assert outcome.error["code"] == "bad_dataset"
    assert "arithmetic.jsonl, line 7" in outcome.error["message"]


async def test_a_missing_data_file_is_named_with_its_path(runner: Runner, tasks: Path) -> None:
    (tasks / "arithmetic.jsonl").unlink()
    outcome = await runner.hosted("practice_arithmetic", "chat", "http://127.0.0.1:9/v1", include_path=str(tasks))

    assert outcome.error["code"] == "dataset_missing"
    assert str(tasks / "arithmetic.jsonl") in outcome.error["message"]


async def test_a_group_with_an_unknown_member_is_refused(runner: Runner, tasks: Path) -> None:
    (tasks / "starter.yaml").write_text("group: practice_starter\ntask: [practice_cloze, nowhere]\n")
    outcome = await runner.hosted("practice_starter", "completions", "http://127.0.0.1:9/v1", include_path=str(tasks))

    assert outcome.error["code"] == "unknown_task"
    assert "'nowhere'" in outcome.error["message"]


async def test_the_cold_process_reports_errors_in_the_same_words(runner: Runner, model_url: str) -> None:
    hosted = await runner.hosted("practice_cloze", "chat", model_url)
    cold = await runner.cold("practice_cloze", "chat", model_url)

    assert cold.error == hosted.error
    assert cold.returncode == hosted.returncode == 1


async def test_data_that_change_without_a_new_time_are_read_anew(runner: Runner, tasks: Path, model_url: str) -> None:
    data = tasks / "arithmetic.jsonl"
    before = data.read_text().splitlines()
    os.utime(data, (1000, 1000))
    first = await runner.hosted("practice_arithmetic", "chat", model_url, include_path=str(tasks))
    data.write_text("\n".join(before[:10]))
    os.utime(data, (1000, 1000))
    second = await runner.hosted("practice_arithmetic", "chat", model_url, include_path=str(tasks))

    assert (first.result.n_scored, second.result.n_scored) == (48, 10)


async def test_a_tokenizer_that_is_not_on_the_machine_is_an_error(runner: Runner, model_url: str) -> None:
    outcome = await runner.hosted("practice_cloze", "completions", model_url, tokenizer_backend="huggingface")

    assert outcome.error["code"] == "tokenizer_missing"
    assert "Give the path of a local folder." in outcome.error["message"]


class Echoless(BaseHTTPRequestHandler):
    """An endpoint that ignores `echo` and `logprobs`, with a tokenizer or without."""

    offers_tokenizer = True

    def do_GET(self) -> None:
        self.reply({"eos_token": "x"} if self.offers_tokenizer else {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        tokens = {"tokens": [1, 2, 3]}
        self.reply(tokens if self.path == "/tokenize" else {"choices": [{"index": 0, "text": "a"}]})

    def reply(self, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def echoless(offers_tokenizer: bool) -> Iterator[str]:
    """Serve such an endpoint; give its URL."""
    handler = type("Handler", (Echoless,), {"offers_tokenizer": offers_tokenizer})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


@pytest.mark.parametrize(("offers", "code"), [(True, "logprobs_unsupported"), (False, "tokenizer_missing")])
async def test_an_endpoint_that_cannot_score_prompts_is_found_out(runner: Runner, offers: bool, code: str) -> None:
    with echoless(offers) as url:
        outcome = await runner.hosted("practice_cloze", "completions", url)

    assert outcome.error["code"] == code


WRITE_TOKENIZER = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
words = Tokenizer(models.WordLevel({"<eos>": 0, "<unk>": 1}, unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>", unk_token="<unk>").save_pretrained(sys.argv[1])
"""


async def test_a_local_tokenizer_stands_in_for_the_servers(runner: Runner, tmp_path: Path) -> None:
    folder = str(tmp_path / "tokenizer")
    subprocess.run([str(runner.env.python), "-c", WRITE_TOKENIZER, folder], check=True)
    with echoless(offers_tokenizer=False) as url:
        without = await runner.hosted("practice_cloze", "completions", url)
        outcome = await runner.hosted(
            "practice_cloze", "completions", url, tokenizer_backend="huggingface", tokenizer=folder
        )

    # The endpoint gives no log-probabilities; without a tokenizer the run does not come to that.
    assert (without.error["code"], outcome.error["code"]) == ("tokenizer_missing", "logprobs_unsupported")
