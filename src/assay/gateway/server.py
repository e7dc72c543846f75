"""The gateway program: a loopback HTTP server that knows each open run by its token."""

from __future__ import annotations

import logging
import random
import secrets
import traceback

import aiohttp
from aiohttp import web

from assay.gateway import transport
from assay.gateway.callback_proxy import CallbackProxy
from assay.gateway.endpoint import Clock, Endpoint, SystemClock
from assay.gateway.errors import GatewayError, callback_error, model_error
from assay.gateway.mlflow_proxy import MlflowProxy
from assay.gateway.model_proxy import ModelProxy
from assay.gateway.routes import RunRoute
from assay.gateway.run import RunState
from assay.gateway.usage import Usage

_log = logging.getLogger(__name__)
_CALLBACK_PREFIX = "/api/"
_MAX_LINE = 64 * 1024


class OpenRun:
    """A run that the gateway serves, until `close`.

    `base_url` is what an adapter gets as its callback URL, `model_url` what an evaluation gets as its model
    URL, `mlflow_url` what it gets as its MLflow server, and `token` what it may present as its API key (the
    gateway throws it away: the secret is in the URL).
    """

    def __init__(self, gateway: Gateway, token: str, state: RunState) -> None:
        self.token = token
        self.base_url = state.base_url
        model = state.route.model
        self.model_url = f"{state.base_url}/model{model.path}" if model is not None else None
        self.mlflow_url = f"{state.base_url}/mlflow" if state.route.mlflow is not None else None
        self._gateway = gateway
        self._state = state

    @property
    def usage(self) -> Usage:
        """What the run has used so far; still there after `close`."""
        return self._state.usage.snapshot()

    @property
    def calls(self) -> int:
        """How often the run has called, be it the model or the server."""
        return self._state.calls

    def close(self) -> None:
        """Forget the token and give up the calls in progress; a second call does nothing."""
        self._gateway._forget(self.token)

    def __repr__(self) -> str:
        return f"OpenRun(run_id={self._state.route.run_id!r}, attempt={self._state.route.attempt})"


class Gateway:
    """Serves any number of runs on one loopback port, in the event loop that started it.

    `endpoint_concurrency` bounds the requests in progress at one endpoint (scheme, host and port), over all
    runs. `clock` and `rng` are replaced in tests.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        endpoint_concurrency: int = 16,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._endpoint_concurrency = endpoint_concurrency
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._runs: dict[str, RunState] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._runner: web.ServerRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def port(self) -> int:
        """The port that the gateway listens on, once started."""
        return self._port

    async def start(self) -> None:
        """Bind and serve. Raises GatewayError when the port is taken."""
        self._session = transport.open_session()
        self._models = ModelProxy(self._session, self._clock, self._rng)
        self._callbacks = CallbackProxy(self._clock)
        self._mlflow = MlflowProxy(self._session)
        server = web.Server(
            self._handle,
            handler_cancellation=True,
            access_log=None,  # its lines would hold tokens
            auto_decompress=False,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            lingering_time=0,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            await self.close()
            raise GatewayError(
                f"The gateway cannot listen on {self._host}:{self._port}: {error.strerror}. Choose another port, or 0."
            ) from None
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """End every run and stop serving."""
        for token in list(self._runs):
            self._forget(token)
        for endpoint in self._endpoints.values():
            endpoint.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            self._callbacks.close()
            await self._session.close()

    def open(self, route: RunRoute) -> OpenRun:
        """Serve `route` from now on. Raises RouteError when its TLS files cannot be used."""
        if self._runner is None:
            raise GatewayError("The gateway has not been started.")
        token = secrets.token_urlsafe(32)
        endpoint = self._endpoint(route.model.origin) if route.model is not None else None
        state = RunState.of(route, f"http://{self._host}:{self._port}/run/{token}", endpoint, self._clock)
        self._runs[token] = state
        return OpenRun(self, token, state)

    def _endpoint(self, origin: str) -> Endpoint:
        if origin not in self._endpoints:
            self._endpoints[origin] = Endpoint(self._endpoint_concurrency, self._clock)
        return self._endpoints[origin]

    def _forget(self, token: str) -> None:
        state = self._runs.pop(token, None)
        if state is not None:
            state.end()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        token, rest = _split_target(request.raw_path)
        run = self._runs.get(token)
        if run is None:
            return model_error(404, "unknown_run", "No run is open at this address: it has ended, or never began.")
        run.calls += 1
        try:
            if rest == "/model" or rest.startswith(("/model/", "/model?")):
                return await self._models.serve(request, run, rest.removeprefix("/model"))
            if rest.startswith("/mlflow/"):
                return await self._mlflow.serve(request, run, rest.removeprefix("/mlflow"))
            if rest.startswith(_CALLBACK_PREFIX):
                return await self._callbacks.serve(request, run, rest.partition("?")[0])
        except Exception:
            _log.error("run %s: %s", run.route.run_id, run.redactor.text(traceback.format_exc()))
            message = f"The gateway failed on a request of run {run.route.run_id}; its log says why."
            return model_error(500, "gateway_error", message)
        return callback_error(404, "resource_not_found", "The gateway serves /model, /mlflow and job events only.")


def _split_target(raw_path: str) -> tuple[str, str]:
    """(token, rest) of `/run/<token><rest>`; an empty token for anything else."""
    if not raw_path.startswith("/run/"):
        return "", ""
    token, slash, rest = raw_path[5:].partition("/")
    return token, slash + rest
