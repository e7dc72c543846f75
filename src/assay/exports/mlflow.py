"""The part of MLflow's REST API that Assay uses itself: experiments for jobs, runs for evaluation cards.

MLflow's own library is not imported: it is large, and it would block the event loop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from yarl import URL

from assay.exports.remote import Answer, Remote, RemoteFailed
from assay.gateway.errors import CredentialError
from assay.gateway.mlflow_proxy import WORKSPACE_HEADER
from assay.gateway.mlflow_server import MlflowServer

_EXISTS = "RESOURCE_ALREADY_EXISTS"
_MISSING = "RESOURCE_DOES_NOT_EXIST"
_AT_ONCE = {"metrics": 1000, "params": 100}
"""How many of each MLflow takes in one call."""
_LONGEST_REASON = 300


class _Refused(RemoteFailed):
    """MLflow answered with an error. `code` is its own, empty when it gave none."""

    def __init__(self, text: str, status: int, code: str) -> None:
        super().__init__(text, lasting=status in (400, 404))
        self.status, self.code = status, code


@dataclass(frozen=True)
class Experiment:
    """An experiment: its id, where people see it, and the workspace it is in (empty where MLflow has none)."""

    id: str
    url: str
    workspace: str


class Mlflow:
    """Calls to an MLflow server on behalf of a tenant. Use as a context manager; everything raises RemoteFailed."""

    def __init__(self, server: MlflowServer, tenant: str) -> None:
        self._server = server
        self._wanted = tenant or server.workspace
        self._remote = Remote("the MLflow server", ca_cert=server.ca_cert, timeout_s=server.timeout_s)
        self._workspace = ""

    async def __aenter__(self) -> Mlflow:
        await self._remote.__aenter__()
        try:
            await self._enter_workspace()
        except BaseException:
            await self._remote.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._remote.__aexit__(kind, error, trace)

    async def experiment(self, name: str, tags: Sequence[Mapping[str, str]], artifact_location: str) -> Experiment:
        """Return the experiment of that name; make it, with tags and location, where there is none."""
        found = await self._experiment(name)
        if found is None:
            wanted: dict[str, Any] = {"name": name, "tags": list(tags)}
            if artifact_location:
                wanted["artifact_location"] = artifact_location
            try:
                created = await self._call("POST", "/api/2.0/mlflow/experiments/create", wanted)
                return self._seen(str(created["experiment_id"]))
            except _Refused as refusal:
                if refusal.code != _EXISTS:
                    raise
            found = await self._experiment(name)  # somebody made it in the meantime
        if found is None or found.get("lifecycle_stage") == "deleted":
            text = f"the experiment '{name}' has been deleted in MLflow; restore it there, or choose another name"
            raise RemoteFailed(text, lasting=True)
        return self._seen(str(found["experiment_id"]))

    async def run_of(self, experiment_id: str, tags: Mapping[str, str], name: str, began_ms: int) -> Mapping[str, Any]:
        """Return the run of an experiment that has these tags; make it, with that name, where there is none."""
        conditions = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
        asked = {"experiment_ids": [experiment_id], "filter": conditions, "max_results": 1}
        found = (await self._call("POST", "/api/2.0/mlflow/runs/search", asked)).get("runs")
        if found:
            return found[0]["info"]  # type: ignore[no-any-return]
        new = {
            "experiment_id": experiment_id,
            "run_name": name,
            "start_time": began_ms,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        made = await self._call("POST", "/api/2.0/mlflow/runs/create", new)
        return made["run"]["info"]  # type: ignore[no-any-return]

    async def log(self, run_id: str, kind: str, entries: Sequence[Mapping[str, Any]]) -> None:
        """Add `metrics` or `params` to a run; adding the same again changes nothing."""
        most = _AT_ONCE[kind]
        for first in range(0, len(entries), most):
            batch = {"run_id": run_id, kind: list(entries[first : first + most])}
            await self._call("POST", "/api/2.0/mlflow/runs/log-batch", batch)

    async def put_artifact(self, run: Mapping[str, Any], name: str, content: bytes) -> None:
        """Store `content` (JSON) as an artifact of a run, wherever the experiment keeps its artifacts."""
        location = urlsplit(run["artifact_uri"])
        if location.scheme == "mlflow-artifacts":
            path = f"/api/2.0/mlflow-artifacts/artifacts/{location.path.strip('/')}/{name}"
            await self._send("PUT", path, content)
        else:  # a bucket or a folder: only the MLflow server itself can write there
            query = f"?run_uuid={quote(run['run_id'], safe='')}&path={quote(name, safe='')}"
            await self._send("POST", f"/ajax-api/2.0/mlflow/upload-artifact{query}", content)

    async def end(self, run_id: str, status: str, ended_ms: int) -> None:
        """Say how a run ended: FINISHED, FAILED or KILLED."""
        await self._call("POST", "/api/2.0/mlflow/runs/update", {"run_id": run_id, "status": status, "end_time": ended_ms})

    async def _experiment(self, name: str) -> Mapping[str, Any] | None:
        path = f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={quote(name, safe='')}"
        try:
            return (await self._call("GET", path))["experiment"]  # type: ignore[no-any-return]
        except _Refused as refusal:
            if refusal.status == 404 and refusal.code == _MISSING:
                return None
            raise

    def _seen(self, experiment_id: str) -> Experiment:
        return Experiment(experiment_id, f"{self._server.url}/#/experiments/{experiment_id}", self._workspace)

    async def _enter_workspace(self) -> None:
        """Choose the workspace where the server has them, and make it where it is missing."""
        if not self._wanted:
            return
        try:
            info = await self._call("GET", "/api/3.0/mlflow/server-info")
        except _Refused as refusal:
            if refusal.status != 404:
                raise
            return  # a server of a version that knows no workspaces
        if not info.get("workspaces_enabled"):
            return
        try:
            await self._call("GET", f"/api/3.0/mlflow/workspaces/{quote(self._wanted, safe='')}")
        except _Refused as refusal:
            if refusal.code != _MISSING:
                raise
            try:
                await self._call("POST", "/api/3.0/mlflow/workspaces", {"name": self._wanted})
            except _Refused as second:
                if second.code != _EXISTS:
                    raise
        self._workspace = self._wanted

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = await self._send(method, path, None if body is None else msgspec.json.encode(body))
        try:
            decoded = msgspec.json.decode(answer.body)
        except msgspec.DecodeError:
            decoded = None
        if not isinstance(decoded, dict):
            text = f"{self._server.url} does not answer like an MLflow server; check the setting mlflow_tracking_uri"
            raise RemoteFailed(text)
        return decoded

    async def _send(self, method: str, path: str, body: bytes | None) -> Answer:
        try:
            headers = self._server.credential().headers()
        except CredentialError as error:
            raise RemoteFailed(str(error)) from None
        if self._workspace:
            headers[WORKSPACE_HEADER] = self._workspace
        if body is not None:
            headers["Content-Type"] = "application/json"
        answer = await self._remote.send(method, URL(self._server.url + path, encoded=True), headers=headers, body=body)
        if answer.status >= 400:
            raise _refusal(answer)
        return answer


def _refusal(answer: Answer) -> _Refused:
    """Return the error in an answer, with no more of its text than people can use: MLflow's may hold SQL."""
    try:
        told = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        told = None
    told = told if isinstance(told, dict) else {}
    code = told.get("error_code") if isinstance(told.get("error_code"), str) else ""
    message = told.get("message") if isinstance(told.get("message"), str) else ""
    reason = re.split(r"\n|\bError: \(", message or "")[0].strip()[:_LONGEST_REASON]
    text = f"MLflow answered {answer.status}"
    if reason or code:
        text += f": {reason or code}"
    elif answer.status in (401, 403):
        text += "; check the settings mlflow_token and mlflow_token_file"
    return _Refused(text, answer.status, code or "")
