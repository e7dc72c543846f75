"""A job with an experiment gets one at MLflow when it is submitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.exports.conftest import TOKEN
from tests.exports.front_door import FrontDoor, front_door
from tests.exports.mlflow_server import MlflowUnderTest, mlflow_server
from tests.server.client import JOBS, Api, Reply, job_body, unique
from tests.server.serving import Served

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow")]


def submit(api: Api, experiment: dict[str, Any], **members: Any) -> Reply:
    return api.post(JOBS, job_body(experiment=experiment, **members))


def refused(reply: Reply) -> str:
    assert (reply.status, reply.code) == (400, "mlflow_request_failed")
    assert reply.message.startswith("The MLflow request failed: '")
    assert reply.message.endswith("'. Please check the MLflow configuration and try again.")
    assert TOKEN not in reply.text
    return reply.message


def test_a_submission_makes_the_experiment_with_its_tags(api: Api, mlflow: MlflowUnderTest, door: FrontDoor) -> None:
    name = unique("experiment")
    asked = {"name": name, "tags": [{"key": "env", "value": "test"}]}
    reply = submit(api, asked, name="the job", description="what it is for")
    assert reply.status == 202, reply.text
    found = mlflow.experiment(name)
    resource = reply.json["resource"]
    assert resource["mlflow_experiment_id"] == found["experiment_id"]
    assert reply.json["results"]["mlflow_experiment_url"] == f"{door.url}/#/experiments/{found['experiment_id']}"
    assert reply.json["experiment"] == asked
    told = {key: found["tags"][key] for key in ("env", "context", "evaluation_job_name", "evaluation_job_description")}
    assert told == {
        "env": "test",
        "context": "eval-hub",
        "evaluation_job_name": "the job",
        "evaluation_job_description": "what it is for",
    }
    assert found["tags"]["evaluation_job_id"] == resource["id"]
    later = api.job(resource["id"])
    assert later["resource"]["mlflow_experiment_id"] == found["experiment_id"]
    assert later["results"]["mlflow_experiment_url"] == reply.json["results"]["mlflow_experiment_url"]


def test_jobs_of_one_experiment_are_found_by_it(api: Api, mlflow: MlflowUnderTest) -> None:
    name = unique("experiment")
    ids = {submit(api, {"name": name}).json["resource"]["id"] for _ in range(2)}
    submit(api, {"name": unique("other")})
    experiment_id = mlflow.experiment(name)["experiment_id"]
    page = api.get(f"{JOBS}?experiment_id={experiment_id}").json
    assert {job["resource"]["id"] for job in page["items"]} == ids
    assert page["total_count"] == 2


def test_submissions_at_the_same_time_share_one_new_experiment(api: Api, mlflow: MlflowUnderTest) -> None:
    name = unique("race")
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: submit(api, {"name": name}), range(8)))
    assert {reply.status for reply in replies} == {202}
    found = {reply.json["resource"]["mlflow_experiment_id"] for reply in replies}
    assert found == {mlflow.experiment(name)["experiment_id"]}


def test_a_deleted_experiment_is_not_brought_back(api: Api, mlflow: MlflowUnderTest) -> None:
    name = unique("deleted")
    submit(api, {"name": name})
    mlflow.ask("/api/2.0/mlflow/experiments/delete", {"experiment_id": mlflow.experiment(name)["experiment_id"]})
    message = refused(submit(api, {"name": name}))
    assert f"the experiment '{name}' has been deleted in MLflow; restore it there, or choose another name" in message


def test_artifacts_are_kept_where_the_experiment_says(api: Api, mlflow: MlflowUnderTest, tmp_path: Path) -> None:
    name = unique("located")
    assert submit(api, {"name": name, "artifact_location": "mlflow-artifacts:/team/cards"}).status == 202
    assert mlflow.experiment(name)["artifact_location"] == "mlflow-artifacts:/team/cards"


def test_a_job_that_cannot_be_planned_makes_no_experiment(api: Api, door: FrontDoor) -> None:
    door.seen.clear()
    reply = submit(api, {"name": unique("never")}, benchmarks=[{"id": "no-such", "provider_id": "manual"}])
    assert (reply.status, reply.code) == (400, "resource_does_not_exist")
    assert door.seen == []


def test_a_rerun_belongs_to_the_same_experiment(api: Api) -> None:
    first = submit(api, {"name": unique("again")}).json
    again = api.post(f"{JOBS}/{first['resource']['id']}/rerun", {}).json
    assert again["resource"]["mlflow_experiment_id"] == first["resource"]["mlflow_experiment_id"]
    assert again["results"]["mlflow_experiment_url"] == first["results"]["mlflow_experiment_url"]
    assert again["results"]["mlflow"]["status"]["state"] == "pending"


def test_without_an_mlflow_server_an_experiment_is_refused(serve: Callable[..., Served]) -> None:
    reply = submit(serve().api, {"name": "e"})
    assert (reply.status, reply.code) == (400, "mlflow_required_for_experiment")


def test_while_mlflow_is_away_nothing_is_submitted(serve: Callable[..., Served], door: FrontDoor) -> None:
    api = serve(ASSAY_MLFLOW_TRACKING_URI=door.url, ASSAY_MLFLOW_TOKEN=TOKEN).api
    door.shut = True
    try:
        assert "MLflow answered 503" in refused(submit(api, {"name": "e"}))
    finally:
        door.shut = False
    assert api.get(JOBS).json["total_count"] == 0


def test_an_address_without_a_server_is_named(serve: Callable[..., Served]) -> None:
    message = refused(submit(serve(ASSAY_MLFLOW_TRACKING_URI="http://127.0.0.1:1").api, {"name": "e"}))
    assert "the MLflow server at http://127.0.0.1:1 did not answer: the connection was refused" in message


def test_a_wrong_token_is_told_apart_and_not_shown(serve: Callable[..., Served], door: FrontDoor) -> None:
    served = serve(ASSAY_MLFLOW_TRACKING_URI=door.url, ASSAY_MLFLOW_TOKEN="wrong-" + TOKEN)
    message = refused(submit(served.api, {"name": "e"}))
    assert "MLflow answered 401; check the settings mlflow_token and mlflow_token_file" in message
    assert TOKEN not in served.log.read_text()


def test_the_token_file_counts_more_and_is_read_each_time(
    serve: Callable[..., Served], door: FrontDoor, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    api = serve(ASSAY_MLFLOW_TRACKING_URI=door.url, ASSAY_MLFLOW_TOKEN="stale", ASSAY_MLFLOW_TOKEN_FILE=str(file)).api
    assert f"The file {file} of mlflow_token_file cannot be read" in refused(submit(api, {"name": "e"}))
    file.write_text(f"{TOKEN}\n")
    assert submit(api, {"name": unique("by-file")}).status == 202
    file.write_text("another\n")
    assert "MLflow answered 401" in refused(submit(api, {"name": "e"}))


def test_a_redirect_is_not_followed(serve: Callable[..., Served], mlflow: MlflowUnderTest) -> None:
    with front_door(mlflow.url) as target, front_door(mlflow.url) as redirecting:
        redirecting.elsewhere = target.url
        api = serve(ASSAY_MLFLOW_TRACKING_URI=redirecting.url, ASSAY_MLFLOW_TOKEN=TOKEN).api
        message = refused(submit(api, {"name": "e"}))
        assert f"redirects to {target.url}, which is not followed" in message
        assert target.seen == []


def test_a_server_that_is_no_mlflow_is_recognised(serve: Callable[..., Served], api: Api) -> None:
    message = refused(submit(serve(ASSAY_MLFLOW_TRACKING_URI=f"{api.url}/docs").api, {"name": "e"}))
    assert "404" in message


@pytest.fixture(scope="module")
def spacious(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowUnderTest]:
    with mlflow_server(tmp_path_factory.mktemp("spacious"), "--enable-workspaces") as running:
        yield running


def test_a_tenant_has_the_workspace_of_its_name(serve: Callable[..., Served], spacious: MlflowUnderTest) -> None:
    api = serve(ASSAY_MLFLOW_TRACKING_URI=spacious.url, ASSAY_MLFLOW_WORKSPACE="everybody").api
    for workspace, caller in (("team-a", api.as_(x_tenant="team-a")), ("everybody", api)):
        for _ in range(2):
            reply = submit(caller, {"name": "shared name"})
            assert reply.status == 202, reply.text
        inside = MlflowUnderTest(spacious.url, {"X-MLFLOW-WORKSPACE": workspace})
        assert inside.experiment("shared name")["experiment_id"] == reply.json["resource"]["mlflow_experiment_id"]


def test_what_mlflow_refuses_is_passed_on_in_its_words(serve: Callable[..., Served], spacious: MlflowUnderTest) -> None:
    api = serve(ASSAY_MLFLOW_TRACKING_URI=spacious.url).api.as_(x_tenant="team-b")
    message = refused(submit(api, {"name": "located", "artifact_location": "mlflow-artifacts:/x"}))
    assert "MLflow answered 400: artifact_location cannot be specified when workspaces are enabled" in message
