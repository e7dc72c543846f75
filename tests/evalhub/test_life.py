"""The life of a benchmark with a real process: started, heard, ended, killed."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.evalhub.live import Live, processes, until
from tests.server.client import JOBS


def event(status: str, **members: Any) -> list[Any]:
    return ["post", {"status": status} | members]


def row_of(document: dict[str, Any], index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = document["status"]["benchmarks"][index]
    return found


def test_an_adapter_that_reports_completes_its_job(live: Live) -> None:
    job_id = live.steps(event("running", phase="loading_data"), event("completed", metrics={"acc": 0.5}))
    document = live.ended(job_id)
    assert document["status"]["state"] == "completed"
    assert document["results"]["benchmarks"][0]["metrics"] == {"acc": 0.5}
    assert row_of(document)["phase"] == "loading_data"
    assert row_of(document)["started_at"] <= row_of(document)["completed_at"]


def test_an_adapter_may_say_that_it_failed(live: Live) -> None:
    job_id = live.steps(event("failed", error_message={"message": "no data", "message_code": "nd"}), ["exit", 1])
    document = live.ended(job_id)
    assert document["status"]["state"] == "failed"
    assert row_of(document)["error_message"] == {"message": "no data", "message_code": "nd", "message_origin": "runtime"}


def test_the_exit_code_of_an_adapter_that_reported_says_nothing(live: Live) -> None:
    job_id = live.steps(event("completed", metrics={"a": 1}), ["exit", 9])
    assert live.ended(job_id)["status"]["state"] == "completed"


def test_an_adapter_that_ends_without_a_word_has_failed_and_its_last_lines_say_why(live: Live) -> None:
    job_id = live.steps(["print", "first line"], ["print", "cannot find the data"], ["exit", 3])
    document = live.ended(job_id)
    assert document["status"]["state"] == "failed"
    error = row_of(document)["error_message"]
    assert (error["message_code"], error["message_origin"]) == ("process_exited", "runtime")
    assert "exited with code 3" in error["message"]
    assert error["message"].endswith("first line\ncannot find the data")


@pytest.mark.parametrize(
    ("provider", "said"),
    [("shell", "exited with code 7"), ("killed", "killed by signal 9"), ("missing", "/no/such/program")],
)
def test_a_command_that_fails_says_how(live: Live, provider: str, said: str) -> None:
    document = live.ended(live.api.submit(provider=provider))
    assert document["status"]["state"] == "failed"
    assert said in row_of(document)["error_message"]["message"]


def test_an_adapter_that_crashes_while_running_has_failed(live: Live) -> None:
    document = live.ended(live.steps(event("running"), ["print", "boom"], ["exit", 3]))
    assert row_of(document)["status"] == "failed"
    assert "boom" in row_of(document)["error_message"]["message"]


def test_a_provider_without_a_command_fails_with_the_contracts_words(live: Live) -> None:
    document = live.ended(live.api.submit(provider="silent"))
    error = row_of(document)["error_message"]
    assert error["message"] == (
        "Local runtime is not enabled for provider 'silent'. Please configure a local runtime command for this provider and "
        "try again."
    )
    assert (error["message_code"], error["message_origin"]) == ("evaluation_job_failed", "server")


def test_reports_by_hand_count_while_the_grace_of_a_command_that_does_nothing_lasts(live: Live) -> None:
    job_id = live.api.submit("b0", "b1")
    for index in (0, 1):
        assert live.api.report(job_id, "running", benchmark=f"b{index}", benchmark_index=index).status == 204
    for index in (0, 1):
        about: dict[str, Any] = {"benchmark": f"b{index}", "benchmark_index": index}
        assert live.api.report(job_id, "completed", metrics={"acc": 0.9}, **about).status == 204
    document = live.ended(job_id)
    assert document["status"]["state"] == "completed"
    assert [row["status"] for row in document["status"]["benchmarks"]] == ["completed", "completed"]


def test_a_late_report_replaces_what_only_the_watchdog_said(live: Live) -> None:
    job_id = live.api.submit()
    assert live.ended(job_id)["status"]["state"] == "failed"
    assert live.api.report(job_id, "running").status in (204, 409)
    assert live.api.job(job_id)["status"]["state"] == "failed"
    assert live.api.report(job_id, "completed", metrics={"acc": 0.9}).status == 204
    document = live.api.job(job_id)
    assert document["status"]["state"] == "completed"
    assert "error_message" not in row_of(document)
    assert document["results"]["benchmarks"][0]["metrics"] == {"acc": 0.9}
    assert live.api.report(job_id, "failed").status == 409


def test_a_new_job_is_found_pending_at_once(live: Live) -> None:
    # Clients list status=pending right after the submission, whatever the command does.
    reply = live.api.post(
        JOBS,
        {
            "name": "p",
            "model": {"url": "http://m", "name": "m"},
            "benchmarks": [{"id": "b0", "provider_id": "by-hand", "parameters": {"steps": [["sleep", 60]]}}],
        },
    )
    assert reply.json["status"]["state"] == "pending"
    assert live.api.delete(f"{JOBS}/{reply.json['resource']['id']}").status == 204


def test_cancelling_ends_the_whole_tree(live: Live, tmp_path: Path) -> None:
    job_id = live.steps(["leave", 600], ["leave", 600], ["write", str(tmp_path / "up"), ""], ["sleep", 600])
    until((tmp_path / "up").exists)
    runs = live.attempts(job_id)
    assert len(processes(runs)) >= 3
    assert live.api.delete(f"{JOBS}/{job_id}").status == 204
    assert live.api.job(job_id)["status"]["state"] == "cancelled"
    until(lambda: not processes(runs), "the end of the tree")
    assert row_of(live.api.job(job_id))["error_message"]["message_code"] == "evaluation_job_cancelled"


@pytest.mark.parametrize("hard", ["", "?hard_delete=true"])
def test_cancelling_right_after_the_submission_wins(live: Live, hard: str) -> None:
    for _ in range(10):
        job_id = live.several(*[[["leave", 600], ["sleep", 600]]] * 2)
        assert live.api.delete(f"{JOBS}/{job_id}{hard}").status == 204
        if hard:
            assert live.api.get(f"{JOBS}/{job_id}").status == 404
            continue
        document = live.api.job(job_id)
        assert document["status"]["state"] == "cancelled"
        assert [row["status"] for row in document["status"]["benchmarks"]] == ["cancelled"] * 2
        runs = live.attempts(job_id)
        until(lambda runs=runs: not processes(runs), "the end of the tree")  # type: ignore[misc]
        assert live.api.job(job_id)["status"] == document["status"]


def test_deleting_for_good_ends_the_process_and_its_log(live: Live, tmp_path: Path) -> None:
    job_id = live.steps(["print", "hello"], ["leave", 600], ["write", str(tmp_path / "up"), ""], ["sleep", 600])
    until((tmp_path / "up").exists)
    until(lambda: live.log(job_id) == "hello\n", "the log")
    runs = live.attempts(job_id)
    assert live.api.delete(f"{JOBS}/{job_id}?hard_delete=true").status == 204
    until(lambda: not processes(runs), "the end of the tree")
    until(lambda: not list((live.served.data / "logs").glob(f"{job_id}*")), "the end of the log")
    assert live.api.get(f"{JOBS}/{job_id}").status == 404


def test_a_run_that_takes_too_long_is_ended_and_has_failed(live: Live) -> None:
    job_id = live.steps(event("running"), ["leave", 600], ["sleep", 600], timeout_seconds=0.5)
    document = live.ended(job_id)
    error = row_of(document)["error_message"]
    assert (document["status"]["state"], error["message_code"]) == ("failed", "run_timed_out")
    assert "0.5 seconds" in error["message"]
    runs = live.attempts(job_id)
    until(lambda: not processes(runs), "the end of the tree")


def test_a_benchmark_may_have_a_time_limit_of_its_own(live: Live) -> None:
    sleep = {"id": "b0", "provider_id": "by-hand", "parameters": {"steps": [["sleep", 600]]}}
    quick = sleep | {"parameters": {"steps": [event("completed")]}}
    document = live.ended(
        live.api.submit(benchmarks=[sleep | {"timeout_seconds": 0.5}, quick | {"timeout_seconds": 600}], timeout_seconds=60)
    )
    assert [row["status"] for row in document["status"]["benchmarks"]] == ["failed", "completed"]
    assert row_of(document)["error_message"]["message_code"] == "run_timed_out"
    assert document["benchmarks"][0]["timeout_seconds"] == 0.5


def test_a_run_that_shows_no_sign_of_life_is_ended_and_has_failed(live: Live) -> None:
    document = live.ended(live.steps(event("running"), ["leave", 600], ["sleep", 600], stale_seconds=0.5))
    error = row_of(document)["error_message"]
    assert (document["status"]["state"], error["message_code"]) == ("failed", "run_stalled")
    assert "0.5 seconds" in error["message"]
    runs = live.attempts(document["resource"]["id"])
    until(lambda: not processes(runs), "the end of the tree")


def test_a_run_that_goes_on_printing_or_reporting_is_not_taken_for_dead(live: Live) -> None:
    signs: list[list[Any]] = [["print", "still here"], ["sleep", 1], event("running"), ["sleep", 1]]
    document = live.ended(live.steps(*signs * 3, event("completed"), stale_seconds=5))
    assert document["status"]["state"] == "completed"


def test_what_an_adapter_leaves_behind_is_ended(live: Live) -> None:
    job_id = live.steps(["leave", 600], event("completed", metrics={"a": 1}))
    assert live.ended(job_id)["status"]["state"] == "completed"
    runs = live.attempts(job_id)
    until(lambda: not processes(runs), "the end of the tree")


def test_an_adapter_may_go_on_a_little_after_it_has_reported(live: Live, tmp_path: Path) -> None:
    job_id = live.steps(
        event("completed", metrics={"a": 1}), ["wait", str(tmp_path / "go")], ["write", str(tmp_path / "saved"), "x"]
    )
    assert live.ended(job_id)["status"]["state"] == "completed"
    (tmp_path / "go").touch()
    until((tmp_path / "saved").exists)


def test_benchmarks_run_side_by_side(live: Live, tmp_path: Path) -> None:
    mine, other = str(tmp_path / "a"), str(tmp_path / "b")
    job_id = live.several(
        [["write", mine, ""], ["wait", other], event("completed")],
        [["write", other, ""], ["wait", mine], event("completed")],
    )
    assert live.ended(job_id)["status"]["state"] == "completed"


def test_one_failed_benchmark_does_not_stop_the_others(live: Live) -> None:
    document = live.ended(live.several([["exit", 1]], [event("completed", metrics={"a": 1})]))
    assert document["status"]["state"] == "partially_failed"
    assert document["status"]["message"]["message"].startswith(
        "Some of the benchmarks failed. \nBenchmark b0 failed with message: "
    )
    assert [row["benchmark_index"] for row in document["results"]["benchmarks"]] == [1]


def test_job_json_is_as_the_contract_has_it(live: Live, tmp_path: Path) -> None:
    found = tmp_path / "spec"
    benchmark = {
        "id": "b1",
        "provider_id": "by-hand",
        "weight": 2,
        "primary_score": {"metric": "acc", "lower_is_better": True},
        "parameters": {"num_examples": 3, "nested": {"a": [1]}, "steps": [["spec", str(found)], event("completed")]},
    }
    coordinates = {"oci_host": "registry.example", "oci_repository": "org/repo", "annotations": {"a": "b"}}
    job_id = live.api.submit(
        benchmarks=[benchmark],
        model={"url": "http://m.example/v1", "name": "m", "parameters": {"temperature": 0}, "card_url": "http://c.example"},
        exports={"oci": {"coordinates": coordinates, "k8s": {"connection": "secret-name"}}},
        tags=["not", "these"],
        custom={"not": "this"},
    )
    assert live.ended(job_id)["status"]["state"] == "completed"
    told = json.loads(found.read_text())
    spec = told["spec"]
    assert list(spec) == [
        "id", "provider_id", "benchmark_id", "benchmark_index", "model", "num_examples", "parameters", "callback_url",
        "exports", "primary_score",
    ]  # fmt: skip
    assert (spec["id"], spec["provider_id"], spec["benchmark_id"], spec["benchmark_index"]) == (job_id, "by-hand", "b1", 0)
    assert list(spec["model"]) == ["url", "name", "parameters", "card_url"]
    assert spec["num_examples"] == 3
    assert set(spec["parameters"]) == {"nested", "steps"}
    assert spec["exports"] == {"oci": {"coordinates": coordinates}}
    assert spec["primary_score"] == {"metric": "acc", "lower_is_better": True}
    assert Path(told["path"]).is_absolute()
    assert Path(told["path"]).parts[-2:] == ("meta", "job.json")


@pytest.mark.parametrize(
    ("given", "lifted", "left"),
    [
        ("3", 3, {}),
        ("x", None, {"num_examples": "x"}),
        (2.5, None, {"num_examples": 2.5}),
        (-1, None, {"num_examples": -1}),
        (True, None, {"num_examples": True}),
    ],
)
def test_only_a_whole_number_of_examples_is_lifted(
    live: Live, tmp_path: Path, given: Any, lifted: int | None, left: dict[str, Any]
) -> None:
    found = tmp_path / "spec"
    parameters = {"num_examples": given, "steps": [["spec", str(found)], event("completed")]}
    job_id = live.api.submit(benchmarks=[{"id": "b0", "provider_id": "by-hand", "parameters": parameters}])
    live.ended(job_id)
    spec = json.loads(found.read_text())["spec"]
    assert spec.get("num_examples") == lifted
    assert {name: value for name, value in spec["parameters"].items() if name != "steps"} == left


def test_the_adapter_sees_no_secret_of_the_server(live: Live, tmp_path: Path) -> None:
    found = tmp_path / "environ"
    live.ended(live.steps(["environ", str(found)], event("completed")))
    environment = json.loads(found.read_text())
    assert "canary" not in found.read_text()
    assert environment["EVALHUB_MODE"] == "local"
    assert environment["EVALHUB_JOB_SPEC_PATH"].endswith("/meta/job.json")
    assert {"PATH", "HOME"} <= set(environment)
    assert not {"ASSAY_WORKER_KEY", "ASSAY_DATA", "DATABASE_URL"} & set(environment)


def test_a_run_leaves_nothing_in_the_data_folder_but_its_log(live: Live) -> None:
    job_id = live.steps(["print", "x"], event("completed"))
    live.ended(job_id)
    runs = live.attempts(job_id)
    folder = live.served.data / "runs" / "local"
    assert folder.is_dir()
    until(lambda: not any((folder / f"{run}.1").exists() for run in runs), "the end of the run's folder")
    assert [path.name for path in (live.served.data / "logs" / job_id).iterdir()] == ["0.1.log"]


def test_logs_are_shown_while_the_adapter_runs(live: Live, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job_id = live.steps(["print", "first"], ["wait", str(go)], ["print", "EVALUATION COMPLETE"], event("completed"))
    lines = live.api.lines(f"{JOBS}/{job_id}/benchmarks/0/logs?follow=true")
    assert next(lines) == b"first\n"
    go.touch()
    rest = list(lines)
    assert rest[0] == b"EVALUATION COMPLETE\n"
    live.ended(job_id)
    whole = live.api.get(f"{JOBS}/{job_id}/logs")
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert whole.text.startswith(f"=== pod={job_id}-0 container=local benchmark_id=b0 ===\nfirst\nEVALUATION COMPLETE\n")


def test_both_streams_and_the_folder_of_the_catalogue_are_in_the_log(live: Live) -> None:
    job_id = live.api.submit(provider="shell")
    live.ended(job_id)
    where, told = sorted(live.log(job_id).splitlines())
    assert where.startswith(f"in {live.served.data / 'runs' / 'local'}")  # a copy of the folder, as it was at submit
    assert (where.endswith("/files/providers"), told) == (True, "to stderr")


def test_a_flood_of_output_is_bounded_and_harms_nobody(live: Live) -> None:
    job_id = live.steps(["flood", 20_000_000], ["print", "after"], event("completed", metrics={"a": 1}))
    document = live.ended(job_id)
    assert document["status"]["state"] == "completed"
    assert live.log(job_id).endswith("[the log is cut here: it reached its limit of 100000 bytes]\n")
    (file,) = (live.served.data / "logs" / job_id).iterdir()
    assert file.stat().st_size <= 100_000


def test_a_flood_does_not_hide_why_an_adapter_failed(live: Live) -> None:
    document = live.ended(live.steps(["flood", 1_000_000], ["print", "the true reason"], ["exit", 1]))
    error = row_of(document)["error_message"]["message"]
    assert error.endswith("the true reason")
    assert len(error) < 20_000


def test_an_adapter_cannot_report_about_another_job(live: Live, tmp_path: Path) -> None:
    victim = live.steps(["wait", str(tmp_path / "go")], event("completed", metrics={"a": 1}))
    meddler = live.steps([*event("failed"), victim], event("completed"))
    live.ended(meddler)
    assert "the event was answered with 403" in live.log(meddler)
    (tmp_path / "go").touch()
    assert live.ended(victim)["status"]["state"] == "completed"


def test_more_benchmarks_than_slots_all_run(live: Live) -> None:
    document = live.ended(live.several(*[[event("completed", metrics={"a": 1})]] * 30))
    assert document["status"]["state"] == "completed"
    assert len(document["results"]["benchmarks"]) == 30


def test_jobs_submitted_from_many_threads_all_end(live: Live) -> None:
    ids: list[str] = []
    submitting = [threading.Thread(target=lambda: ids.append(live.steps(event("completed")))) for _ in range(12)]
    for one in submitting:
        one.start()
    for one in submitting:
        one.join()
    assert {live.ended(job_id)["status"]["state"] for job_id in ids} == {"completed"}
