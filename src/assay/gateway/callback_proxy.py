"""Carries an adapter's reports to the server, over a restart of the server if need be."""

from __future__ import annotations

import logging
import re
import secrets

from aiohttp import hdrs, web
from multidict import CIMultiDict

from assay.exchange import Broken, Exchanges
from assay.gateway.body import BodyTooLargeError, read_body
from assay.gateway.endpoint import Clock
from assay.gateway.errors import callback_error
from assay.gateway.headers import callback_request_headers, response_headers
from assay.gateway.routes import CallbackRoute, origin_of
from assay.gateway.run import RunState

_log = logging.getLogger(__name__)
# The adapter SDK waits 10 s for an answer and never asks again.
GIVE_UP_AFTER_S = 8.0
_ATTEMPT_TIMEOUT_S = 8.0
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 1.0
# The worker's headers open more of the server than an evaluation may touch; this is all it needs.
_EVENTS_PATH = re.compile(r"/api/v1/evaluations/jobs/(?P<job>[A-Za-z0-9_-][A-Za-z0-9._-]*)/events/?")


class CallbackProxy:
    """Serves `/run/<token>/api/v1/evaluations/jobs/<job>/events` for all runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._servers: dict[str, Exchanges] = {}

    def close(self) -> None:
        """Give up the connections."""
        for server in self._servers.values():
            server.close()

    async def serve(self, request: web.BaseRequest, run: RunState, path: str) -> web.StreamResponse:
        """Pass one report on. Repeats carry the same Idempotency-Key, so the server can tell them apart."""
        callback = run.route.callback
        asked = _EVENTS_PATH.fullmatch(path)
        if callback is None or asked is None:
            return callback_error(404, "resource_not_found", "The gateway passes on job events only.")
        if request.method != hdrs.METH_POST:
            return callback_error(405, "method_not_allowed", "Job events are sent with POST.")
        if callback.job_id is not None and asked["job"] != callback.job_id:
            return callback_error(403, "forbidden", "This run may report about its own job only.")
        try:
            body = await read_body(request, run.route.limits.max_body_bytes)
        except BodyTooLargeError:
            limit = run.route.limits.max_body_bytes
            return callback_error(
                413,
                "request_body_too_large",
                f"The request body exceeds the maximum allowed size of {limit} bytes.",
            )
        headers = callback_request_headers(request.headers, callback.headers)
        headers["Idempotency-Key"] = secrets.token_hex(16)
        return await self._deliver(run, callback, path, run.truly(body), headers)

    async def _deliver(
        self, run: RunState, callback: CallbackRoute, path: str, body: bytes, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        if callback.url not in self._servers:
            self._servers[callback.url] = Exchanges(callback.url)
        server = self._servers[callback.url]
        give_up_at = self._clock.now() + GIVE_UP_AFTER_S
        delay = _FIRST_DELAY_S
        while True:
            last = self._clock.now() + delay >= give_up_at
            news = callback.news.header() if callback.news else None
            if news:
                headers[news[0]] = news[1]
            try:
                received = await server.ask("POST", path, body, headers.items(), _ATTEMPT_TIMEOUT_S)
            except OSError as error:
                if last:
                    return _undelivered(run, callback, error)
            else:
                if received.status < 500 or last:
                    if news and callback.news and received.status < 400:
                        callback.news.told()
                    passed = response_headers(received.headers, run.redactor)
                    passed.pop(hdrs.LOCATION, None)
                    return web.Response(status=received.status, headers=passed, body=run.redactor.bytes(received.body))
            await self._clock.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY_S)


def _undelivered(run: RunState, callback: CallbackRoute, error: OSError) -> web.Response:
    cause = str(error) if isinstance(error, Broken) else f"no answer within {_ATTEMPT_TIMEOUT_S:g} s"
    message = f"The report of run {run.route.run_id} did not reach the server at {origin_of(callback.url)}: {cause}."
    _log.error("%s", message)
    return callback_error(503, "server_unreachable", message)
