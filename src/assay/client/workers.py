"""The worker API, as a worker calls it: asynchronous, over one session."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NoReturn

import aiohttp
import msgspec

from assay.exchange import Exchanges
from assay.model.protocol import (
    ArtifactRef,
    Ending,
    Heartbeat,
    HeartbeatAnswer,
    Lease,
    LeaseAnswer,
    LeaseRequest,
    Registered,
    Registration,
    Start,
)


class Refused(Exception):
    """The server refused a call: `status`, `code` and the server's sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class ServerGone(Exception):
    """The server could not be reached, or answered 5xx; the same call may go through later."""


class WorkerApi:
    """The calls of one worker. Use as an asynchronous context manager. Raises Refused and ServerGone."""

    def __init__(self, server: str, key: str, name: str) -> None:
        self._server = server.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}
        self._name = name
        self._exchanges = Exchanges(f"{self._server}/api/v1")
        self._session: aiohttp.ClientSession | None = None
        """For what is large."""

    async def __aenter__(self) -> WorkerApi:
        timeout = aiohttp.ClientTimeout(total=60, sock_connect=5)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exchanges.close()
        if self._session:
            await self._session.close()

    async def register(self, registration: Registration) -> Registered:
        """Enter the worker; learn the lease's terms."""
        return msgspec.json.decode(await self._call("/workers", registration), type=Registered)

    async def lease(self, asked: LeaseRequest) -> LeaseAnswer:
        """Wait for runs."""
        return msgspec.json.decode(await self._call(f"/workers/{self._name}/lease", asked), type=LeaseAnswer)

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatAnswer:
        """Renew the leases; return the ids of runs to stop, and what the worker may do."""
        answer = await self._call(f"/workers/{self._name}/heartbeat", beat)
        return msgspec.json.decode(answer, type=HeartbeatAnswer)

    async def start(self, run_id: str, fence: int) -> None:
        """Say that the run's process has started."""
        await self._call(f"/runs/{run_id}/start", Start(fence))

    async def end(self, run_id: str, ending: Ending) -> list[Lease]:
        """Say how the attempt ended; return the runs that were asked for at the same time."""
        answer = await self._call(f"/runs/{run_id}/end", ending)
        return msgspec.json.decode(answer, type=LeaseAnswer).leases if answer else []

    async def append_log(self, run_id: str, fence: int, offset: int, data: bytes) -> int:
        """Append to the attempt's log; return its size."""
        answer = await self._call(f"/runs/{run_id}/log?fence={fence}&offset={offset}", data)
        return int(msgspec.json.decode(answer)["size"])

    async def put_artifact(self, run_id: str, fence: int, name: str, path: Path, media_type: str) -> ArtifactRef:
        """Store a file as an artifact."""
        assert self._session is not None
        url = f"{self._server}/api/v1/runs/{run_id}/artifacts/{name}?fence={fence}"
        try:
            with path.open("rb") as file:
                async with self._session.put(url, data=file, headers={"Content-Type": media_type}) as response:
                    answer = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServerGone(f"{self._server} does not answer ({type(error).__name__})") from error
        if response.status >= 400:
            _raise_for(self._server, response.status, answer)
        return msgspec.json.decode(answer, type=ArtifactRef)

    async def download(self, path: str, to: BinaryIO) -> None:
        """Write the bytes of `path` to a file, from where it ends: what has arrived before need not come again."""
        assert self._session is not None
        have = to.seek(0, os.SEEK_END)
        headers = {"Range": f"bytes={have}-"} if have else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)
        try:
            async with self._session.get(f"{self._server}/api/v1{path}", headers=headers, timeout=timeout) as response:
                if response.status >= 400:
                    _raise_for(self._server, response.status, await response.read())
                to.truncate(to.seek(have if response.status == 206 else 0))
                async for data in response.content.iter_chunked(1 << 18):
                    to.write(data)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServerGone(f"{self._server} does not answer ({type(error).__name__})") from error

    async def _call(self, path: str, body: msgspec.Struct | bytes) -> bytes:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = (*self._headers.items(), ("Content-Type", "application/json"))
        try:
            answer = await self._exchanges.ask("POST", path, data, headers)
        except OSError as error:
            raise ServerGone(f"{self._server} does not answer ({type(error.__cause__ or error).__name__})") from error
        if answer.status >= 300:
            _raise_for(self._server, answer.status, answer.body, answer.headers.get("location", ""))
        return answer.body


def _raise_for(server: str, status: int, answer: bytes, location: str = "") -> NoReturn:
    if status >= 500:
        raise ServerGone(f"{server} answers {status}")
    if location:
        raise Refused(status, "redirected", f"{server} sends to {location[:200]}: name that with --server")
    try:
        problem = msgspec.json.decode(answer)
        raise Refused(status, problem["message_code"], problem["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        raise Refused(status, "", answer.decode(errors="replace")[:200]) from None
