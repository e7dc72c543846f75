"""When a job has ended its evaluation card goes to MLflow, without anybody waiting for it, and however often it takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.evalhub.live import until
from tests.exports.conftest import TOKEN
from tests.exports.front_door import FrontDoor
from tests.exports.mlflow_server import MlflowUnderTest
from tests.server.client import JOBS, Api, unique
from tests.server.serving import Served
from tests.system.deployment import Deployment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow")]
FIGURES = {"acc": 0.75, "acc,none": 0.5, "note": "text", "ok": True}


def export_of(api: Api, job_id: str) -> dict[str, Any]:
    """Return what a job says of its card."""
    return dict(api.job(job_id)["results"]["mlflow"])


def exported(api: Api, job_id: str) -> str:
    """Wait until a card has been exported; return the MLflow run that it became."""

    def run_id() -> str:
        export = export_of(api, job_id)
        assert export["status"]["state"] != "failed", export
        return str(export.get("evaluation_card", {}).get("run_id", ""))

    return str(until(run_id, "the card"))


def run_of(mlflow: MlflowUnderTest, run_id: str) -> dict[str, Any]:
    return dict(mlflow.ask(f"/api/2.0/mlflow/runs/get?run_id={run_id}")["run"])


def submit(api: Api, **members: Any) -> str:
    benchmarks = [{"id": "judged", "provider_id": "scored", "parameters": {"num_examples": 5}, "weight": 2}]
    return api.submit(**{"experiment": {"name": unique("cards")}, "benchmarks": benchmarks} | members)


def finish(api: Api, job_id: str, status: str = "completed", **members: Any) -> None:
    reply = api.report(job_id, status, provider="scored", benchmark="judged", **members)
    assert reply.status == 204, reply.text


def test_the_card_says_what_was_evaluated_and_what_came_of_it(api: Api, mlflow: MlflowUnderTest) -> None:
    model = {"url": "http://m.example/v1", "name": "m", "card_url": "http://cards.example/m", "auth": {"secret_ref": "s"}}
    job_id = submit(api, name="the job", model=model)
    finish(api, job_id, metrics=FIGURES, artifacts={"a": 1}, mlflow_run_id="r1")
    run_id = exported(api, job_id)
    card = json.loads(mlflow.artifact(run_id, "evaluation-card.json"))
    resource = api.job(job_id)["resource"]
    times = {"created_at": resource["created_at"], "updated_at": resource["updated_at"]}
    schema = [{"name": name, "type": "numeric"} for name in FIGURES]
    assert card == {
        "card_version": "1.0",
        "schema_version": "1.0",
        "metadata": {"evaluation_job_id": job_id, **times},
        "context": {
            "model": {"url": "http://m.example/v1", "name": "m", "model_card_url": "http://cards.example/m"},
            "benchmarks": [{"id": "judged", "provider_id": "scored", "parameters": {"num_examples": 5}, "weight": 2}],
        },
        "results": {
            "status": {
                "state": "completed",
                "message": {
                    "message": "Evaluation job is completed",
                    "message_code": "evaluation_job_updated",
                    "message_origin": "server",
                },
            },
            "benchmarks": [
                {
                    "id": "judged",
                    "provider_id": "scored",
                    "status": "completed",
                    "metrics": FIGURES,
                    "metrics_schema": schema,
                    "artifacts": {"a": 1},
                    "mlflow_run_id": "r1",
                    "test": {"primary_score": "0.75", "threshold": "0.5", "pass": True},
                }
            ],
        },
    }


def test_the_cards_run_holds_the_figures(api: Api, mlflow: MlflowUnderTest) -> None:
    job_id = submit(api, name="the job")
    finish(api, job_id, metrics=FIGURES)
    run = run_of(mlflow, exported(api, job_id))
    assert (run["info"]["run_name"], run["info"]["status"]) == ("the job", "FINISHED")
    assert {metric["key"]: metric["value"] for metric in run["data"]["metrics"]} == {
        "judged/acc": 0.75,
        "judged/acc_none": 0.5,
    }
    assert {param["key"]: param["value"] for param in run["data"]["params"]} == {
        "model_name": "m",
        "model_url": "http://m.example/v1",
    }
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert (tags["evaluation_job_id"], tags["context"]) == (job_id, "eval-hub")


def test_the_outcome_is_in_the_jobs_history_and_changes_its_etag(api: Api) -> None:
    job_id = submit(api)
    before = api.get(f"{JOBS}/{job_id}").headers["etag"]
    assert export_of(api, job_id)["status"]["state"] == "pending"
    finish(api, job_id, metrics={"acc": 1})
    exported(api, job_id)
    assert export_of(api, job_id)["status"]["message"]["message_code"] == "evaluation_card_exported"
    assert api.get(f"{JOBS}/{job_id}").headers["etag"] != before
    types = [event["type"] for event in api.get(f"{JOBS}/{job_id}/history").json["items"]]
    assert types[-1] == "job.card_exported"


@pytest.mark.parametrize(("ending", "status"), [("failed", "FAILED"), ("cancelled", "KILLED")])
def test_jobs_that_end_otherwise_have_cards_too(api: Api, mlflow: MlflowUnderTest, ending: str, status: str) -> None:
    job_id = submit(api)
    if ending == "failed":
        finish(api, job_id, "failed", error_message={"message": "no data", "message_code": "c"})
    else:
        assert api.delete(f"{JOBS}/{job_id}").status == 204
    run_id = exported(api, job_id)
    assert run_of(mlflow, run_id)["info"]["status"] == status
    card = json.loads(mlflow.artifact(run_id, "evaluation-card.json"))
    assert card["results"]["status"]["state"] == ending
    assert card["results"]["benchmarks"][0]["error_message"]["message"] in ("no data", "Evaluation job cancelled")


def test_a_card_goes_where_only_mlflow_can_write(api: Api, mlflow: MlflowUnderTest, tmp_path: Path) -> None:
    job_id = submit(api, experiment={"name": unique("folder"), "artifact_location": str(tmp_path / "artifacts")})
    finish(api, job_id, metrics={"acc": 1})
    exported(api, job_id)
    (card,) = (tmp_path / "artifacts").rglob("evaluation-card.json")
    assert json.loads(card.read_text())["metadata"]["evaluation_job_id"] == job_id


def test_the_card_of_a_collections_job_names_the_collection_and_its_score(api: Api, mlflow: MlflowUnderTest) -> None:
    benchmarks = [{"id": "judged", "provider_id": "scored", "weight": 1}]
    body = {"name": unique("c"), "category": "general", "benchmarks": benchmarks, "pass_criteria": {"threshold": 0.7}}
    collection = api.post("/api/v1/evaluations/collections", body).json["resource"]["id"]
    job_id = api.post(
        JOBS,
        {
            "name": "j",
            "model": {"url": "http://m.example/v1", "name": "m"},
            "collection": {"id": collection},
            "experiment": {"name": unique("cards")},
        },
    ).json["resource"]["id"]
    finish(api, job_id, metrics={"acc": 0.75})
    card = json.loads(mlflow.artifact(exported(api, job_id), "evaluation-card.json"))
    assert card["context"]["collection_id"] == collection
    assert "benchmarks" not in card["context"]
    assert card["results"]["collection"] == {"test": {"score": 0.75, "threshold": 0.7, "pass": True}}


class TestWhileMlflowIsAway:
    """The last report is answered at once, and the card follows when MLflow is back."""

    @pytest.fixture
    def served(self, serve: Callable[..., Served], door: FrontDoor) -> Served:
        return serve(ASSAY_MLFLOW_TRACKING_URI=door.url, ASSAY_MLFLOW_TOKEN=TOKEN)

    @pytest.fixture
    def waiting(self, served: Served, door: FrontDoor) -> Any:
        """A job that has ended, whose card has been refused once."""
        job_id = submit(served.api)
        door.shut = True
        try:
            finish(served.api, job_id, metrics={"acc": 1})
            until(lambda: "Attempt " in export_of(served.api, job_id)["status"]["message"]["message"], "an attempt")
            yield job_id
        finally:
            door.shut = False

    def test_the_job_says_that_its_card_waits(self, served: Served, waiting: str) -> None:
        assert served.api.job(waiting)["status"]["state"] == "completed"
        status = export_of(served.api, waiting)["status"]
        assert (status["state"], status["message"]["message_code"]) == ("pending", "evaluation_card_pending")
        assert "to export the evaluation card failed, another follows: MLflow answered 503" in status["message"]["message"]

    def test_it_is_exported_when_mlflow_is_back(self, served: Served, waiting: str, door: FrontDoor) -> None:
        door.shut = False
        exported(served.api, waiting)

    def test_it_survives_the_server(
        self, tmp_path: Path, catalogue_folder: Path, door: FrontDoor, mlflow: MlflowUnderTest
    ) -> None:
        settings = {"ASSAY_MLFLOW_TRACKING_URI": door.url, "ASSAY_MLFLOW_TOKEN": TOKEN}
        server = Deployment(tmp_path / "data", "--no-worker", "--catalog", str(catalogue_folder), environment=settings)
        try:
            server.start()
            api = Api(server.url)
            job_id = submit(api)
            door.shut = True
            finish(api, job_id, metrics={"acc": 1})
            until(lambda: "Attempt " in export_of(api, job_id)["status"]["message"]["message"], "an attempt")
            server.kill()
            door.shut = False
            server.start()
            api = Api(server.url)
            run_id = exported(api, job_id)
            runs = mlflow.runs(api.job(job_id)["resource"]["mlflow_experiment_id"])
            assert [run["info"]["run_id"] for run in runs] == [run_id]
        finally:
            door.shut = False
            server.stop()


def test_a_card_that_cannot_be_exported_is_given_up_with_a_reason(api: Api, mlflow: MlflowUnderTest) -> None:
    job_id = submit(api)
    experiment_id = api.job(job_id)["resource"]["mlflow_experiment_id"]
    mlflow.ask("/api/2.0/mlflow/experiments/delete", {"experiment_id": experiment_id})
    finish(api, job_id, metrics={"acc": 1})
    status = until(lambda: (found := export_of(api, job_id)["status"])["state"] == "failed" and found, "the refusal")
    assert status["message"]["message_code"] == "evaluation_card_failed"
    assert "must be in the 'active' state" in status["message"]["message"]


def test_a_deleted_job_leaves_no_card_behind(api: Api, door: FrontDoor, mlflow: MlflowUnderTest) -> None:
    job_id = submit(api)
    door.shut = True
    try:
        finish(api, job_id, metrics={"acc": 1})
        assert api.delete(f"{JOBS}/{job_id}?hard_delete=true").status == 204
    finally:
        door.shut = False
    other = submit(api)
    finish(api, other, metrics={"acc": 1})
    exported(api, other)
    assert api.get(f"{JOBS}/{job_id}").status == 404
