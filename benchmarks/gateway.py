"""What the gateway adds to a model call, in latency and CPU, against calls sent straight to the endpoint.

    python -m benchmarks.gateway [--requests 3000] [--concurrency 1]

The endpoint is a trivial server in a process of its own; so is the gateway, so that its CPU time is its own.
Direct and proxied calls alternate in blocks, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
from aiohttp import web

from assay.gateway import Credential, Gateway, ModelRoute, RunRoute

ANSWER = (
    b'{"id": "c", "object": "text_completion", "choices": [{"index": 0, "text": "'
    + b"forty-two " * 40
    + b'"}], "usage": {"prompt_tokens": 100, "completion_tokens": 40}}'
)
QUESTION = b'{"model": "m", "prompt": "' + b"What is six times seven? " * 40 + b'", "max_tokens": 40}'
HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer dummy"}
BLOCK = 250


async def serve_endpoint(pipe: Connection) -> None:
    async def handle(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(body=ANSWER, content_type="application/json")

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)


async def serve_gateway(pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    gateway = Gateway(endpoint_concurrency=64)
    await gateway.start()
    url = await loop.run_in_executor(None, pipe.recv)
    run = gateway.open(RunRoute("bench", 1, model=ModelRoute(f"{url}/v1", Credential("k" * 40))))
    pipe.send(run.model_url)
    while await loop.run_in_executor(None, pipe.recv) == "cpu":
        pipe.send(time.process_time())
    await gateway.close()


def _run(serve: Callable[[Connection], Coroutine[Any, Any, None]], pipe: Connection) -> None:
    asyncio.run(serve(pipe))


def start(serve: Callable[[Connection], Coroutine[Any, Any, None]]) -> Connection:
    ours, theirs = multiprocessing.Pipe()
    multiprocessing.get_context("spawn").Process(target=_run, args=(serve, theirs), daemon=True).start()
    return ours


async def block(client: aiohttp.ClientSession, url: str, concurrency: int) -> list[float]:
    """Seconds of each of BLOCK calls."""
    seconds: list[float] = []

    async def caller() -> None:
        for _ in range(BLOCK // concurrency):
            begun = time.perf_counter()
            async with client.post(url, data=QUESTION, headers=HEADERS) as response:
                body = await response.read()
            seconds.append(time.perf_counter() - begun)
            if body != ANSWER:
                raise SystemExit(f"wrong answer: {response.status} {body[:200]!r}")

    await asyncio.gather(*[caller() for _ in range(concurrency)])
    return seconds


async def measure(direct: str, proxied: str, gateway: Connection, requests: int, concurrency: int) -> None:
    times: dict[str, list[float]] = {direct: [], proxied: []}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        for url in (direct, proxied):
            await block(client, f"{url}/completions", concurrency)
        gateway.send("cpu")
        cpu = gateway.recv()
        while len(times[proxied]) < requests:
            for url, seconds in times.items():
                seconds += await block(client, f"{url}/completions", concurrency)
        gateway.send("cpu")
        cpu = gateway.recv() - cpu
    print(f"{len(times[proxied])} calls each, {concurrency} at a time\n")
    print("| way | median ms | p99 ms |\n|---|---|---|")
    medians = []
    for name, seconds in zip(("direct", "through the gateway"), times.values(), strict=True):
        medians.append(statistics.median(seconds) * 1e3)
        print(f"| {name} | {medians[-1]:.3f} | {statistics.quantiles(seconds, n=100)[98] * 1e3:.3f} |")
    print(f"\nadded at the median: {medians[1] - medians[0]:.3f} ms (ratio {medians[1] / medians[0]:.2f})")
    print(f"gateway CPU per call: {cpu / len(times[proxied]) * 1e6:.0f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description="Latency and CPU that the gateway adds to a model call.")
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--concurrency", type=int, default=1)
    arguments = parser.parse_args()
    endpoint, gateway = start(serve_endpoint), start(serve_gateway)
    url = endpoint.recv()
    gateway.send(url)
    proxied = gateway.recv()
    asyncio.run(measure(f"{url}/v1", proxied, gateway, arguments.requests, arguments.concurrency))
    endpoint.send("stop")
    gateway.send("stop")


if __name__ == "__main__":
    main()
