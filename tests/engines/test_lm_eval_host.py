"""The life of the engine host and of the runs in it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from assay.engines import environments
from assay.engines.lm_eval import EngineHost, HostUnavailable

from .engine_runs import KEY, Runner, practice_model


async def gone(pid: int) -> bool:
    """Wait until process `pid` has ended; false if it has not after a while."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if f"{pid} (" in (stat := Path(f"/proc/{pid}/stat").read_text()) and stat.rpartition(")")[2].split()[0] == "Z":
            return True
        await asyncio.sleep(0.01)
    return False


async def test_the_host_has_one_thread_and_counts_its_runs(own_runner: Runner, model_url: str) -> None:
    assert own_runner.host is not None
    await own_runner.hosted("practice_arithmetic", "chat", model_url, limit=1)
    answer = await own_runner.host.ping()

    assert answer == {"version": "0.4.13", "pid": own_runner.host.pid, "threads": 1, "runs": 1}


async def test_many_runs_at_once_all_end_with_their_own_results(runner: Runner, model_url: str) -> None:
    outcomes = await asyncio.gather(*(runner.hosted("practice_arithmetic", "chat", model_url, limit=n) for n in range(1, 7)))

    assert [outcome.result.n_scored for outcome in outcomes] == [1, 2, 3, 4, 5, 6]


async def test_the_exit_reports_what_the_run_used(runner: Runner, model_url: str) -> None:
    live = await runner.begin("practice_arithmetic", "chat", model_url, limit=1)
    await live.first("result")
    ending = await live.process.wait()
    live.close()

    assert ending.returncode == 0
    assert ending.user_s > 0
    assert ending.max_rss_bytes > 10_000_000


async def test_killing_a_run_ends_it_and_nothing_else(runner: Runner, model_url: str) -> None:
    with practice_model("--hang-rate", "1") as url:
        live = await runner.begin("practice_arithmetic", "chat", url)
        other = await runner.begin("practice_arithmetic", "chat", url)
        await live.first("progress")
        await other.first("progress")
        live.process.kill()
        ending = await live.process.wait()

        assert ending.returncode == -signal.SIGKILL
        assert await gone(live.process.pid)
        os.kill(other.process.pid, 0)
        other.process.kill()
        await other.process.wait()
    live.close()
    other.close()
    assert (await runner.hosted("practice_arithmetic", "chat", model_url, limit=1)).returncode == 0


async def test_a_run_whose_client_goes_away_is_killed(lm_eval_environment: environments.Environment, tmp_path: Path) -> None:
    host = EngineHost()
    await host.start(lm_eval_environment, tmp_path)
    with practice_model("--hang-rate", "1") as url:
        live = await Runner(lm_eval_environment, tmp_path / "runs", host).begin("practice_arithmetic", "chat", url)
        await live.first("progress")
        live.process._connection.close()

        assert await gone(live.process.pid)
    live.close()
    live.process._ending.cancel()
    await host.close()


async def test_the_runs_of_a_killed_host_end_and_a_new_host_takes_over(own_runner: Runner, model_url: str) -> None:
    assert own_runner.host is not None
    with practice_model("--hang-rate", "1") as url:
        live = await own_runner.begin("practice_arithmetic", "chat", url)
        await live.first("progress")
        dead = own_runner.host.pid
        assert dead is not None
        os.kill(dead, signal.SIGKILL)
        ending = await live.process.wait()

        assert (ending.host_died, ending.returncode) == (True, None)
        assert await gone(live.process.pid)
    live.close()
    outcome = await own_runner.hosted("practice_arithmetic", "chat", model_url, limit=1)
    assert outcome.returncode == 0
    assert own_runner.host.pid != dead


async def test_a_fresh_host_takes_over_after_enough_runs(
    lm_eval_environment: environments.Environment, tmp_path: Path, model_url: str
) -> None:
    host = EngineHost(recycle_after=1)
    await host.start(lm_eval_environment, tmp_path)
    runner = Runner(lm_eval_environment, tmp_path / "runs", host)
    first = host.pid
    assert first is not None
    await runner.hosted("practice_arithmetic", "chat", model_url, limit=1)
    outcome = await runner.hosted("practice_arithmetic", "chat", model_url, limit=1)

    assert outcome.returncode == 0
    assert host.pid != first
    assert await gone(first)
    await host.close()


async def test_a_host_that_cannot_start_says_so(tmp_path: Path) -> None:
    missing = environments.Environment("lm_eval", "0.4.13", tmp_path, tmp_path / "no-python", "")

    with pytest.raises(HostUnavailable, match="does not start"):
        await EngineHost().start(missing, tmp_path)


async def test_a_malformed_specification_is_an_error_of_the_run(runner: Runner) -> None:
    spec, folder = runner.spec("practice_arithmetic", "chat", "http://127.0.0.1:9/v1")
    (folder / "spec.json").write_text("{")
    outcome = await asyncio.to_thread(runner._cold, spec, folder)

    assert outcome.error["code"] == "bad_spec"


async def test_the_credential_turns_up_nowhere(own_runner: Runner, tmp_path: Path) -> None:
    with practice_model("--refuse", "401") as url:
        refused = await own_runner.hosted("practice_arithmetic", "chat", url)
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    with practice_model("--api-key-file", str(key_file), "--fail-rate", "0.3") as url:
        answered = await own_runner.hosted("practice_arithmetic", "chat", url, max_error_rate=1.0)
        live = await own_runner.begin("practice_cloze", "completions", url)
        cmdline = Path(f"/proc/{live.process.pid}/cmdline").read_bytes()
        environ = Path(f"/proc/{live.process.pid}/environ").read_bytes()
        live.process.kill()
        await live.process.wait()
        live.close()
        cold = await own_runner.cold("practice_arithmetic", "chat", url, limit=3, max_error_rate=1.0)
    key_file.unlink()

    assert answered.result.n_scored > 0
    assert cold.result.n_scored + cold.result.n_errored == 3
    assert refused.error["code"] == "model_refused"
    assert KEY.encode() not in cmdline + environ
    assert KEY not in str([refused.events, answered.events, cold.events])
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


async def test_a_run_keeps_to_its_limits(runner: Runner) -> None:
    runner.limits = {"nofile": 200, "memory_bytes": 4 << 30, "cpu_seconds": 300, "nice": 5}
    with practice_model("--hang-rate", "1") as url:
        live = await runner.begin("practice_arithmetic", "chat", url)
        await live.first("progress")
        process = Path(f"/proc/{live.process.pid}")
        limits = (process / "limits").read_text()
        nice = int((process / "stat").read_text().rpartition(")")[2].split()[16])
        descriptors = {os.readlink(entry) for entry in (process / "fd").iterdir() if int(entry.name) < 3}
        live.process.kill()
        await live.process.wait()
    live.close()

    found = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()}
    assert found["Max open files"] == "200"
    assert found["Max address space"] == str(4 << 30)
    assert found["Max cpu time"] == "300"
    assert nice == 5
    assert descriptors == {"/dev/null", str(live.folder / "stdout"), str(live.folder / "stderr")}
