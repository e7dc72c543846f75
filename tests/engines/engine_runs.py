"""Starts evaluations the three ways there are (hosted, cold, plain command) and gathers what they say."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.engines.environments import Environment
from assay.engines.lm_eval import (
    EngineHost,
    HostedProcess,
    LmEvalSpec,
    RunResult,
    cold_command,
    engine_environment,
    parse_result,
    plain_command,
)

PRACTICE_TASKS = Path(__file__).parents[2] / "src/assay/catalogue/tasks/practice"
KEY = "canary-5c1e9a7b3d"
"""Given to every run as its credential; must turn up nowhere."""


@dataclass
class Outcome:
    """How a run ended, and the events it sent."""

    returncode: int | None
    events: list[dict[str, Any]]
    log: str
    host_died: bool = False

    @property
    def result(self) -> RunResult:
        [event] = [event for event in self.events if event["type"] == "result"]
        return parse_result(event)

    @property
    def error(self) -> dict[str, Any]:
        [event] = [event for event in self.events if event["type"] == "error"]
        return event

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


@dataclass
class Live:
    """A hosted run that goes on."""

    process: HostedProcess
    control: int
    folder: Path

    async def first(self, kind: str) -> dict[str, Any]:
        """Wait for the first event of `kind`."""
        for line in await asyncio.to_thread(self._until, kind):
            if (event := json.loads(line))["type"] == kind:
                return dict(event)
        raise AssertionError(f"the run ended without a {kind} event: {self.log()}")

    def _until(self, kind: str) -> list[bytes]:
        data = b""
        while f'"type": "{kind}"'.encode() not in data or not data.endswith(b"\n"):
            chunk = os.read(self.control, 65536)
            if not chunk:
                break
            data += chunk
        return data.splitlines()

    def log(self) -> str:
        return (self.folder / "stderr").read_text("utf-8", "replace")

    def close(self) -> None:
        os.close(self.control)


@dataclass
class Runner:
    """Runs evaluations of the environment `env` in folders of their own under `folder`."""

    env: Environment
    folder: Path
    host: EngineHost | None = None
    limits: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def spec(self, task: str, endpoint: str, url: str, **fields: Any) -> tuple[LmEvalSpec, Path]:
        """Write the specification of a run; return it and its folder."""
        self._count += 1
        folder = self.folder / f"run{self._count}"
        folder.mkdir(parents=True)
        settings: dict[str, Any] = {
            "include_path": str(PRACTICE_TASKS),
            "task_index": str(self.env.task_index),
            "model": "practice",
        }
        settings |= fields
        spec = LmEvalSpec(
            task=task,
            endpoint=endpoint,  # type: ignore[arg-type]
            base_url=url,
            output_dir=str(folder / "out"),
            **settings,
        )
        spec.write(folder / "spec.json")
        return spec, folder

    async def hosted(self, task: str, endpoint: str, url: str, **fields: Any) -> Outcome:
        """Run in a fork of the engine host."""
        live = await self.begin(task, endpoint, url, **fields)
        data = await asyncio.to_thread(_drain, live.control)
        ending = await live.process.wait()
        live.close()
        return Outcome(ending.returncode, _events(data), live.log(), ending.host_died)

    async def begin(self, task: str, endpoint: str, url: str, **fields: Any) -> Live:
        """Start a run in the engine host and return at once."""
        spec, folder = self.spec(task, endpoint, url, **fields)
        assert self.host is not None
        with _files(folder) as (stdout, stderr):
            control, writing = os.pipe()
            try:
                process = await self.host.run(
                    folder / "spec.json",
                    cwd=_cwd(spec),
                    env=self.variables(),
                    stdout=stdout,
                    stderr=stderr,
                    control=writing,
                    limits=self.limits,
                )
            finally:
                os.close(writing)
        return Live(process, control, folder)

    async def cold(self, task: str, endpoint: str, url: str, **fields: Any) -> Outcome:
        """Run in a process of its own."""
        spec, folder = self.spec(task, endpoint, url, **fields)
        return await asyncio.to_thread(self._cold, spec, folder)

    def _cold(self, spec: LmEvalSpec, folder: Path) -> Outcome:
        with _files(folder) as (stdout, stderr):
            control, writing = os.pipe()
            process = subprocess.Popen(
                cold_command(self.env, folder / "spec.json", writing),
                pass_fds=[writing],
                cwd=_cwd(spec),
                env=self.variables(),
                stdout=stdout,
                stderr=stderr,
            )
            os.close(writing)
        data = _drain(control)
        os.close(control)
        return Outcome(process.wait(), _events(data), (folder / "stderr").read_text("utf-8", "replace"))

    async def plain(self, task: str, endpoint: str, url: str, **fields: Any) -> dict[str, Any]:
        """Run the library's own command and return its results document."""
        spec, folder = self.spec(task, endpoint, url, **fields)
        done = await asyncio.to_thread(
            subprocess.run,
            plain_command(self.env, spec),
            cwd=_cwd(spec),
            env=self.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        [path] = (folder / "out").glob("*/results_*.json")
        return dict(json.loads(path.read_text()))

    def variables(self) -> dict[str, str]:
        return engine_environment(self.env, extra={"OPENAI_API_KEY": KEY})


@contextmanager
def practice_model(*options: str) -> Iterator[str]:
    """Serve the practice model with these command-line options; yields the base of its API."""
    command = [sys.executable, "-m", "assay.practice", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.wait()


def _cwd(spec: LmEvalSpec) -> Path:
    folder = Path(spec.include_path) if spec.include_path else Path()
    return folder if folder.is_dir() else Path()


@contextmanager
def _files(folder: Path) -> Iterator[tuple[int, int]]:
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        yield stdout.fileno(), stderr.fileno()


def _drain(control: int) -> bytes:
    data = b""
    while chunk := os.read(control, 65536):
        data += chunk
    return data


def _events(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]
