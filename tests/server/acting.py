"""A worker played by a test: it leases what the test submitted, and says about it whatever the test wants."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from assay.model.protocol import PROTOCOL
from tests.server.client import Api, Reply, unique

KEY = "key-of-the-worker-that-tests-play"
FIRST = 1_000_000
"""Priority of the jobs that are to be leased before whatever else waits."""


@dataclass(frozen=True)
class Held:
    """A run in the worker's hands."""

    worker: Worker
    run_id: str
    job_id: str
    fence: int

    def post(self, what: str, body: Any) -> Reply:
        return self.worker.api.post(f"/api/v1/runs/{self.run_id}/{what}", body)

    def start(self) -> Reply:
        return self.post("start", {"fence": self.fence})

    def end(self, outcome: str, **members: Any) -> Reply:
        return self.post("end", {"fence": self.fence, "outcome": outcome} | members)

    def append(self, offset: int, data: bytes, fence: int | None = None) -> Reply:
        return self.post(f"log?fence={self.fence if fence is None else fence}&offset={offset}", data)

    def put(self, name: str, data: bytes, fence: int | None = None, **headers: str) -> Reply:
        path = f"/api/v1/runs/{self.run_id}/artifacts/{name}?fence={self.fence if fence is None else fence}"
        return self.worker.api.call("PUT", path, data, {n.replace("_", "-"): v for n, v in headers.items()})


class Worker:
    """A registered worker with a name of its own."""

    def __init__(self, api: Api, slots: int = 100) -> None:
        self.api, self.slots = api.as_(authorization=f"Bearer {KEY}"), slots
        self.name, self.incarnation = unique("worker"), unique()
        assert self.register().status == 200

    def register(self) -> Reply:
        body = {
            "name": self.name,
            "incarnation": self.incarnation,
            "slots": self.slots,
            "engines": {"adapter": "1"},
            "protocol": PROTOCOL,
        }
        return self.api.post("/api/v1/workers", body)

    def lease(self, free: int = 1, wait_s: float = 0.0, gpus: int = 0) -> Reply:
        body = {"incarnation": self.incarnation, "free": free, "wait_s": wait_s, "gpus": gpus}
        return self.api.post(f"/api/v1/workers/{self.name}/lease", body)

    def waiting(self) -> socket.socket:
        """Ask for a run, and wait for it on a connection that is returned."""
        parts = urlsplit(self.api.url)
        body = json.dumps({"incarnation": self.incarnation, "free": 1, "wait_s": 25}).encode()
        head = f"POST /api/v1/workers/{self.name}/lease HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        connection = socket.create_connection((parts.hostname or "", parts.port or 0))
        connection.sendall(f"{head}Authorization: Bearer {KEY}\r\n\r\n".encode() + body)
        return connection

    def beat(self, *holding: Held, **members: Any) -> Reply:
        held = [{"run_id": one.run_id, "fence": one.fence} | members for one in holding]
        return self.api.post(f"/api/v1/workers/{self.name}/heartbeat", {"incarnation": self.incarnation, "holding": held})

    def leave(self) -> Reply:
        body = {"incarnation": self.incarnation, "holding": [], "ends": True}
        return self.api.post(f"/api/v1/workers/{self.name}/heartbeat", body)

    def take(self, api: Api, **members: Any) -> Held:
        """Submit a job with one benchmark and lease its run."""
        job_id = api.submit(**{"priority": FIRST} | members)
        while True:  # what other tests have left waiting may come first
            (lease,) = self.lease().json["leases"]
            if lease["job_id"] == job_id:
                return Held(self, lease["run_id"], job_id, lease["fence"])


def framed(*lines: str, ago_s: float = 0.0) -> bytes:
    """Return lines of output as a worker sends them: each with its time, `ago_s` seconds ago."""
    at = int((time.time() - ago_s) * 1000)
    return b"".join(b"%d %s\n" % (at, line.encode()) for line in lines)
