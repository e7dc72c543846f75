"""Evaluation cards go to an OCI registry where a job names one."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from evalhub.models.api import EvaluationJob

from tests.evalhub.live import until
from tests.exports.front_door import front_door
from tests.exports.registry import PASSWORD, USER, RegistryUnderTest, registry
from tests.server.client import JOBS, Api
from tests.server.serving import Served

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("registry")]
CARD = "application/vnd.eval-hub.evaluation-card.v1+json"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryUnderTest]:
    """A registry that wants user and password."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def docker_config(path: Path, host: str, password: str = PASSWORD) -> Path:
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"auths": {f"http://{host}": {"auth": auth}}}))
    return path


def ended(api: Api, coordinates: dict[str, Any], **oci: Any) -> str:
    """Submit a job with an export to a registry and end it; return its id."""
    job_id = api.submit(exports={"oci": {"coordinates": coordinates} | oci})
    assert api.report(job_id, "completed", metrics={"acc": 0.75}).status == 204
    return job_id


def settled(api: Api, job_id: str, *states: str) -> dict[str, Any]:
    """Return what a job says of its card once that is in one of `states`."""

    def found() -> dict[str, Any] | None:
        oci = api.job(job_id)["results"]["oci"]
        return oci if oci["status"]["state"] in states else None

    return dict(until(found, f"a card that is {states}"))


def attempted(api: Api, job_id: str) -> str:
    """Return what a job says of its card once an attempt to export it has failed."""

    def message() -> str | None:
        text = str(api.job(job_id)["results"]["oci"]["status"]["message"]["message"])
        return text if "Attempt " in text else None

    return str(until(message, "an attempt"))


def test_the_card_is_an_artifact_with_its_own_tag(
    serve: Callable[..., Served], guarded: RegistryUnderTest, tmp_path: Path
) -> None:
    file = docker_config(tmp_path / "docker" / "config.json", guarded.host)
    api = serve(ASSAY_OCI_AUTH_CONFIG_FILE=str(file)).api
    host = f"http://{guarded.host}"
    coordinates = {"oci_host": host, "oci_repository": "team/cards", "oci_tag": "v1", "annotations": {"a": "b"}}
    job_id = ended(api, coordinates)
    card = settled(api, job_id, "completed", "failed")["evaluation_card"]
    tag = f"v1-{job_id}"
    manifest = guarded.manifest("team/cards", tag)
    assert card["oci_reference"] == f"{guarded.host}/team/cards:{tag}@{card['oci_digest']}"
    assert guarded.manifest("team/cards", card["oci_digest"]) == manifest
    assert manifest["annotations"] == {"a": "b", "evaluation_job_id": job_id, "org.opencontainers.image.title": tag}
    config, (layer,) = manifest["config"], manifest["layers"]
    assert config["mediaType"] == "application/vnd.oci.artifact.config.v1+json"
    assert config["annotations"]["org.opencontainers.image.title"] == f"evaluation-card-{job_id}-config.json"
    assert guarded.blob("team/cards", config["digest"]) == {"evaluation_job_id": job_id}
    assert layer["mediaType"] == CARD
    assert layer["annotations"] == {
        "evaluation_job_id": job_id,
        "org.opencontainers.image.title": f"evaluation-card-{job_id}.json",
    }
    content = guarded.get(f"team/cards/blobs/{layer['digest']}")
    assert layer["digest"] == "sha256:" + hashlib.sha256(content).hexdigest()
    assert json.loads(content)["results"]["benchmarks"][0]["metrics"] == {"acc": 0.75}


def test_the_sdk_reads_what_became_of_the_card(
    serve: Callable[..., Served], guarded: RegistryUnderTest, tmp_path: Path
) -> None:
    file = docker_config(tmp_path / "docker" / "config.json", guarded.host)
    api = serve(ASSAY_OCI_AUTH_CONFIG_FILE=str(file)).api
    job_id = ended(api, {"oci_host": f"http://{guarded.host}", "oci_repository": "cards"})
    settled(api, job_id, "completed", "failed")
    oci = EvaluationJob.model_validate(api.job(job_id)).results.oci
    assert oci.status.state == "completed"
    assert oci.evaluation_card.oci_reference.startswith(f"{guarded.host}/cards:evaluation-card-{job_id}@sha256:")


def test_the_connection_of_a_job_is_a_secret(
    serve: Callable[..., Served], guarded: RegistryUnderTest, tmp_path: Path
) -> None:
    docker_config(tmp_path / "secrets" / "team-registry" / ".dockerconfigjson", guarded.host)
    api = serve(ASSAY_SECRETS_DIR=str(tmp_path / "secrets")).api
    coordinates = {"oci_host": f"http://{guarded.host}", "oci_repository": "cards"}
    settled(api, ended(api, coordinates, k8s={"connection": "team-registry"}), "completed")
    assert "wants a key" in attempted(api, ended(api, coordinates, k8s={"connection": "other"}))


def test_a_wrong_password_is_told_and_tried_again_once_it_is_right(
    serve: Callable[..., Served], guarded: RegistryUnderTest, tmp_path: Path
) -> None:
    file = docker_config(tmp_path / "docker" / "config.json", guarded.host, "wrong-password")
    served = serve(ASSAY_OCI_AUTH_CONFIG_FILE=str(file))
    job_id = ended(served.api, {"oci_host": f"http://{guarded.host}", "oci_repository": "cards"})
    message = attempted(served.api, job_id)
    assert "it answered 401; check the key in the file of the setting oci_auth_config_file" in message
    docker_config(file, guarded.host)
    settled(served.api, job_id, "completed")
    assert "wrong-password" not in served.log.read_text() + message


def test_a_registry_with_a_token_server_gets_a_token(serve: Callable[..., Served], tmp_path: Path) -> None:
    with (
        registry(tmp_path / "registry", guarded=False) as inner,
        front_door(f"http://{inner.host}", "registry-token", f"{USER}:{PASSWORD}") as door,
    ):
        host = door.url.removeprefix("http://")
        file = docker_config(tmp_path / "docker" / "config.json", host)
        api = serve(ASSAY_OCI_AUTH_CONFIG_FILE=str(file)).api
        job_id = ended(api, {"oci_host": door.url, "oci_repository": "cards"})
        settled(api, job_id, "completed", "failed")
        assert inner.manifest("cards", f"evaluation-card-{job_id}")
        asked = [passed.path for passed in door.seen if passed.path.startswith("/token")]
        assert asked == ["/token?scope=repository:cards:pull,push&service=door"]
        basic = [passed.path for passed in door.seen if passed.headers.get("authorization", "").startswith("Basic")]
        assert basic == asked


@pytest.mark.parametrize(
    ("coordinates", "reason"),
    [
        ({"oci_host": "http://127.0.0.1:1/x", "oci_repository": "cards"}, "oci_host must be a host"),
        ({"oci_host": "127.0.0.1:1", "oci_repository": "../cards"}, "oci_repository must be a name"),
        ({"oci_host": "127.0.0.1:1", "oci_repository": "cards", "oci_tag": "a b"}, "cannot be a tag"),
    ],
)
def test_coordinates_that_no_registry_takes_are_given_up(
    serve: Callable[..., Served], coordinates: dict[str, Any], reason: str
) -> None:
    api = serve().api
    status = settled(api, ended(api, coordinates), "failed")["status"]
    assert status["message"]["message_code"] == "evaluation_card_failed"
    assert reason in status["message"]["message"]


def test_a_job_without_a_registry_says_nothing_of_one(serve: Callable[..., Served]) -> None:
    api = serve().api
    job_id = api.submit()
    assert api.report(job_id, "completed", metrics={"acc": 1}).status == 204
    assert set(api.get(f"{JOBS}/{job_id}").json["results"]) == {"benchmarks"}
