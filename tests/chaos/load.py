"""The users: they submit, report by hand, cancel, run again, delete and read, all the while, and insist on an answer.

A user repeats what was not answered, at whichever server answers, as a client with retries does. What a server answers must
make sense whatever befalls it: 5xx is only ever 503, with the code that says that the store is away.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Any

from tests.system.deployment import TERMINAL, Deployment

from .fleet import BENCHMARKS, Fleet
from .journal import Promise

_JOBS = "/api/v1/evaluations/jobs"
_MOST_OPEN = 8
_AWAY = {503}
TENANTS = ("red", "blue")
EXAMPLES = {"num_examples": 4, "num_concurrent": 2}


class Over(Exception):
    """The campaign has ended, or an answer did not come in a reasonable time."""


class Load:
    """Users at work, each in a thread. Use as a context manager; at its end every request has had its answer."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self._fleet, self._journal, self._seed = fleet, fleet.journal, seed
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.submitted: Counter[str] = Counter({"without faults": 1})
        """How often a job of each name was asked for, acknowledged or not."""
        self._seen: dict[str, str] = {}
        """The last state that a reader saw of a job that had ended."""

    def __enter__(self) -> Load:
        users: list[tuple[str, Callable[[random.Random, str], None], float]] = [
            *((f"{tenant}-submits", self._submit, 0.4) for tenant in TENANTS),
            ("red-reports", self._report, 0.1),
            ("red-cancels", self._cancel, 2.0),
            ("blue-reruns", self._rerun, 3.0),
            ("blue-deletes", self._delete, 4.0),
            ("red-reads", self._read, 0.1),
            ("blue-reads", self._read, 0.1),
        ]
        for name, act, pause_s in users:
            thread = threading.Thread(target=self._go_on, args=(name, act, pause_s), name=name)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def finish_reports(self) -> None:
        """Report on what still waits for that, so that every job can end."""
        rng = random.Random(f"last {self._seed}")
        for promise in self._journal.alive():
            self._report_on(rng, promise)

    def let_go(self) -> None:
        """Send away whoever stands there for a report that nobody makes, as the acknowledgement of its job was lost."""
        for server in self._fleet.deployments:
            for job in open_jobs(server):
                for index in range(len(job["benchmarks"])):
                    (self._fleet.notes / f"{job['resource']['id']}.{index}").touch()

    def ask(
        self, rng: random.Random, method: str, path: str, body: Any = None, *, accept: set[int], **headers: str
    ) -> tuple[int, Any]:
        """Ask until there is an answer whose status is in `accept`; note every other that is no sign of an outage."""
        give_up_at = time.monotonic() + 150
        while time.monotonic() < give_up_at:
            server = rng.choice(self._fleet.deployments)
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, answer = server.request(method, path, body, **headers)
                if status in accept:
                    return status, answer
                if status not in _AWAY:
                    self._journal.violated(f"{method} {path} was answered {status}: {str(answer)[:500]}")
                    raise Over
            time.sleep(rng.uniform(0.05, 0.3))
        self._journal.violated(f"{method} {path} had no answer for 150 s")
        raise Over

    def _go_on(self, name: str, act: Callable[[random.Random, str], None], pause_s: float) -> None:
        rng = random.Random(f"{name} {self._seed}")
        tenant = name.partition("-")[0]
        while not self._over.wait(rng.uniform(0.5, 1.5) * pause_s):
            with contextlib.suppress(Over):
                try:
                    act(rng, tenant)
                except Over:
                    raise
                except Exception as error:
                    self._journal.violated(f"the user {name} was surprised: {type(error).__name__}: {error}")
                    raise

    def _submit(self, rng: random.Random, tenant: str) -> None:
        mine = [one for one in self._journal.alive() if one.tenant == tenant and self._seen.get(one.id) is None]
        if len(mine) >= _MOST_OPEN:
            return
        name = f"{tenant} {len(self._journal.promises)} {rng.randrange(1 << 32):08x}"
        benchmarks = [_benchmark(rng) for _ in range(rng.randint(1, 4))]
        model = {"url": self._fleet.model_url, "name": "practice"}
        body = {"name": name, "model": model, "benchmarks": benchmarks, "tags": ["chaos"]}
        self.submitted[name] += 1
        asked = self._journal.now()
        _, answer = self.ask(
            rng, "POST", _JOBS, body, accept={202}, **{"Idempotency-Key": f"key of {name}", "X-Tenant": tenant}
        )
        self._journal.promise(Promise(answer["resource"]["id"], name, tenant, benchmarks, asked, self._journal.now()))

    def _report(self, rng: random.Random, tenant: str) -> None:
        waiting = [one for one in self._journal.alive() if len(one.reports) < _by_hand(one)]
        if waiting:
            self._report_on(rng, rng.choice(waiting))

    def _report_on(self, rng: random.Random, promise: Promise) -> None:
        for index, benchmark in enumerate(promise.benchmarks):
            if benchmark["provider_id"] != "by-hand" or index in promise.reports:
                continue
            event = {"provider_id": "by-hand", "id": "told", "benchmark_index": index}
            metrics = {"score": rng.random()}
            path = f"{_JOBS}/{promise.id}/events"
            gone = {204, 404, 409}
            if rng.random() < 0.5:
                running = {"benchmark_status_event": event | {"status": "running"}}
                self.ask(rng, "POST", path, running, accept=gone)
            completed = {"benchmark_status_event": event | {"status": "completed", "metrics": metrics}}
            status, _ = self.ask(rng, "POST", path, completed, accept=gone)
            promise.reports[index] = (self._journal.now(), metrics if status == 204 else {})
            self._journal.note("reported", job=promise.id, index=index, status=status, metrics=metrics)
            (self._fleet.notes / f"{promise.id}.{index}").touch()

    def _cancel(self, rng: random.Random, tenant: str) -> None:
        open_jobs = [one for one in self._journal.alive() if not one.cancelled and one.id not in self._seen]
        if open_jobs:
            promise = rng.choice(open_jobs)
            path = f"{_JOBS}/{promise.id}"
            promise.cancelling = True
            whole = rng.random() < 0.5
            if not whole:
                path += f"/benchmarks/{rng.randrange(len(promise.benchmarks))}"
            status, _ = self.ask(rng, "DELETE", path, accept={204, 404, 409}, **{"X-Tenant": promise.tenant})
            if status == 204 and whole:
                promise.cancelled = True
            self._journal.note("cancelled", path=path, status=status)

    def _rerun(self, rng: random.Random, tenant: str) -> None:
        ended = [one for one in self._journal.alive() if one.id in self._seen]
        if ended:
            promise = rng.choice(ended)
            name = f"again {rng.randrange(1 << 32):08x}"
            self.submitted[name] += 1
            asked = self._journal.now()
            status, answer = self.ask(
                rng,
                "POST",
                f"{_JOBS}/{promise.id}/rerun",
                {"name": name},
                accept={202, 404},
                **{"X-Tenant": promise.tenant},
            )
            if status == 202:
                made, at = answer["resource"]["id"], self._journal.now()
                self._journal.promise(Promise(made, name, promise.tenant, promise.benchmarks, asked, at))

    def _delete(self, rng: random.Random, tenant: str) -> None:
        promises = list(self._journal.alive())
        if len(promises) > 4:
            promise = rng.choice(promises)
            promise.deleting = True
            self.ask(
                rng,
                "DELETE",
                f"{_JOBS}/{promise.id}?hard_delete=true",
                accept={204, 404},
                **{"X-Tenant": promise.tenant},
            )
            promise.deleted = True
            promise.over = promise.over or self._journal.now()
            self._journal.note("deleted", id=promise.id)

    def _read(self, rng: random.Random, tenant: str) -> None:
        promises = [one for one in self._journal.alive() if one.tenant == tenant]
        if not promises:
            return
        as_tenant = {"X-Tenant": tenant}
        if rng.random() < 0.2:
            self.ask(rng, "GET", f"{_JOBS}?limit=20&status=running", accept={200}, **as_tenant)
            return
        promise = rng.choice([one for one in promises if one.id not in self._seen] or promises)
        path = f"{_JOBS}/{promise.id}" + rng.choice(("", "", "", "/history?limit=50", "/logs"))
        status, answer = self.ask(rng, "GET", path, accept={200, 404}, **as_tenant)
        if status == 404:
            if not promise.deleting:
                self._journal.violated(f"the acknowledged job {promise.id} is not found")
            return
        if isinstance(answer, dict) and "status" in answer:
            state = answer["status"]["state"]
            if state in TERMINAL:
                self._seen[promise.id] = state
                promise.over = promise.over or self._journal.now()
                for index in range(len(promise.benchmarks)):  # whoever stands there for it may go
                    (self._fleet.notes / f"{promise.id}.{index}").touch()


def open_jobs(server: Deployment) -> list[dict[str, Any]]:
    """Return the jobs that have not ended, acknowledged or not, by the word of one server. Raises AssertionError."""
    found = []
    for tenant, state in product((None, *TENANTS), ("pending", "running")):
        headers = {"X-Tenant": tenant} if tenant else {}
        status, page = server.request("GET", f"{_JOBS}?limit=0&status={state}", **headers)
        assert status == 200, f"{server.url} answers {status}: {page}"
        found += page["items"]
    return found


def _benchmark(rng: random.Random) -> dict[str, Any]:
    kind = rng.random()
    if kind < 0.2:
        return {"provider_id": "practice", "id": "arithmetic", "parameters": dict(EXAMPLES)}
    if kind < 0.4:
        return {"provider_id": "by-hand", "id": "told"}
    return {"provider_id": "known", "id": rng.choice(BENCHMARKS)}


def _by_hand(promise: Promise) -> int:
    return sum(benchmark["provider_id"] == "by-hand" for benchmark in promise.benchmarks)
