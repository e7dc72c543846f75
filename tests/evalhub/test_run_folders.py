"""What a run finds on the worker's disk, and what is left of it there."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from tests.evalhub.live import Live, until
from tests.server import catalogue
from tests.server.catalogue import provider
from tests.server.serving import serving

_BY_HAND = Path(__file__).parent / "by_hand.py"


def test_nothing_is_left_of_a_run(live: Live) -> None:
    job_id = live.steps(["post", {"status": "completed"}])
    live.ended(job_id)
    (run,) = live.attempts(job_id)
    until(lambda: not (live.served.data / "runs" / "local" / run).exists(), "the end of the folder")


def test_that_files_were_brought_does_not_hide_what_the_adapter_says_of_itself(tmp_path: Path) -> None:
    written = catalogue.write(
        tmp_path / "catalogue", provider("by-hand", f"exec {shlex.quote(sys.executable)} {shlex.quote(str(_BY_HAND))}")
    )
    with serving(tmp_path, "--catalog", str(written), worker=True, ASSAY_LEASE_SECONDS="3") as running:
        live, end = Live(running, 10), tmp_path / "end"
        job_id = live.steps(
            ["post", {"status": "running", "phase": "running_evaluation"}],
            ["wait", str(end)],
            ["post", {"status": "completed"}],
        )

        def row() -> Any:
            return live.api.job(job_id)["status"]["benchmarks"][0]

        def beats() -> set[str]:
            seen.add(live.api.get("/api/v1/workers").json["items"][0]["seen_at"])
            return seen if len(seen) > 4 else set()

        until(lambda: row().get("phase") == "running_evaluation", "the adapter's word")
        seen: set[str] = set()
        until(beats, "the worker's next heartbeats")
        assert row()["phase"] == "running_evaluation"
        end.touch()
        live.ended(job_id)


def test_a_folder_is_kept_as_long_as_the_settings_say_even_over_a_restart(tmp_path: Path) -> None:
    command = f"echo result > result.txt; exec {shlex.quote(sys.executable)} {shlex.quote(str(_BY_HAND))}"
    written = catalogue.write(
        tmp_path / "catalogue", provider("by-hand", f'cd "$(dirname "$EVALHUB_JOB_SPEC_PATH")/.."; {command}')
    )
    flags = ("--catalog", str(written))
    with serving(tmp_path, *flags, worker=True, ASSAY_KEEP_FOLDERS_SECONDS="3600") as running:
        live = Live(running, 10)
        job_id = live.steps(["post", {"status": "completed"}])
        live.ended(job_id)
        (run,) = live.attempts(job_id)
    folder = tmp_path / "data" / "runs" / "local" / run / "1"
    with serving(tmp_path, *flags, worker=True, ASSAY_KEEP_FOLDERS_SECONDS="3600") as running:
        live = Live(running, 10)
        live.ended(live.steps(["post", {"status": "completed"}]))
        assert (folder / "result.txt").read_text() == "result\n"
        assert (folder / "meta" / "job.json").exists()
    with serving(tmp_path, *flags, worker=True) as running:
        live = Live(running, 10)
        live.ended(live.steps(["post", {"status": "completed"}]))
        until(lambda: not folder.exists(), "the end of the folder")
