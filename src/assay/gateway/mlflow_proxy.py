"""Carries an evaluation's calls to MLflow: adds the token and the workspace, and passes bodies through as they come.

What belongs to somebody else is out of reach: a run may make and fill experiments, runs, models and traces, but it may not
delete or rename what is there, nor look at users, permissions, registered models or the gateway of the MLflow server.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from pathlib import Path
from urllib.parse import unquote

import aiohttp
import msgspec
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from assay.gateway.answer import relay
from assay.gateway.errors import CredentialError, RouteError
from assay.gateway.headers import tracking_request_headers
from assay.gateway.mlflow_server import MlflowServer
from assay.gateway.routes import MlflowRoute, origin_of
from assay.gateway.run import RunState
from assay.gateway.transport import CONNECT_TIMEOUT_S, describe, tls_setting

_log = logging.getLogger(__name__)
WORKSPACE_HEADER = "X-MLFLOW-WORKSPACE"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH"})
_FILES = re.compile(r"/api/2\.0/mlflow-artifacts/(artifacts|mpu)(/.*)?", re.DOTALL)
_CALLS = re.compile(
    r"/version|/health|/v1/traces"
    r"|/api/[23]\.0/mlflow/(server-info|(experiments|runs|metrics|artifacts|logged-models|traces)(/.*)?)",
    re.DOTALL,
)
_OTHERS = re.compile(r"/(delete(?!-tag\b)[^/]*|restore|permissions)(/|$)|/experiments/update$")


class MlflowProxy:
    """Serves `/run/<token>/mlflow/<rest>` for all runs."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._tls: dict[Path | None, ssl.SSLContext | bool] = {}

    async def serve(self, request: web.BaseRequest, run: RunState, rest: str) -> web.StreamResponse:
        """Answer one call; `rest` is path and query after `/mlflow`, percent-encoded as received."""
        route = run.route.mlflow
        if route is None:
            text = "This run belongs to no experiment. Submit the job with experiment.name."
            return _refusal(404, "RESOURCE_DOES_NOT_EXIST", text)
        if not permitted(request.method, rest.partition("?")[0]):
            text = "A run may not do this: the gateway passes on what makes and fills experiments, runs, models and traces."
            return _refusal(403, "PERMISSION_DENIED", text)
        task = asyncio.current_task()
        assert task is not None
        run.requests.add(task)
        try:
            return await self._forward(request, run, route, rest)
        finally:
            run.requests.discard(task)

    async def _forward(self, request: web.BaseRequest, run: RunState, route: MlflowRoute, rest: str) -> web.StreamResponse:
        server = route.server
        try:
            credential = server.credential()
            tls = self._tls_of(server)
        except (CredentialError, RouteError) as error:
            _log.error("run %s: %s", run.route.run_id, error)
            return _refusal(503, "TEMPORARILY_UNAVAILABLE", str(error))
        if credential.value:
            run.redactor.add(credential.value)
        headers = tracking_request_headers(request.headers, credential)
        if route.workspace:
            headers[WORKSPACE_HEADER] = route.workspace
        try:
            async with self._session.request(
                request.method,
                URL(server.url + rest, encoded=True),
                data=_body(request, headers),
                headers=headers,
                allow_redirects=False,
                ssl=tls,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=server.timeout_s),
            ) as received:
                if received.status in range(300, 400) and hdrs.LOCATION in received.headers:
                    return _redirected(server, received)
                return (await relay(request, received, run)).response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            cause, _ = describe(error, server.timeout_s)
            text = f"The MLflow server {origin_of(server.url)} did not answer: {cause}."
            _log.warning("run %s: %s", run.route.run_id, text)
            return _refusal(502, "TEMPORARILY_UNAVAILABLE", text)

    def _tls_of(self, server: MlflowServer) -> ssl.SSLContext | bool:
        if server.ca_cert not in self._tls:
            self._tls[server.ca_cert] = tls_setting(True, server.ca_cert)
        return self._tls[server.ca_cert]


def permitted(method: str, path: str) -> bool:
    """Say whether a run may make this call. `path` is percent-encoded; it counts as it is read in the end."""
    plain = path
    while (again := unquote(plain)) != plain:  # whoever decodes twice must not find another way than we saw
        plain = again
    if method not in _METHODS or {".", ".."} & set(plain.split("/")) or "\\" in plain:
        return False
    return bool(_FILES.fullmatch(plain) or (_CALLS.fullmatch(plain) and not _OTHERS.search(plain)))


def _body(request: web.BaseRequest, headers: CIMultiDict[str]) -> aiohttp.StreamReader | None:
    """Return the body to pass on while it comes in, of the length that was announced if one was."""
    if not request.body_exists:
        return None
    if request.content_length is not None:
        headers[hdrs.CONTENT_LENGTH] = str(request.content_length)
    return request.content


def _redirected(server: MlflowServer, received: aiohttp.ClientResponse) -> web.Response:
    try:
        target = origin_of(str(received.url.join(URL(received.headers[hdrs.LOCATION]))))
    except (RouteError, ValueError):
        target = "an unusable address"
    home = origin_of(server.url)
    text = (
        f"The MLflow server {home} redirects to {target}. The gateway does not follow, to keep the token where it belongs."
    )
    return _refusal(502, "BAD_GATEWAY", text)


def _refusal(status: int, code: str, message: str) -> web.Response:
    """An error in the form that MLflow's clients read."""
    body = msgspec.json.encode({"error_code": code, "message": message})
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json"})
