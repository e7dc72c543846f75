"""Forwards model calls: waits for a slot, adds the credential, retries, passes the answer through, counts."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from assay.gateway.answer import Relayed, relay
from assay.gateway.body import BodyTooLargeError, read_body
from assay.gateway.endpoint import Clock, Endpoint
from assay.gateway.errors import model_error
from assay.gateway.headers import model_request_headers
from assay.gateway.retry import PAUSING_STATUS, RETRYABLE_STATUS, retry_after
from assay.gateway.routes import ModelRoute
from assay.gateway.run import RunState
from assay.gateway.transport import CONNECT_TIMEOUT_S, describe, is_lasting

_log = logging.getLogger(__name__)
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)
_INFERENCE = ("completions", "embeddings", "responses", "messages", "generate", "score", "rerank")
_FINAL = {"x-should-retry": "false"}  # the gateway has retried already; OpenAI clients obey this


@dataclass(frozen=True)
class _Call:
    """One model call, ready to be sent any number of times. `number` is its place in the endpoint's queue."""

    request: web.BaseRequest
    model: ModelRoute
    endpoint: Endpoint
    url: URL
    headers: CIMultiDict[str]
    body: bytes
    number: int


@dataclass(frozen=True)
class _Retry:
    """An attempt that failed and may be repeated; `asked_s` is the wait that the endpoint asked for."""

    asked_s: float | None = None
    timed_out: bool = False


class ModelProxy:
    """Serves `/run/<token>/model/<rest>` for all runs."""

    def __init__(self, session: aiohttp.ClientSession, clock: Clock, rng: random.Random) -> None:
        self._session = session
        self._clock = clock
        self._rng = rng

    async def serve(self, request: web.BaseRequest, run: RunState, rest: str) -> web.StreamResponse:
        """Answer one call; `rest` is path and query after `/model`, percent-encoded as received."""
        model, endpoint = run.route.model, run.endpoint
        if model is None or endpoint is None:
            return model_error(404, "no_model", "This run has no model. Give the job a model.url.")
        task = asyncio.current_task()
        assert task is not None
        usage, started = run.usage, self._clock.now()
        run.requests.add(task)
        usage.requests += 1
        usage.in_flight += 1
        try:
            relayed = await self._forward(request, run, model, endpoint, rest)
        except asyncio.CancelledError:
            usage.cancelled += 1
            raise
        except BaseException:
            usage.failed += 1
            raise
        finally:
            usage.in_flight -= 1
            usage.observe_latency(self._clock.now() - started)
            run.requests.discard(task)
        self._count(request, run, relayed, rest)
        return relayed if isinstance(relayed, web.Response) else relayed.response

    def _count(self, request: web.BaseRequest, run: RunState, relayed: Relayed | web.Response, rest: str) -> None:
        if isinstance(relayed, Relayed) and relayed.end == "caller gone":
            run.usage.cancelled += 1
        elif isinstance(relayed, web.Response) or relayed.end != "complete" or relayed.response.status >= 400:
            run.usage.failed += 1
        elif request.method == hdrs.METH_POST and rest.partition("?")[0].endswith(_INFERENCE):
            run.usage.inferences += 1
        if isinstance(relayed, Relayed):
            run.usage.prompt_tokens += relayed.tokens.prompt
            run.usage.completion_tokens += relayed.tokens.completion

    async def _forward(
        self, request: web.BaseRequest, run: RunState, model: ModelRoute, endpoint: Endpoint, rest: str
    ) -> Relayed | web.Response:
        try:
            body = await read_body(request, run.route.limits.max_body_bytes)
        except BodyTooLargeError:
            limit = run.route.limits.max_body_bytes
            return model_error(
                413,
                "request_body_too_large",
                f"The request body exceeds the gateway's limit of {limit} bytes.",
            )
        headers = model_request_headers(request.headers, model.credential)
        call = _Call(request, model, endpoint, _target(model, rest), headers, body, Endpoint.number())
        if run.gate is None:
            return await self._retrying(run, call)
        waiting = self._clock.now()
        async with run.gate.slot(call.number):
            run.usage.throttled_s += self._clock.now() - waiting
            return await self._retrying(run, call)

    async def _retrying(self, run: RunState, call: _Call) -> Relayed | web.Response:
        policy = run.route.limits.retry
        failures = timeouts = 0
        while True:
            waiting = self._clock.now()
            async with call.endpoint.slot(call.number):
                run.usage.throttled_s += self._clock.now() - waiting
                # Within the slot, because a pause must begin before the next request gets it.
                outcome = await self._attempt(run, call, failures + 1, timeouts)
            if not isinstance(outcome, _Retry):
                return outcome
            failures += 1
            timeouts += outcome.timed_out
            run.usage.retries += 1
            delay = policy.delay(failures, outcome.asked_s, self._rng)
            run.usage.throttled_s += delay
            await self._clock.sleep(delay)

    async def _attempt(self, run: RunState, call: _Call, attempt: int, timeouts: int) -> Relayed | web.Response | _Retry:
        policy = run.route.limits.retry
        try:
            async with self._send(run, call) as received:
                if received.status not in RETRYABLE_STATUS or attempt >= policy.attempts:
                    return await relay(call.request, received, run)
                asked = retry_after(received.headers)
        except _FAILURES as error:
            timed_out = isinstance(error, TimeoutError)
            too_slow = timed_out and timeouts + 1 >= policy.max_timeouts
            if is_lasting(error) or too_slow or attempt >= policy.attempts:
                return _unreachable(run, call, error, attempt)
            return _Retry(timed_out=timed_out)
        if asked is not None and received.status in PAUSING_STATUS:
            call.endpoint.pause(min(asked, policy.max_retry_after_s))
        _log.debug("run %s: %s answered %d, retrying", run.route.run_id, call.model.origin, received.status)
        return _Retry(asked)

    def _send(self, run: RunState, call: _Call) -> aiohttp.client._RequestContextManager:
        timeout_s = call.model.timeout_s
        return self._session.request(
            call.request.method,
            call.url,
            data=call.body or None,
            headers=call.headers,
            allow_redirects=False,
            ssl=run.tls,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_TIMEOUT_S, timeout_s), sock_read=timeout_s),
        )


def _target(model: ModelRoute, rest: str) -> URL:
    """The endpoint's URL for what was asked; the model URL's own query is added where it is left out."""
    path, _, query = rest.partition("?")
    named = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    own = [pair for pair in model.query.split("&") if pair and pair.partition("=")[0] not in named]
    query = "&".join([*filter(None, [query]), *own])
    return URL(f"{model.origin}{path or '/'}{'?' + query if query else ''}", encoded=True)


def _unreachable(run: RunState, call: _Call, error: Exception, attempts: int) -> web.Response:
    cause, remedy = describe(error, call.model.timeout_s)
    tried = f" ({attempts} attempts)" if attempts > 1 else ""
    message = f"The model endpoint {call.model.origin} did not answer: {cause}{tried}. {remedy}"
    _log.warning("run %s: %s", run.route.run_id, message)
    return model_error(502, "model_unreachable", message, _FINAL)
