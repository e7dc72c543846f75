"""evalhub-mcp 1.0.2, unmodified: every tool, resource, prompt and completion, over a pipe and over HTTP."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.evalhub.live import Live, until
from tests.evalhub.official_programs import Evalhub, Mcp, free_port, mcp_over_http, mcp_over_stdio
from tests.server.client import unique

MODEL = {"url": "http://m.example/v1", "name": "m"}
DONE = ["post", {"status": "completed", "metrics": {"acc": 0.75}}]
TARGETS = ("model", "agent", "inference_server")


@pytest.fixture
def mcp(live: Live, tmp_path: Path, tenant_name: str) -> Iterator[Mcp]:
    """A session in a tenant of its own, over a pipe."""
    with mcp_over_stdio(tmp_path, EVALHUB_BASE_URL=live.api.url, EVALHUB_TENANT=tenant_name) as session:
        yield session


def by_hand(*programs: list[list[Any]]) -> list[dict[str, Any]]:
    """Return benchmarks whose adapters take these steps."""
    return [{"id": f"b{i}", "provider_id": "by-hand", "parameters": {"steps": steps}} for i, steps in enumerate(programs)]


def submitted(mcp: Mcp, *programs: list[list[Any]]) -> str:
    """Submit an evaluation; return the id of its job."""
    answer = mcp.tool("submit_evaluation", name=unique(), model=MODEL, benchmarks=by_hand(*programs or [[["sleep", 600]]]))
    assert answer["state"] == "pending"
    return str(answer["job_id"])


def ended(mcp: Mcp, job_id: str) -> dict[str, Any]:
    """Ask for the status of a job until all of it has ended."""

    def status() -> dict[str, Any] | None:
        found = mcp.tool("get_job_status", job_id=job_id)
        return found if found["progress_percent"] == 100 else None

    return dict(until(status, "the end of the job"))


def test_it_offers_what_its_documentation_says(mcp: Mcp) -> None:
    assert (mcp.server["name"], mcp.server["version"]) == ("evalhub-mcp", "1.0.2")
    tools = {tool["name"] for tool in mcp.call("tools/list")["tools"]}
    assert tools == {"discover_providers", "submit_evaluation", "get_job_status", "cancel_job"}
    kinds = {"providers", "benchmarks", "collections", "jobs"}
    assert {resource["name"] for resource in mcp.call("resources/list")["resources"]} == kinds | {"server-version"}
    assert {prompt["name"] for prompt in mcp.call("prompts/list")["prompts"]} == {
        "edd_workflow",
        "evaluate_model",
        "compare_runs",
    }
    assert mcp.read("evalhub://server/version")["version"] == "1.0.2"


def test_it_discovers_the_providers_of_the_catalogue(mcp: Mcp) -> None:
    found = {provider["id"]: provider for provider in mcp.tool("discover_providers")["providers"]}
    assert {"lm_evaluation_harness", "lighteval", "garak", "practice", "lm_eval"} <= set(found)
    for name in ("lm_evaluation_harness", "lighteval", "garak"):
        assert found[name]["target_type"] == "model"
        assert all(found[name][member] for member in ("summary", "evaluates", "hints", "result_interpretation"))
        assert set(found[name]["complements"]) <= set(found)


def test_it_discovers_providers_by_target_and_capability(mcp: Mcp) -> None:
    everything = {provider["id"] for provider in mcp.tool("discover_providers")["providers"]}
    by_target = [{p["id"] for p in mcp.tool("discover_providers", target_type=target)["providers"]} for target in TARGETS]
    assert all(by_target)
    assert set.union(*by_target) < everything
    # These are the examples of the tool's own description.
    safe = {p["id"] for p in mcp.tool("discover_providers", evaluates=["safety", "robustness"])["providers"]}
    assert {"garak", "garak-kfp"} <= safe
    assert "guidellm" not in safe


def test_a_submission_is_pending_and_then_its_progress_is_told(mcp: Mcp, tmp_path: Path) -> None:
    path = tmp_path / "go"
    job_id = submitted(mcp, [["post", {"status": "running"}], DONE], [["wait", str(path)], DONE])
    begun = mcp.tool("get_job_status", job_id=job_id)
    assert [row["id"] for row in begun["benchmarks"]] == ["b0", "b1"]

    def half() -> Any:
        found = mcp.tool("get_job_status", job_id=job_id)
        assert found["progress_percent"] in (0, 50)
        return found["progress_percent"] == 50 and found

    midway = until(half, "the end of the first benchmark")
    assert midway["state"] == "running"
    assert {"created_at", "started_at"} <= set(midway)
    path.touch()
    done = ended(mcp, job_id)
    assert (done["state"], [row["status"] for row in done["benchmarks"]]) == ("completed", ["completed", "completed"])
    assert done["benchmarks"][0]["completed_at"]


def test_progress_begins_at_zero(mcp: Mcp) -> None:
    job_id = submitted(mcp)
    status = mcp.tool("get_job_status", job_id=job_id)
    assert status["progress_percent"] == 0
    assert status["state"] in ("pending", "running")
    mcp.tool("cancel_job", job_id=job_id)


def test_every_member_of_a_submission_reaches_the_job(mcp: Mcp) -> None:
    benchmark = by_hand([["sleep", 600]])[0] | {
        "weight": 2,
        "primary_score": {"metric": "acc", "lower_is_better": True},
        "pass_criteria": {"threshold": 0.5},
        "hardware_config": {"cpu": {"request": "1"}, "memory": {"limit": "1Gi"}, "gpu": {"name": "any", "count": 1}},
        "test_data_ref": {"pvc": {"claim_name": "c", "sub_path": "a"}},
    }
    model = MODEL | {
        "auth": {"secret_ref": "file:///nowhere"},
        "parameters": {"temperature": 0},
        "card_url": "http://c.example",
    }
    sent = {"name": unique(), "description": "About it.", "tags": ["one", "two"], "model": model, "benchmarks": [benchmark]}
    job_id = mcp.tool("submit_evaluation", **sent)["job_id"]
    job = mcp.read(f"evalhub://jobs/{job_id}")
    assert {name: job[name] for name in sent} == sent
    # Its key is nowhere, so that it fails by itself, and that may be sooner than it could be cancelled.
    assert ended(mcp, job_id)["state"] == "failed"


def test_a_collection_can_be_submitted(mcp: Mcp) -> None:
    answer = mcp.tool("submit_evaluation", name=unique(), model=MODEL, collection={"id": "practice-v1"})
    job = mcp.read(f"evalhub://jobs/{answer['job_id']}")
    assert (answer["state"], job["collection"]["id"]) == ("pending", "practice-v1")
    mcp.tool("cancel_job", job_id=answer["job_id"])


def test_a_cancelled_job_says_so(mcp: Mcp) -> None:
    job_id = submitted(mcp, [["sleep", 600]], [["sleep", 600]])
    assert mcp.tool("cancel_job", job_id=job_id)["job_id"] == job_id
    status = mcp.tool("get_job_status", job_id=job_id)
    assert (status["state"], status["progress_percent"]) == ("cancelled", 100)
    assert [row["status"] for row in status["benchmarks"]] == ["cancelled", "cancelled"]


def test_refusals_carry_our_sentences(mcp: Mcp) -> None:
    job_id = submitted(mcp, [DONE])
    ended(mcp, job_id)
    assert f"The job {job_id} can not be cancelled because it is 'completed'." in mcp.refused("cancel_job", job_id=job_id)
    for tool in ("cancel_job", "get_job_status"):
        assert "The evaluation job resource 'nothing' was not found." in mcp.refused(tool, job_id="nothing")
    submission: dict[str, Any] = {"name": "j", "model": MODEL}
    absent = [{"id": "nothing", "provider_id": "by-hand"}]
    assert "The benchmark with id 'nothing' does not exist." in mcp.refused(
        "submit_evaluation", **submission, benchmarks=absent
    )
    experiment = {"name": "e", "tags": {"a": "b"}, "artifact_location": "here"}
    said = mcp.refused("submit_evaluation", **submission, benchmarks=by_hand([]), experiment=experiment)
    assert "MLflow is required for experiment tracking." in said


def test_every_list_can_be_read(mcp: Mcp) -> None:
    for kind, one in (("providers", "garak"), ("collections", "practice-v1")):
        listed = mcp.read(f"evalhub://{kind}")
        assert one in [item["resource"]["id"] for item in listed]
        assert mcp.read(f"evalhub://{kind}/{one}") == next(item for item in listed if item["resource"]["id"] == one)
    benchmarks = mcp.read("evalhub://benchmarks")
    assert len(benchmarks) > 200
    assert mcp.read("evalhub://benchmarks/arithmetic") == next(b for b in benchmarks if b["id"] == "arithmetic")
    labelled = mcp.read("evalhub://benchmarks?label=math&label=chat")
    assert "arithmetic" in [benchmark["id"] for benchmark in labelled]
    assert all({"math", "chat"} <= set(benchmark["tags"]) for benchmark in labelled)


def test_jobs_are_read_by_state(mcp: Mcp) -> None:
    assert mcp.read("evalhub://jobs") == []
    waiting, done = submitted(mcp), submitted(mcp, [DONE])
    ended(mcp, done)
    assert [job["resource"]["id"] for job in mcp.read("evalhub://jobs")] == [done, waiting]
    completed = mcp.read("evalhub://jobs?status=completed")
    assert [job["resource"]["id"] for job in completed] == [done]
    assert completed[0]["results"]["benchmarks"][0]["metrics"] == {"acc": 0.75}
    assert completed[0] == mcp.read(f"evalhub://jobs/{done}")
    mcp.tool("cancel_job", job_id=waiting)
    assert [job["resource"]["id"] for job in mcp.read("evalhub://jobs?status=cancelled")] == [waiting]


@pytest.mark.parametrize("kind", ["providers", "benchmarks", "collections", "jobs"])
def test_what_is_not_there_is_not_found(mcp: Mcp, kind: str) -> None:
    assert mcp.ask("resources/read", uri=f"evalhub://{kind}/nothing")["error"]["message"] == "Resource not found"


@pytest.mark.parametrize("application", ["rag", "agent", "safety"])
def test_the_catalogue_has_what_the_prompts_lead_to(mcp: Mcp, application: str) -> None:
    messages = mcp.call("prompts/get", name="edd_workflow", arguments={"application_type": application})["messages"]
    text = "\n".join(message["content"]["text"] for message in messages)
    resources = set(re.findall(r"evalhub://benchmarks\?label=\w+", text))
    assert resources
    assert all(mcp.read(resource) for resource in resources), resources


def test_the_other_prompts_can_be_had(mcp: Mcp) -> None:
    url = {"model_url": "http://m.example/v1", "benchmark_preferences": "safety"}
    asked = mcp.call("prompts/get", name="evaluate_model", arguments=url)
    assert "http://m.example/v1" in asked["messages"][0]["content"]["text"]
    first, second = submitted(mcp, [DONE]), submitted(mcp, [DONE])
    compared = mcp.call("prompts/get", name="compare_runs", arguments={"job_ids": f"{first},{second}"})
    assert second in "".join(message["content"]["text"] for message in compared["messages"])


def test_arguments_are_completed_from_what_the_server_has(mcp: Mcp) -> None:
    job_id = submitted(mcp)

    def completed(uri: str, argument: str, begun: str) -> list[str]:
        reference = {"type": "ref/resource", "uri": uri}
        answer = mcp.call("completion/complete", ref=reference, argument={"name": argument, "value": begun})
        return list(answer["completion"]["values"])

    assert completed("evalhub://jobs/{id}", "id", "") == [job_id]
    assert completed("evalhub://providers/{id}", "id", "gar") == ["garak", "garak-kfp"]
    assert completed("evalhub://collections/{id}", "id", "prac") == ["practice-v1"]
    assert completed("evalhub://benchmarks/{id}", "id", "arith") == ["arithmetic"]
    assert "math" in completed("evalhub://benchmarks{?label*}", "label", "ma")
    assert completed("evalhub://jobs{?status}", "status", "c") == ["completed", "cancelled"]
    mcp.tool("cancel_job", job_id=job_id)


def test_without_a_tenant_it_sees_the_catalogue_and_jobs_without_one(mcp: Mcp, live: Live, tmp_path: Path) -> None:
    mine = submitted(mcp)
    with mcp_over_stdio(tmp_path, EVALHUB_BASE_URL=live.api.url, EVALHUB_TOKEN="anything") as other:
        job_id = submitted(other)
        assert "garak" in [provider["id"] for provider in other.tool("discover_providers")["providers"]]
        listed = {job["resource"]["id"] for job in other.read("evalhub://jobs?status=running")}
        listed |= {job["resource"]["id"] for job in other.read("evalhub://jobs?status=pending")}
        assert job_id in listed
        assert mine not in listed
        other.tool("cancel_job", job_id=job_id)
    mcp.tool("cancel_job", job_id=mine)


def test_it_does_the_same_over_http_when_the_command_line_starts_it(live: Live, tmp_path: Path, tenant_name: str) -> None:
    evalhub, port = Evalhub(tmp_path), free_port()
    settings = tmp_path / "mcp.yaml"
    settings.write_text(yaml.safe_dump({"transport": "http", "host": "127.0.0.1", "port": port}))
    for key, value in (("base_url", live.api.url), ("tenant", tenant_name), ("mcp_config_file", str(settings))):
        evalhub("config", "set", key, value)
    evalhub("mcp", "start")
    try:
        url = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{url}/health", timeout=20) as answer:
            assert answer.status == 200
        assert "Name:    evalhub-mcp" in evalhub("mcp", "status").out
        mcp = mcp_over_http(url)
        assert "garak" in [provider["id"] for provider in mcp.tool("discover_providers")["providers"]]
        job_id = submitted(mcp, [DONE])
        assert ended(mcp, job_id)["state"] == "completed"
        assert mcp.read("evalhub://jobs")[0]["resource"]["tenant"] == tenant_name
    finally:
        evalhub("mcp", "stop")
