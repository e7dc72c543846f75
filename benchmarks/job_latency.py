"""From submit to completed: the same 40 samples through Assay (warm and cold), the plain command, and the peer driving it.

    python -m benchmarks.job_latency [--repeats 5] [--samples 40]

All four ask the same practice model. `warm` forks Assay's engine host, `cold` starts a process for each run
(`ASSAY_ENGINE_HOST=off`), `lm_eval command` is the ordinary command without any service, and the peer starts
that command as the local command of a provider, with a small script around it that reports the result.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from assay.config import data_dir, engines_dir
from assay.engines import environments
from assay.engines.lm_eval import LmEvalSpec, engine_environment, plain_command
from assay.scheduler.catalogue import built_in
from benchmarks.peer import peer
from benchmarks.servers import Server, assay, practice_model
from benchmarks.table import figure, markdown

_JOBS = "/api/v1/evaluations/jobs"
_TASKS = built_in() / "tasks" / "practice"
_DRIVER = Path(__file__).with_name("peer_adapter.py")
_ENDED = {"completed", "failed", "cancelled", "partially_failed"}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--samples", type=int, default=40)
    options = parser.parse_args()
    environment = environments.install(engines_dir(data_dir()), "lm_eval", report=lambda text: print(text, file=sys.stderr))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-latency-")))
        model = practice_model(folder)
        stack.callback(model.stop)
        url = model.url if model.url.endswith("/v1") else f"{model.url}/v1"
        command = _command(environment, url, options.samples, folder / "plain")
        rows: dict[str, list[float]] = {}
        for name, warm in (("Assay, warm", True), ("Assay, cold", False)):
            (folder / name).mkdir()
            server = assay(folder / name, environment={"ASSAY_ENGINE_HOST": "on" if warm else "off"})
            stack.callback(server.stop)
            body = _submission("practice", "arithmetic", url, options.samples)
            _job(server, body)  # the first run of a server warms it
            rows[name] = [_job(server, body) for _ in range(options.repeats)]
        rows["lm_eval command"] = [_plain(environment, command) for _ in range(max(2, options.repeats // 2))]
        server = peer(folder / "peer", _peer_catalogue(folder, environment, command))
        stack.callback(server.stop)
        body = _submission("driven", "arithmetic", url, options.samples)
        rows["eval-hub-server driving the command"] = [_job(server, body) for _ in range(max(2, options.repeats // 2))]
    warm_s = statistics.median(rows["Assay, warm"])
    lines = [
        [name, figure(statistics.median(times)), figure(max(times)), f"{statistics.median(times) / warm_s:.1f}x"]
        for name, times in rows.items()
    ]
    print(f"{options.samples} samples of practice/arithmetic, submit to completed\n")
    print(markdown(["way", "median s", "slowest s", "against warm"], lines))


def _command(environment: environments.Environment, url: str, samples: int, output: Path) -> list[str]:
    spec = LmEvalSpec(
        task="practice_arithmetic",
        endpoint="chat",
        base_url=url,
        model="practice",
        output_dir=str(output),
        include_path=str(_TASKS),
        limit=samples,
        tokenizer_backend="none",
    )
    return plain_command(environment, spec)


def _plain(environment: environments.Environment, command: list[str]) -> float:
    began = time.perf_counter()
    variables = engine_environment(environment, extra={"OPENAI_API_KEY": "x"})
    subprocess.run(command, cwd=_TASKS, env=variables, check=True, capture_output=True)
    return time.perf_counter() - began


def _peer_catalogue(folder: Path, environment: environments.Environment, command: list[str]) -> Path:
    """Return a catalogue whose provider runs the plain command inside a script that reports to the peer."""
    catalogue = folder / "catalogue"
    (catalogue / "providers").mkdir(parents=True)
    (catalogue / "collections").mkdir()
    variables = engine_environment(environment, extra={"OPENAI_API_KEY": "x"})
    driven = shlex.join([sys.executable, "-I", "-S", str(_DRIVER), str(_TASKS), json.dumps(variables), *command])
    provider = {
        "id": "driven",
        "name": "driven",
        "title": "driven",
        "benchmarks": [{"id": "arithmetic", "name": "arithmetic", "category": "math"}],
        "runtime": {"local": {"command": driven}},
    }
    (catalogue / "providers" / "driven.yaml").write_text(json.dumps(provider))
    (folder / "peer").mkdir()
    return catalogue


def _submission(provider: str, benchmark: str, url: str, samples: int) -> bytes:
    entry = {"provider_id": provider, "id": benchmark, "parameters": {"num_examples": samples}}
    return json.dumps({"name": "latency", "model": {"url": url, "name": "practice"}, "benchmarks": [entry]}).encode()


def _job(server: Server, body: bytes) -> float:
    """Return the seconds from submit until the job is seen to be completed."""
    began = time.perf_counter()
    job = _ask(server, _JOBS, body)
    path = f"{_JOBS}/{job['resource']['id']}"
    _until(lambda: _ask(server, path)["status"]["state"] in _ENDED)
    took = time.perf_counter() - began
    ended = _ask(server, path)
    if ended["status"]["state"] != "completed":
        raise SystemExit(f"{server.name}: {json.dumps(ended['status'])}")
    return took


def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def _ask(server: Server, path: str, body: bytes | None = None) -> Any:
    with urllib.request.urlopen(urllib.request.Request(server.url + path, body), timeout=30) as answer:
        return json.load(answer)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
