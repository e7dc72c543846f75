"""The two clients of eval-hub-sdk, called in one way: what a test says, the synchronous and the asynchronous one must do."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from evalhub.client import AsyncEvalHubClient, SyncEvalHubClient

KINDS = ("synchronous", "asynchronous")
Connect = Callable[..., Any]
"""Opens a client of the server; keywords are those of the SDK's classes."""

_END = object()


@contextlib.contextmanager
def connecting(kind: str, url: str) -> Iterator[Connect]:
    """Give a function that opens clients of this kind; they are closed at the end of the block."""
    with start_blocking_portal() as portal, contextlib.ExitStack() as stack:

        def connect(**options: Any) -> Any:
            settings = {"base_url": url, "max_retries": 0} | options
            if kind == "synchronous":
                return stack.enter_context(SyncEvalHubClient(**settings))
            client = AsyncEvalHubClient(**settings)
            return _Awaited(portal, stack.enter_context(portal.wrap_async_context_manager(client)))

        yield connect


class _Awaited:
    """A part of the asynchronous client whose coroutines run to their end and whose generators are ordinary iterators."""

    def __init__(self, portal: BlockingPortal, target: Any) -> None:
        self._portal, self._target = portal, target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if inspect.isasyncgenfunction(found):
            return lambda *given, **named: self._each(found(*given, **named))
        if inspect.iscoroutinefunction(found):
            return lambda *given, **named: self._portal.call(functools.partial(found, *given, **named))
        return _Awaited(self._portal, found)

    def _each(self, generator: Any) -> Iterator[Any]:
        async def step() -> Any:
            return await anext(generator, _END)

        while (item := self._portal.call(step)) is not _END:
            yield item
