"""The `evalhub` command of eval-hub-sdk 1.0.6, unmodified, with a configuration of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay import __version__
from assay.build import commit
from tests.evalhub.live import Live, until
from tests.evalhub.official_programs import Evalhub, free_port
from tests.server.client import unique

pytestmark = pytest.mark.slow  # every command is a process of its own

DONE = ["post", {"status": "completed", "phase": "completed", "metrics": {"acc": 0.75, "f1": 0.5}}]
FAILED = ["post", {"status": "failed", "error_message": {"message": "the data set is missing", "message_code": "c"}}]
SLEEP = ["sleep", 600]
QUICK = ("--poll-interval", "0.05")
MODEL = ("--model-url", "http://m.example/v1", "--model-name", "m")


@pytest.fixture
def evalhub(live: Live, tmp_path: Path, tenant_name: str) -> Evalhub:
    """The command line of a user whose profile names the server and a tenant of its own."""
    folder = tmp_path / ".config" / "evalhub"
    folder.mkdir(parents=True)
    profile = {"base_url": live.api.url, "token": "anything", "tenant": tenant_name}
    (folder / "config.yaml").write_text(yaml.safe_dump({"active_profile": "mine", "profiles": {"mine": profile}}))
    return Evalhub(tmp_path)


def written(folder: Path, document: Any, suffix: str = "yaml") -> str:
    """Write a document to a file; return its path."""
    path = folder / f"{unique()}.{suffix}"
    path.write_text(json.dumps(document) if suffix == "json" else yaml.safe_dump(document))
    return str(path)


def job_file(evalhub: Evalhub, *programs: list[list[Any]], suffix: str = "yaml", **members: Any) -> str:
    """Write the file of a job with a benchmark for each list of steps; return its path."""
    benchmarks = [{"id": f"b{i}", "provider_id": "by-hand", "parameters": {"steps": p}} for i, p in enumerate(programs)]
    body = {"name": unique(), "model": {"url": "http://m.example/v1", "name": "m"}, "benchmarks": benchmarks} | members
    return written(evalhub.home, body, suffix)


def submitted(evalhub: Evalhub, *programs: list[list[Any]], **members: Any) -> str:
    """Submit a job; return its id."""
    out = evalhub("eval", "run", "--config", job_file(evalhub, *programs or ([SLEEP],), **members)).out
    return out.removeprefix("Job submitted: ").strip()


def finished(evalhub: Evalhub, *programs: list[list[Any]], code: int = 0) -> str:
    """Submit a job and wait for its end; return its id."""
    path = job_file(evalhub, *programs)
    out = evalhub("eval", "run", "--config", path, "--wait", "--timeout", "60", *QUICK, code=code).out
    return out.splitlines()[0].removeprefix("Job submitted: ")


def shown(evalhub: Evalhub, job_id: str) -> dict[str, Any]:
    """Return what the command line knows of a job."""
    (job,) = evalhub("eval", "status", job_id, "--format", "json").json
    return dict(job)


def test_health_is_told_by_words_and_exit_code(evalhub: Evalhub) -> None:
    assert evalhub("health").out.startswith("EvalHub service: healthy (")
    evalhub("config", "set", "base_url", f"http://127.0.0.1:{free_port()}")
    assert evalhub("health", code=1).out.startswith("EvalHub service: unreachable (")


def test_a_profile_names_server_and_tenant(evalhub: Evalhub, live: Live, tenant_name: str) -> None:
    job_id = submitted(evalhub)
    assert live.api.as_(x_tenant=tenant_name).job(job_id)["resource"]["tenant"] == tenant_name
    without = Evalhub(evalhub.home / "elsewhere")
    without.home.mkdir()
    found = without("--base-url", live.api.url, "eval", "status", "--format", "json").json
    assert job_id not in [row["id"] for row in found]
    said = without.fails("--base-url", live.api.url, "eval", "status", job_id)
    assert said == f"Error: Server error (404): The evaluation job resource '{job_id}' was not found."
    evalhub("eval", "cancel", job_id, "--yes")


def test_an_evaluation_is_run_from_flags(evalhub: Evalhub) -> None:
    flags = [*MODEL, "--provider", "by-hand", "-b", "b0", "-b", "b1", "-m", "acc", "-m", "f1", "--dataset", "d"]
    flags += ["-p", "num_examples=3", "-p", "lr=0.5", "-p", "shuffle=true", "-p", "text=a=b", "--description", "Words."]
    flags += ["--oci-host", "registry.example", "--oci-repository", "a/b", "--oci-connection", "push", "--queue", "batch"]
    flags += ["--model-auth-secret", "file:///nowhere"]
    done = evalhub("eval", "run", "--name", "from-flags", *flags, "--format", "json")
    (job,) = done.json
    assert done.err.startswith(f"Job submitted: {job['resource']['id']}")
    parameters = {"num_examples": 3, "lr": 0.5, "shuffle": True, "text": "a=b", "metrics": ["acc", "f1"], "dataset": "d"}
    assert [(one["id"], one["parameters"]) for one in job["benchmarks"]] == [("b0", parameters), ("b1", parameters)]
    assert (job["name"], job["description"], job["queue"]["name"]) == ("from-flags", "Words.", "batch")
    assert job["exports"]["oci"]["coordinates"]["oci_repository"] == "a/b"
    assert job["exports"]["oci"]["k8s"] == {"connection": "push"}
    assert job["model"]["auth"] == {"secret_ref": "file:///nowhere"}
    evalhub("eval", "cancel", job["resource"]["id"], "--yes", "--hard-delete")


@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        ("s3", {"bucket": "b", "key": "k", "secret": "s"}),
        ("pvc", {"claim-name": "c", "sub-path": "a"}),
        ("git", {"url": "https://git.example/a.git", "ref": "main", "sub-path": "a", "secret": "s"}),
        ("hf", {"repo-id": "a/b", "revision": "r", "sub-path": "a", "secret": "s"}),
    ],
)
def test_test_data_are_named_by_flags(evalhub: Evalhub, kind: str, reference: dict[str, str]) -> None:
    flags = [part for name, value in reference.items() for part in (f"--test-data-{kind}-{name}", value)]
    started = ["eval", "run", "--name", "n", *MODEL, "--provider", "by-hand", "-b", "b0"]
    (job,) = evalhub(*started, *flags, "--format", "json").json
    kept = {name: value for name, value in job["benchmarks"][0]["test_data_ref"][kind].items() if value is not None}
    names = {"secret": "secret_ref"}
    assert kept == {names.get(name, name.replace("-", "_")): value for name, value in reference.items()}


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_an_evaluation_is_run_from_a_file_and_waited_for(evalhub: Evalhub, suffix: str) -> None:
    path = job_file(evalhub, [["print", "hello"], DONE], suffix=suffix)
    lines = evalhub("eval", "run", "--config", path, "--wait", *QUICK).out.splitlines()
    job_id = lines[0].removeprefix("Job submitted: ")
    assert lines[1:] == [f"Waiting for job {job_id} to complete...", f"Job {job_id} finished with state: completed"]


def test_a_failure_is_an_exit_code(evalhub: Evalhub) -> None:
    job_id = finished(evalhub, [FAILED], code=1)
    watched = evalhub("eval", "run", "--config", job_file(evalhub, [["print", "oh"], FAILED]), "--watch", *QUICK, code=1)
    assert "oh\n" in watched.out
    assert "finished with state: failed" in watched.err
    detail = evalhub("eval", "status", job_id).out
    # A slow machine shows that the run's files were being brought.
    assert "b0 (by-hand): failed - the data set is missing" in detail.replace(" [loading_data]", "")
    assert "State:   failed" in detail
    assert finished(evalhub, [FAILED], [DONE])


def test_logs_are_shown_while_an_evaluation_runs(evalhub: Evalhub) -> None:
    path = job_file(evalhub, [["print", "one"], ["print", "two"], DONE, ["print", "last"]])
    done = evalhub("eval", "run", "--config", path, "--watch", "--timeout", "60", *QUICK)
    submitted_line, title, *lines = done.out.splitlines()
    job_id = submitted_line.removeprefix("Job submitted: ")
    assert title == f"=== pod={job_id}-0 container=local benchmark_id=b0 ==="
    assert [line for line in lines if line in ("one", "two", "last")] == ["one", "two", "last"]
    assert done.err.rstrip().endswith(f"Job {job_id} finished with state: completed")


def test_waiting_ends_at_its_limit(evalhub: Evalhub) -> None:
    path = job_file(evalhub, [SLEEP])
    watched = evalhub("eval", "run", "--config", path, "--watch", "--timeout", "0.2", *QUICK, code=2)
    job_id = watched.out.splitlines()[0].removeprefix("Job submitted: ")
    assert f"Timed out before job {job_id} reached a terminal state." in watched.err
    followed = evalhub("eval", "logs", job_id, "--follow", "--timeout", "0.2", *QUICK, code=2)
    assert "Timed out after 0.2s" in followed.err
    evalhub("eval", "cancel", job_id, "--yes")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-b", "nothing", "--provider", "by-hand"), "(400): The benchmark with id 'nothing' does not exist."),
        (("-b", "b0", "--provider", "nothing"), "(404): The provider resource 'nothing' was not found."),
        (("-b", "b0", "--provider", "by-hand", "--experiment", "e"), "(400): MLflow is required for experiment tracking."),
        (("-b", "b0", "--provider", "by-hand", "--queue", "Not A Name"), "queue.name"),
    ],
)
def test_a_refused_evaluation_says_why(evalhub: Evalhub, arguments: tuple[str, ...], said: str) -> None:
    error = evalhub.fails("eval", "run", "--name", "n", *MODEL, *arguments)
    assert error.startswith("Error: Server error (4")
    assert said in error
    assert "{" not in error, "the sentence, not the body"


def test_jobs_are_listed(evalhub: Evalhub) -> None:
    done, waiting = finished(evalhub, [DONE], [DONE]), submitted(evalhub)
    table = evalhub("eval", "status").out
    assert table.index(waiting) < table.index(done)
    rows = evalhub("eval", "status", "--format", "json").json
    assert [(row["id"], row["state"] == "completed", row["benchmarks"]) for row in rows] == [
        (waiting, False, 1),
        (done, True, 2),
    ]
    assert [row["provider"] for row in rows] == ["by-hand", "by-hand"]
    for arguments, expected in (
        (("--status", "completed"), [done]),
        (("--status", "partially_failed"), []),
        (("--limit", "1"), [waiting]),
        (("--provider", "by-hand", "--since", "24h"), [waiting, done]),
        (("--provider", "practice"), []),
    ):
        listed = yaml.safe_load(evalhub("eval", "status", *arguments, "--format", "yaml").out)
        assert [row["id"] for row in listed or []] == expected, arguments
    csv = evalhub("eval", "status", "--format", "csv").out.splitlines()
    assert csv[0] == "id,name,state,oci_state,provider,benchmarks,created"
    assert len(csv) == 3
    evalhub("eval", "cancel", waiting, "--yes")


def test_a_job_is_described_and_watched_to_its_end(evalhub: Evalhub) -> None:
    go = evalhub.home / "go"
    job_id = submitted(
        evalhub, [["post", {"status": "running", "phase": "loading_data"}], ["wait", str(go)], DONE], description="W."
    )

    def loading() -> bool:
        return "b0 (by-hand): running [loading_data]" in evalhub("eval", "status", job_id).out

    until(loading, "the phase")
    text = evalhub("eval", "status", job_id).out
    for line in (f"Job:     {job_id}", "State:   running", "Desc:    W.", "Model:   m (http://m.example/v1)"):
        assert line in text.splitlines()
    assert "Message: Evaluation job is running" in text
    with evalhub.running("eval", "status", job_id, "--watch", *QUICK) as watching:
        assert watching.stdout is not None
        assert job_id in watching.stdout.read(60)
        go.touch()
        rest = watching.stdout.read()
        assert watching.wait() == 0
    assert f"{job_id}: completed [1/1 benchmarks phase=completed]" in rest
    assert "Message: Evaluation job is completed" in rest
    assert shown(evalhub, job_id)["status"]["benchmarks"][0]["completed_at"]


def test_results_come_as_table_json_yaml_and_csv(evalhub: Evalhub) -> None:
    job_id = finished(evalhub, [DONE], [DONE])
    table = evalhub("eval", "results", job_id).out
    assert [re.split(r"\s*│\s*", line)[1:5] for line in table.splitlines() if "by-hand" in line] == [
        [benchmark, "by-hand", metric, value]
        for benchmark in ("b0", "b1")
        for metric, value in (("acc", "0.75"), ("f1", "0.5"))
    ]
    rows = evalhub("eval", "results", job_id, "--format", "json").json
    assert [(row["id"], row["metrics"]) for row in rows] == [("b0", DONE[1]["metrics"]), ("b1", DONE[1]["metrics"])]  # type: ignore[index]
    assert yaml.safe_load(evalhub("eval", "results", job_id, "--format", "yaml").out) == rows
    csv = evalhub("eval", "results", job_id, "--format", "csv").out.splitlines()
    assert csv[:2] == ["benchmark,provider,metric,value", "b0,by-hand,acc,0.75"]


def test_results_of_an_unfinished_job_come_with_a_warning(evalhub: Evalhub) -> None:
    job_id = submitted(evalhub)
    asked = evalhub("eval", "results", job_id)
    assert asked.out.strip() == "No results available."
    assert f"Warning: job {job_id} is in state '" in asked.err
    evalhub("eval", "cancel", job_id, "--yes")


def test_logs_are_shown_whole_and_in_part(evalhub: Evalhub) -> None:
    job_id = finished(evalhub, [["print", "one"], ["print", "two"], DONE], [["print", "three"], DONE])
    whole = evalhub("eval", "logs", job_id).out
    assert whole.startswith(f"=== pod={job_id}-0 container=local benchmark_id=b0 ===\none\ntwo\n")
    assert f"\n=== pod={job_id}-1 container=local benchmark_id=b1 ===\nthree\n" in whole
    assert "\n\n=== pod=" not in whole
    first = evalhub("eval", "logs", job_id, "--benchmark-index", "0").out
    assert first.startswith("one\ntwo\n")
    assert (
        evalhub("eval", "logs", job_id, "--benchmark-index", "0", "--tail", "1").out == first.splitlines(keepends=True)[-1]
    )
    stamped = evalhub("eval", "logs", job_id, "--benchmark-index", "0", "--timestamps", "--since", "3600").out
    assert [re.fullmatch(r"\S+T\S+Z (.*)", line)[1] for line in stamped.splitlines()] == first.splitlines()  # type: ignore[index]
    assert evalhub.fails("eval", "logs", job_id, "--benchmark-index", "2") == (
        "Error: Server error (404): The benchmark resource '2' was not found."
    )


def test_logs_are_followed_to_their_end(evalhub: Evalhub) -> None:
    go = evalhub.home / "go"
    early, late = [["print", "early"], ["print", "yes"]], [["print", "late"], ["print", "over"]]
    job_id = submitted(evalhub, [*early, ["wait", str(go)], *late, DONE])
    with evalhub.running("eval", "logs", job_id, "--follow", *QUICK) as following:
        assert following.stdout is not None
        lines = iter(following.stdout.readline, "")
        assert any(line == "early\n" for line in lines)
        go.touch()
        rest = list(lines)
        assert following.wait() == 0
    assert rest.count("late\n") == 1
    assert "early\n" not in rest
    assert rest[-1].endswith(f"Job {job_id} finished with state: completed\n")


def test_a_job_is_cancelled_and_deleted(evalhub: Evalhub) -> None:
    job_id = submitted(evalhub)
    assert evalhub("eval", "cancel", job_id, answer="y\n").out.endswith(f"Job {job_id} cancelled.\n")
    assert shown(evalhub, job_id)["status"]["state"] == "cancelled"
    assert evalhub("eval", "cancel", job_id, "--hard-delete", "--yes").out == f"Job {job_id} deleted.\n"
    assert evalhub.fails("eval", "cancel", job_id, "--yes") == f"Error: Job '{job_id}' not found"


def test_a_job_that_has_ended_cannot_be_cancelled_and_says_why(evalhub: Evalhub) -> None:
    job_id = finished(evalhub, [DONE])
    assert evalhub.fails("eval", "cancel", job_id, "--yes") == (
        f"Error: Job '{job_id}' cannot be cancelled: The job {job_id} can not be cancelled because it is 'completed'."
    )
    assert evalhub("eval", "results", job_id, "--format", "json").json


PROVIDER = {
    "name": "mine",
    "title": "Mine",
    "description": "A provider.",
    "tags": ["one"],
    "runtime": {"local": {"command": "true"}},
    "benchmarks": [{"id": "b0", "name": "B0", "category": "code", "metrics": ["acc", "f1"]}],
}
COLLECTION = {
    "name": "mine",
    "description": "A collection.",
    "category": "general",
    "tags": ["one"],
    "benchmarks": [
        {
            "id": "b0",
            "provider_id": "by-hand",
            "weight": 2.0,
            "parameters": {"steps": [DONE]},
            "primary_score": {"metric": "acc"},
            "pass_criteria": {"threshold": 0.5},
        },
        {"id": "b1", "provider_id": "by-hand", "parameters": {"steps": [DONE]}},
    ],
    "pass_criteria": {"threshold": 0.5},
}


def test_the_catalogue_is_listed_and_described(evalhub: Evalhub) -> None:
    for kind, one in (("providers", "lm_evaluation_harness"), ("collections", "safety-and-fairness-v1")):
        assert one in evalhub(kind, "list").out
        assert one in evalhub(kind, "list", "--format", "csv").out
        assert one in str(evalhub(kind, "list", "--format", "json").json)
        assert f"ID:  {'     ' if kind == 'providers' else '        '}{one}" in evalhub(kind, "describe", one).out
        (described,) = yaml.safe_load(evalhub(kind, "describe", one, "--format", "yaml").out)
        assert described["resource"]["id"] == one
    safe = evalhub("collections", "list", "--tag", "safety", "--format", "json").json
    assert {row["id"] for row in safe} == {"safety-and-fairness-v1", "toxicity-and-ethical-principles"}


@pytest.mark.parametrize(("kind", "body"), [("providers", PROVIDER), ("collections", COLLECTION)])
def test_ones_own_entries_are_made_changed_and_deleted(evalhub: Evalhub, kind: str, body: dict[str, Any]) -> None:
    singular = kind.removesuffix("s").capitalize()
    created = evalhub(kind, "create", "--file", written(evalhub.home, body)).out.strip()
    made = created.removeprefix(f"{singular} created: ")
    (described,) = evalhub(kind, "describe", made, "--format", "json").json
    assert {name: described[name] for name in ("name", "description", "tags")} == {
        name: body[name] for name in ("name", "description", "tags")
    }
    assert "one" in evalhub(kind, "describe", made).out or kind == "providers"
    replacement = written(evalhub.home, body | {"name": "other"}, "json")
    updated = evalhub(kind, "update", made, "--file", replacement, "--format", "json")
    assert (updated.json[0]["name"], updated.err.strip()) == ("other", f"{singular} updated: {made}")
    # EvalHub's own server refuses what its command line sends here; a mapping is a merge patch for us.
    patch = written(evalhub.home, {"name": "third", "tags": ["two", "three"]})
    assert evalhub(kind, "patch", made, "--file", patch).out.strip() == f"{singular} patched: {made}"
    (patched,) = evalhub(kind, "describe", made, "--format", "json").json
    assert (patched["name"], patched["tags"], patched["description"]) == ("third", ["two", "three"], body["description"])
    assert len(patched["benchmarks"]) == len(body["benchmarks"])
    assert evalhub(kind, "delete", made, answer="y\n").out.endswith(f"{singular} {made} deleted.\n")
    said = evalhub.fails(kind, "describe", made)
    assert said == f"Error: Server error (404): The {singular.lower()} resource '{made}' was not found."


@pytest.mark.parametrize(
    ("kind", "one", "body"), [("providers", "practice", PROVIDER), ("collections", "practice-v1", COLLECTION)]
)
def test_the_catalogue_is_read_only(evalhub: Evalhub, kind: str, one: str, body: dict[str, Any]) -> None:
    said = f"Error: Server error (400): {kind.removesuffix('s').capitalize()} '{one}' cannot be modified or deleted."
    assert evalhub.fails(kind, "delete", one, "--yes") == said
    assert evalhub.fails(kind, "update", one, "--file", written(evalhub.home, body)) == said
    assert evalhub.fails(kind, "patch", one, "--file", written(evalhub.home, {"name": "x"})) == said


def test_a_patch_outside_the_rules_says_why(evalhub: Evalhub) -> None:
    made = evalhub("collections", "create", "--file", written(evalhub.home, COLLECTION)).out.split()[-1]
    said = evalhub.fails("collections", "patch", made, "--file", written(evalhub.home, {"resource": {"id": "x"}}))
    assert "(400)" in said
    assert "is not allowed for the path" in said
    evalhub("collections", "delete", made, "--yes")


def test_a_collection_is_run_and_scored(evalhub: Evalhub, live: Live, tenant_name: str) -> None:
    made = evalhub("collections", "create", "--file", written(evalhub.home, COLLECTION)).out.split()[-1]
    lines = evalhub("collections", "run", made, *MODEL, "--wait", "--timeout", "60", *QUICK).out.splitlines()
    job_id = lines[0].removeprefix("Job submitted: ")
    assert lines[-1] == f"Job {job_id} finished with state: completed"
    job = live.api.as_(x_tenant=tenant_name).job(job_id)
    assert (job["name"], job["collection"]["id"]) == (f"mine ({made})", made)
    assert job["results"]["test"] == {"score": 0.75, "threshold": 0.5, "pass": True}
    named = evalhub("collections", "run", made, *MODEL, "--name", "named", "--watch", *QUICK)
    assert "finished with state: completed" in named.err
    assert [row["name"] for row in evalhub("eval", "status", "--format", "json").json] == ["named", f"mine ({made})"]
    assert evalhub.fails("collections", "run", "nothing", *MODEL).endswith(
        "The collection resource 'nothing' was not found."
    )


def test_the_status_of_a_local_server_tells_its_version_and_commit(evalhub: Evalhub, live: Live) -> None:
    port = int(live.api.url.rpartition(":")[2])
    evalhub("config", "set", "server_config_file", written(evalhub.home, {"service": {"port": port}}))
    lines = [line.strip() for line in evalhub("server", "status").out.splitlines()]
    assert lines == [
        "Server is running.",
        "Health: healthy",
        f"Version: {__version__}",
        f"Commit:  {commit()}",
        f"URL:    http://localhost:{port}",
    ]
