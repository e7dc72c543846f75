"""The endpoint as an ASGI application: routes, credentials, waits and faults."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from assay.practice import responses, wire
from assay.practice.answering import ChatTurn, CompletionTurn, Turn
from assay.practice.faults import Fault, early_fault, fault, latency
from assay.practice.fitting import LanguageModel, practice_language_model
from assay.practice.options import Options
from assay.practice.prompts import CHAT_TEMPLATE, known_tokens, render_chat
from assay.practice.responses import json_response
from assay.practice.stats import Stats
from assay.practice.tokens import END
from assay.practice.wire import ApiError


class PracticeEndpoint:
    """One model, its options and its counters. `closing` is set when the server is about to stop."""

    def __init__(self, model: LanguageModel, options: Options) -> None:
        self.model, self.options, self.stats = model, options, Stats()
        self.closing = asyncio.Event()
        self._started = int(time.time())

    async def health(self, request: Request) -> Response:
        """GET /health."""
        return json_response({"status": "ok"})

    async def show_stats(self, request: Request) -> Response:
        """GET /stats."""
        return json_response(self.stats.document())

    async def models(self, request: Request) -> Response:
        """GET /v1/models."""
        self._authorise(request)
        if self.options.refuse is not None:
            raise _refusal(self.options.refuse)
        card = {"id": self.options.model, "object": "model", "created": self._started, "owned_by": "assay"}
        return json_response({"object": "list", "data": [card | {"max_model_len": wire.MAX_CONTEXT}]})

    async def tokenizer_info(self, request: Request) -> Response:
        """GET /tokenizer_info, as vLLM answers it."""
        return json_response(
            {
                "tokenizer_class": "PracticeTokenizer",
                "vocab_size": len(self.model.vocabulary),
                "model_max_length": wire.MAX_CONTEXT,
                "bos_token": END,
                "eos_token": END,
                "pad_token": END,
                "unk_token": None,
                "chat_template": CHAT_TEMPLATE,
            }
        )

    async def tokenize(self, request: Request) -> Response:
        """POST /tokenize, as vLLM answers it."""
        body = wire.decode(await request.body(), wire.TokenizeRequest)
        if (body.prompt is None) == (body.messages is None):
            raise wire.invalid("Send either prompt or messages", param="prompt")
        text = body.prompt if body.prompt is not None else render_chat(body.messages or [])
        tokens = self.model.vocabulary.tokenise(text)
        return json_response({"count": len(tokens), "max_model_len": wire.MAX_CONTEXT, "tokens": tokens})

    async def detokenize(self, request: Request) -> Response:
        """POST /detokenize, as vLLM answers it."""
        body = wire.decode(await request.body(), wire.DetokenizeRequest)
        vocabulary = self.model.vocabulary
        return json_response({"prompt": vocabulary.detokenise(known_tokens(body.tokens, vocabulary, "tokens"))})

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""

        def read(body: bytes) -> Turn:
            return ChatTurn(self.model, wire.decode(body, wire.ChatRequest))

        return await self._answer(request, "chat", read)

    async def completions(self, request: Request) -> Response:
        """POST /v1/completions."""

        def read(body: bytes) -> Turn:
            return CompletionTurn(self.model, wire.decode(body, wire.CompletionRequest))

        return await self._answer(request, "completions", read)

    async def _answer(self, request: Request, kind: str, read: Callable[[bytes], Turn]) -> Response:
        """Answer a model request, or meet the fault that its number and prompt are due."""
        self._authorise(request)
        with self.stats.request(kind) as number:
            self._raise_early(number)
            turn = read(await request.body())
            streaming = bool(turn.request.stream)
            met = fault(self.options, number, turn.prompt, streaming=streaming)
            if met is not None:
                self.stats.faults[met] += 1
            if met is Fault.HUNG:
                await self._hang(request)
                raise ApiError(503, "The practice model hung, as it was told to", "server_error", "hung")
            if wait := latency(self.options, number):
                await self._pause(wait)
            if met is Fault.FAILED:
                raise ApiError(500, "The practice model failed, as it was told to", "server_error", "failed")
            reply = turn.answer(self.options.seed, silent=met is Fault.NULL_CONTENT)
            self.stats.answered += 1
            self.stats.prompt_tokens += reply.prompt_tokens
            self.stats.completion_tokens += reply.completion_tokens
            if streaming:
                return responses.stream(reply, met, with_usage=turn.request.wants_usage())
            return responses.whole(reply, met)

    def _authorise(self, request: Request) -> None:
        """Raise ApiError 401 unless the request carries the key, where one is demanded."""
        key = self.options.api_key
        if key is None:
            return
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {key}".encode()):
            message = "Wrong or missing API key: send it as 'Authorization: Bearer KEY'"
            raise ApiError(401, message, "authentication_error", "invalid_api_key")

    def _raise_early(self, number: int) -> None:
        """Meet the faults that do not depend on the prompt."""
        met = early_fault(self.options, number)
        if met is None:
            return
        self.stats.faults[met] += 1
        if met is Fault.REFUSED and self.options.refuse is not None:
            raise _refusal(self.options.refuse)
        after = self.options.retry_after_s
        message = f"Too many requests: try again in {after} s"
        error = ApiError(429, message, "rate_limit_error", "rate_limit_exceeded")
        error.headers["retry-after"] = str(after)
        raise error

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the server."""
        try:
            await asyncio.wait_for(self.closing.wait(), seconds)
        except TimeoutError:
            return

    async def _hang(self, request: Request) -> None:
        """Say nothing until the client has gone or the server ends."""
        ends = {asyncio.ensure_future(request.receive()), asyncio.ensure_future(self.closing.wait())}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()


def create_app(options: Options | None = None) -> Starlette:
    """An OpenAI-compatible application around a freshly fitted model; takes about 0.1 s.

    `state.endpoint` is its PracticeEndpoint.
    """
    endpoint = PracticeEndpoint(practice_language_model(), options or Options())
    routes = [
        Route("/health", endpoint.health, methods=["GET"]),
        Route("/stats", endpoint.show_stats, methods=["GET"]),
        Route("/tokenizer_info", endpoint.tokenizer_info, methods=["GET"]),
        Route("/tokenize", endpoint.tokenize, methods=["POST"]),
        Route("/detokenize", endpoint.detokenize, methods=["POST"]),
        Route("/v1/models", endpoint.models, methods=["GET"]),
        Route("/v1/chat/completions", endpoint.chat, methods=["POST"]),
        Route("/v1/completions", endpoint.completions, methods=["POST"]),
    ]
    handlers = {ApiError: responses.api_error, HTTPException: responses.http_error}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.endpoint = endpoint
    return app


def _refusal(code: int) -> ApiError:
    status = HTTPStatus(code)
    message = f"The practice model refuses every request with {code} {status.phrase}, as it was told to"
    return ApiError(code, message, "server_error" if code >= 500 else "invalid_request_error", "refused")
