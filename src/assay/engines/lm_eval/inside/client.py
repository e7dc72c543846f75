"""The HTTP client of a run: many requests at once, each failing alone, with usage counted.

A request that fails for good raises `SampleFailed` to its own sample only. What no sample can survive raises
RunFailed and stops the rest: the model refuses the credential or does not exist (401, 403, 404), or nothing
has ever been answered and as many requests as go out at once have found nobody there. Server errors are not
repeated here; the gateway has done that.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

from .failures import RunFailed

_REFUSALS = frozenset({401, 403, 404})
_NOBODY_THERE = frozenset({502, 503, 504})
_ATTEMPTS = 3
"""Tries of a request whose connection broke: a kept-alive connection may have been closed as it was taken
up again.
"""
_PAUSE_S = 0.1
_SHOWN = 300
"""Characters of the model's own words that are quoted in a message."""

REACH_REMEDY = "Check that it is running and that the model's URL is right."

Answer = TypeVar("Answer")


class SampleFailed(Exception):
    """One request failed for good. `kind` is a stable word for programs, the message is for people."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@dataclass
class Usage:
    """What the run's requests cost. Tokens as the model reports them, latency in seconds over all
    requests.
    """

    requests: int = 0
    failed_requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s_total: float = 0.0

    def add(self, reply: Any) -> None:
        """Count the tokens that a reply reports."""
        reported = reply.get("usage") if isinstance(reply, dict) else None
        if isinstance(reported, dict):
            for name in ("prompt_tokens", "completion_tokens"):
                value = reported.get(name)
                if isinstance(value, int):
                    setattr(self, name, getattr(self, name) + value)


class ModelClient:
    """Sends requests with one set of headers, at most `concurrency` at a time, each at most `timeout_s`
    seconds.
    """

    def __init__(self, headers: dict[str, str], concurrency: int, timeout_s: float) -> None:
        self.usage = Usage()
        self.concurrency = max(1, concurrency)
        self._headers = headers
        self._timeout_s = timeout_s
        self._answered = False
        self._unanswered = 0

    def gather(self, count: int, one: Callable[[Channel, int], Awaitable[Answer]]) -> list[Answer | SampleFailed]:
        """Run `one(channel, i)` for every i below `count` and return what each gave or how it failed, in
        order.
        """
        return asyncio.run(self._gather(count, one))

    async def _gather(self, count: int, one: Callable[[Channel, int], Awaitable[Answer]]) -> list[Answer | SampleFailed]:
        outcomes: list[Any] = [None] * count
        numbers = iter(range(count))
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=timeout, headers=self._headers
        ) as session:
            channel = Channel(self, session, min(self.concurrency, count))

            async def work() -> None:
                for number in numbers:
                    try:
                        outcomes[number] = await one(channel, number)
                    except SampleFailed as failure:
                        outcomes[number] = failure

            workers = [asyncio.create_task(work()) for _ in range(min(self.concurrency, count))]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        return outcomes

    def answered(self) -> None:
        """Note that somebody is there."""
        self._answered = True

    def nobody(self, failure: SampleFailed, in_flight: int) -> Exception:
        """Return what an unanswered request means: its own failure, or that the model is not there at all."""
        self._unanswered += 1
        if self._answered or self._unanswered < in_flight:
            return failure
        return RunFailed(
            "model_unreachable",
            f"The model cannot be reached: {failure.message}. {REACH_REMEDY}",
            temporary=True,
        )

    def refusal(self, status: int, said: str) -> Exception:
        """Return what a refusal means. 403 may be about one prompt where other prompts were answered."""
        if status == 403 and self._answered:
            return SampleFailed("refused", f"the model refused this request (HTTP 403){said}")
        if status == 404:
            remedy = "Check the model's name and URL (the base of its API, usually ending in /v1)"
        else:
            remedy = "Check the credential that the model's auth reference names"
        return RunFailed("model_refused", f"The model refused the request (HTTP {status}){said}. {remedy}.")


@dataclass(frozen=True)
class Channel:
    """An open session of the client; `in_flight` is how many requests go out at once."""

    client: ModelClient
    session: aiohttp.ClientSession
    in_flight: int

    async def post(self, url: str, payload: dict[str, Any], *, counted: bool = True) -> Any:
        """Return the decoded JSON reply. `counted` requests go into the usage. Raises SampleFailed or
        RunFailed.
        """
        usage = self.client.usage
        began = time.perf_counter()
        try:
            reply = await self._post(url, payload)
        except BaseException:
            usage.failed_requests += counted
            raise
        finally:
            if counted:
                usage.requests += 1
                usage.latency_s_total += time.perf_counter() - began
        if counted:
            usage.add(reply)
        return reply

    async def _post(self, url: str, payload: dict[str, Any]) -> Any:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self.session.post(url, json=payload) as response:
                    return self._decoded(response.status, await response.read())
            except TimeoutError as error:
                waited = self.session.timeout.total or 0
                failure = SampleFailed("timeout", f"no answer within {waited:g} seconds")
                raise self.client.nobody(failure, self.in_flight) from error
            except aiohttp.ClientConnectionError as error:
                if attempt == _ATTEMPTS:
                    # The library's own sentence names the address; the reason is enough.
                    reason = getattr(error, "strerror", None) or type(error).__name__
                    raise self.client.nobody(SampleFailed("connection", f"{reason}"), self.in_flight) from error
            except aiohttp.ClientError as error:
                raise SampleFailed("bad_reply", f"the reply is not valid HTTP ({type(error).__name__})") from error
            await asyncio.sleep(_PAUSE_S * attempt)
        raise AssertionError("every attempt returns or raises")

    def _decoded(self, status: int, content: bytes) -> Any:
        if 200 <= status < 300:
            self.client.answered()
            try:
                return _parsed(content)
            except ValueError as error:
                raise SampleFailed("bad_reply", f"the reply is not JSON: {_quote(content)}") from error
        said = f": {text}" if (text := _error_text(content)) else ""
        if status in _REFUSALS:
            raise self.client.refusal(status, said)
        failure = SampleFailed(f"http_{status}", f"the model answered HTTP {status}{said}")
        if status in _NOBODY_THERE:
            raise self.client.nobody(failure, self.in_flight)
        self.client.answered()
        raise failure


def _parsed(content: bytes) -> Any:
    """The JSON value of a reply. Half a surrogate pair, which a cut-off answer may end with and no file can hold, is
    replaced. Raises ValueError.
    """
    try:
        value = json.loads(content)
        if b"\\ud" in content.lower():
            text = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            value = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def _error_text(content: bytes) -> str:
    """The sentence in an OpenAI-style error body, or the start of any other body."""
    try:
        body = _parsed(content)
    except ValueError:
        return _quote(content)
    inner = body.get("error", body.get("message")) if isinstance(body, dict) else None
    if isinstance(inner, dict):
        inner = inner.get("message")
    return inner[:_SHOWN].strip().rstrip(".") if isinstance(inner, str) else _quote(content)


def _quote(content: bytes) -> str:
    return " ".join(content.decode("utf-8", "replace").split())[:_SHOWN]
