"""Passes an endpoint's answer to the evaluation: whole when short, else chunk by chunk as it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

import aiohttp
from aiohttp import hdrs, web
from yarl import URL

from assay.gateway.errors import RouteError, model_error
from assay.gateway.headers import response_headers
from assay.gateway.routes import origin_of
from assay.gateway.run import RunState
from assay.gateway.token_count import TokenCount

# An answer of known length up to this is read before it is passed on, so one that breaks off can be retried.
WHOLE_BYTES = 1024 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


End = Literal["complete", "broke off", "caller gone"]


@dataclass(frozen=True)
class Relayed:
    """What was passed on, and how it ended: whole, or cut short by the endpoint or by the evaluation."""

    response: web.StreamResponse
    tokens: TokenCount
    end: End = "complete"


async def relay(request: web.BaseRequest, received: aiohttp.ClientResponse, run: RunState) -> Relayed:
    """Answer `request` with `received`, the credential masked wherever it appears.

    Raises aiohttp's errors while nothing has been passed on yet.
    """
    tokens = TokenCount(received.content_type)
    if received.status in _REDIRECTS and hdrs.LOCATION in received.headers:
        return Relayed(_redirect(received, run), tokens)
    headers = response_headers(received.headers, run.redactor)
    length = received.content_length
    if request.method == hdrs.METH_HEAD or (length is not None and length <= WHOLE_BYTES):
        body = await received.read()
        tokens.feed(body)
        tokens.finish()
        whole = web.Response(status=received.status, reason=received.reason, headers=headers, body=run.redactor.bytes(body))
        return Relayed(whole, tokens)
    response = web.StreamResponse(status=received.status, reason=received.reason, headers=headers)
    end = await _stream(request, received, response, run, tokens)
    return Relayed(response, tokens, end)


async def _stream(
    request: web.BaseRequest,
    received: aiohttp.ClientResponse,
    response: web.StreamResponse,
    run: RunState,
    tokens: TokenCount,
) -> End:
    masking = run.redactor.stream()
    chunks = _chunks(received)
    try:
        await response.prepare(request)
        while (chunk := await anext(chunks, None)) is not None:
            if isinstance(chunk, Exception):
                # The connection is cut: an orderly end would pass the fragment off as the whole answer.
                if request.transport is not None:
                    request.transport.abort()
                return "broke off"
            tokens.feed(chunk)
            masked = masking.feed(chunk)
            if masked:
                await response.write(masked)
        tokens.finish()
        rest = masking.flush()
        if rest:
            await response.write(rest)
        await response.write_eof()
    except ConnectionError:
        return "caller gone"
    return "complete"


async def _chunks(received: aiohttp.ClientResponse) -> AsyncIterator[bytes | Exception]:
    """The body as it arrives. An error of the endpoint is its last item, apart from the caller's errors."""
    try:
        async for chunk in received.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        yield error


def _redirect(received: aiohttp.ClientResponse, run: RunState) -> web.Response:
    """A redirect within the endpoint leads back through the gateway; one to anywhere else is refused."""
    model = run.route.model
    assert model is not None
    target = received.url.join(URL(received.headers[hdrs.LOCATION]))
    try:
        origin = origin_of(str(target))
    except RouteError:
        origin = "an unusable address"
    if origin == model.origin:
        headers = response_headers(received.headers, run.redactor)
        headers[hdrs.LOCATION] = f"{run.base_url}/model{target.raw_path_qs}"
        return web.Response(status=received.status, headers=headers)
    return model_error(
        502,
        "model_redirected",
        f"The model endpoint {model.origin} redirects to {origin}. The gateway does not follow, to keep the "
        "credential where it belongs. If the new address is right, use it as model.url.",
        {"x-should-retry": "false"},
    )
