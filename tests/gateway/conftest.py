"""Fixtures of the gateway's tests: a real upstream, a gateway on a manual clock, a client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from assay.gateway import Gateway

from .upstream import FullJitter, Handler, ManualClock, StartUpstream, Upstream, answer_ok


@pytest.fixture
async def start_upstream() -> AsyncIterator[StartUpstream]:
    started: list[Upstream] = []

    async def start(handler: Handler = answer_ok) -> Upstream:
        upstream = Upstream(handler)
        await upstream.start()
        started.append(upstream)
        return upstream

    yield start
    for upstream in started:
        await upstream.stop()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def gateway(clock: ManualClock) -> AsyncIterator[Gateway]:
    gateway = Gateway(clock=clock, rng=FullJitter(), endpoint_concurrency=4)
    await gateway.start()
    yield gateway
    await gateway.close()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session
