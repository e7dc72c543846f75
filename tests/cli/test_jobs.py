from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cli
from .fake_server import ARTIFACT, FakeServer, finished


def test_jobs_are_listed_newest_first_with_their_age(cli: Cli, server: FakeServer) -> None:
    server.add("j1", "old")
    server.add("j2", "new", "running")
    shown = cli("jobs", "list")
    heading, first, second = shown.out.splitlines()
    assert heading.split() == ["ID", "NAME", "STATE", "MODEL", "BENCHMARKS", "AGE"]
    assert first.split()[:5] == ["j2", "new", "running", "m", "practice/arithmetic"]
    assert first.split()[5].endswith("d")
    assert second.split()[0] == "j1"


def test_filters_are_sent_to_the_server(cli: Cli, server: FakeServer) -> None:
    cli("jobs", "list", "--status", "failed", "--status", "cancelled", "--name", "n", "--tag", "a", "--tag", "b")
    query = server.queries[-1]
    assert (query["status"], query["name"], query["tags"]) == (["failed,cancelled"], ["n"], ["a,b"])


def test_a_status_that_there_is_not_is_refused_with_those_that_there_are(cli: Cli) -> None:
    shown = cli("jobs", "list", "--status", "done")
    assert shown.code == 2
    assert "partially_failed" in shown.err


def test_what_is_beyond_the_limit_is_mentioned_and_all_shows_it(cli: Cli, server: FakeServer) -> None:
    for number in range(450):
        server.add(f"j{number}")
    assert "2 of 450 jobs" in cli("jobs", "list", "--limit", "2").err
    assert len(cli("jobs", "list", "--all", "--json").json["items"]) == 450


def test_no_jobs_is_a_message_and_an_empty_json_list(cli: Cli) -> None:
    shown = cli("jobs", "list")
    assert (shown.code, shown.out) == (0, "")
    assert "assay eval" in shown.err
    assert cli("jobs", "list", "--json").json == {"total_count": 0, "items": []}


def test_json_may_stand_before_the_command_and_after_it(cli: Cli, server: FakeServer) -> None:
    server.add("j1")
    before, between, after = cli("--json", "jobs", "list"), cli("jobs", "--json", "list"), cli("jobs", "list", "--json")
    assert before.json == between.json == after.json


@pytest.mark.parametrize("name", ["last", "@last"])
def test_last_is_the_newest_job(cli: Cli, server: FakeServer, name: str) -> None:
    server.add("j1")
    server.add("j2")
    assert cli("jobs", "show", name, "--json").json["resource"]["id"] == "j2"


def test_last_without_any_job_says_how_to_make_one(cli: Cli) -> None:
    shown = cli("jobs", "show", "last")
    assert (shown.code, shown.err) == (2, "error: There is no job yet. Submit one with `assay eval`.\n")


def test_showing_a_running_job_tells_its_progress(cli: Cli, server: FakeServer) -> None:
    job = server.add("j1", state="running")
    job["status"]["benchmarks"] = [{"benchmark_index": 0, "status": "running", "progress": {"done": 3, "total": 48}}]
    assert "3/48" in cli("jobs", "show", "j1").out


def test_showing_an_ended_job_tells_its_results(cli: Cli, server: FakeServer) -> None:
    job = server.add("j1")
    job["status"]["benchmarks"] = [{"provider_id": "practice", "id": "arithmetic", "benchmark_index": 0}]
    finished()(job)
    shown = cli("jobs", "show", "j1")
    assert "0.7500 ± 0.0625" in shown.out
    assert "job completed, pass" in shown.out


def test_text_from_a_job_cannot_steer_the_terminal(cli: Cli, server: FakeServer) -> None:
    server.add("j1", "evil\x1b[2J\nname")
    shown = cli("jobs", "list")
    assert "\x1b" not in shown.out
    assert len(shown.out.splitlines()) == 2


def test_an_unknown_job_is_an_error_of_one_line(cli: Cli) -> None:
    shown = cli("jobs", "show", "nope")
    assert shown.code == 2
    assert shown.err == "error: The evaluation job resource 'nope' was not found.\n"


def test_cancelling_tells_which_job_and_an_ended_one_says_why_not(cli: Cli, server: FakeServer) -> None:
    server.add("j1", state="running")
    server.add("j2", state="completed")
    assert cli("jobs", "cancel", "j1", "--json").json == {"cancelled": ["j1"]}
    assert server.cancelled == ["j1"]
    shown = cli("jobs", "cancel", "j2")
    assert (shown.code, "because it is 'completed'" in shown.err) == (2, True)


def test_a_job_that_cannot_be_cancelled_does_not_keep_the_others_from_it(cli: Cli, server: FakeServer) -> None:
    server.add("j1", state="completed")
    server.add("j2", state="running")
    shown = cli("jobs", "cancel", "j1", "nope", "last", "j2", "--json")
    assert (shown.code, server.cancelled, shown.json) == (2, ["j2"], {"cancelled": ["j2"]})
    assert shown.err.splitlines() == [
        "error: The job j1 can not be cancelled because it is 'completed'.",
        "error: The evaluation job resource 'nope' was not found.",
        "cancelled j2",
    ]


def test_a_job_that_is_unknown_does_not_keep_the_others_from_being_deleted(cli: Cli, server: FakeServer) -> None:
    server.add("j1")
    shown = cli("jobs", "delete", "nope", "j1", "--yes")
    assert (shown.code, server.deleted) == (2, ["j1"])
    assert shown.err == "error: The evaluation job resource 'nope' was not found.\ndeleted j1\n"


def test_a_server_with_troubles_ends_it_and_what_was_done_is_told(cli: Cli, server: FakeServer) -> None:
    server.add("j1", state="running")
    server.broken = 1
    shown = cli("jobs", "cancel", "j1", "j2", "--json")
    assert (shown.code, shown.json) == (3, {"cancelled": []})
    assert len(shown.err.splitlines()) == 1


def test_deleting_needs_a_yes(cli: Cli, server: FakeServer) -> None:
    server.add("j1")
    assert (cli("jobs", "delete", "j1").code, server.deleted) == (2, [])
    assert (cli("jobs", "delete", "j1", "--yes").code, server.deleted) == (0, ["j1"])


def test_logs_are_printed_as_they_are_and_end_with_a_line_end(cli: Cli, server: FakeServer) -> None:
    server.add("j1")
    assert cli("jobs", "logs", "j1", "--tail", "5").out == "first\nsecond\n"
    assert server.queries[-1]["tail_lines"] == ["5"]


def test_logs_for_programs_are_an_object_a_line(cli: Cli, server: FakeServer) -> None:
    server.add("j1")
    lines = [json.loads(line)["line"] for line in cli("jobs", "logs", "j1", "--json").out.splitlines()]
    assert lines == ["first", "second"]


def test_following_several_benchmarks_names_each_line(cli: Cli, server: FakeServer) -> None:
    server.add("j1")["benchmarks"].append({"provider_id": "practice", "id": "cloze"})
    lines = cli("jobs", "logs", "j1", "--follow").out.splitlines()
    assert sorted(lines) == [
        "[practice/arithmetic] first",
        "[practice/arithmetic] second",
        "[practice/cloze] first",
        "[practice/cloze] second",
    ]


def test_artifacts_are_listed_and_downloaded(cli: Cli, server: FakeServer, tmp_path: Path) -> None:
    server.add("j1")
    assert "results.json" in cli("jobs", "artifacts", "j1").out
    cli("jobs", "artifacts", "j1", "--download", str(tmp_path))
    assert (tmp_path / "0" / "results.json").read_bytes() == ARTIFACT


def test_a_benchmark_that_there_is_not_is_refused(cli: Cli, server: FakeServer) -> None:
    server.add("j1")
    shown = cli("jobs", "artifacts", "j1", "--benchmark", "4")
    assert (shown.code, "none at 4" in shown.err) == (2, True)


def test_providers_are_listed_and_shown(cli: Cli) -> None:
    assert "practice" in cli("providers", "list").out
    shown = cli("providers", "show", "practice")
    assert "arithmetic" in shown.out
    assert "assay eval practice/arithmetic" in shown.out
    assert cli("providers", "show", "practice", "--json").json["title"] == "Practice"


def test_a_provider_is_shown_with_the_hints_of_its_file(cli: Cli, server: FakeServer) -> None:
    assert "Hints" not in cli("providers", "show", "practice").out
    hints = ["Check out github.com/eval-hub/eval-hub-contrib.", "Set limit first."]
    server.providers["lm_eval"] = {
        "resource": {"id": "lm_eval"},
        "benchmarks": [{"id": "custom"}],
        "agent": {"hints": hints},
    }
    shown = cli("providers", "show", "lm_eval").out
    assert shown.split("Hints:\n")[1].splitlines()[:2] == [f"- {hint}" for hint in hints]
    assert "assay eval --task TASK --model-url" in shown, "without a task lm_eval/custom is refused"


def test_the_queue_says_the_whole_of_what_a_run_waits_for(cli: Cli, server: FakeServer) -> None:
    message = """No worker that is alive has the engine 'lm_eval', 1 GPUs, the labels {"site":"paris"}."""
    run = {"job_id": "j1", "provider_id": "p", "benchmark_id": "b", "priority": 0, "waits_for": {"message": message}}
    slots = {"used": 0, "total": 2, "workers": 1}
    server.queue = {"items": [run], "total_count": 1, "queued": 1, "slots": slots}
    assert message in cli("queue").out


def test_a_key_is_handed_over_with_what_it_is_for(cli: Cli, tmp_path: Path) -> None:
    offline = ("--all-tenants", "--offline", "--data", str(tmp_path / "data"))
    assert "ASSAY_API_KEY" in cli("keys", "create", "root", "--role", "admin", *offline).err
    shown = cli("keys", "create", "gpu-box", "--role", "worker", *offline)
    assert "ASSAY_API_KEY" not in shown.err
    assert "ASSAY_WORKER_KEY" in shown.err


def test_engines_are_listed_with_the_way_to_install_them(cli: Cli, tmp_path: Path) -> None:
    shown = cli("engines", "list", "--engines-dir", str(tmp_path))
    assert "assay engines install lm_eval" in shown.out
    (engine,) = cli("engines", "list", "--engines-dir", str(tmp_path), "--json").json["items"]
    assert (engine["name"], engine["path"]) == ("lm_eval", None)


def test_an_engine_that_there_is_not_is_refused(cli: Cli, tmp_path: Path) -> None:
    shown = cli("engines", "install", "nope", "--engines-dir", str(tmp_path))
    assert shown.code == 2
    assert "no engine 'nope'" in shown.err
    assert list(tmp_path.iterdir()) == []
