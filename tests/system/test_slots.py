"""Two hundred runs at once never use more slots than there are, and leave the server small."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from .deployment import Deployment

_ADAPTER = Path(__file__).with_name("reporting_adapter.py")
_SLOTS = 3


def test_two_hundred_runs_share_three_slots_and_all_complete(deploy: Callable[..., Deployment], tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    providers = tmp_path / "catalogue" / "providers"
    providers.mkdir(parents=True)
    command = f"{sys.executable} -I -S {_ADAPTER} {journal}"
    (providers / "noting.yaml").write_text(
        f"id: noting\nname: noting\nbenchmarks: [{{id: b}}]\nruntime: {{local: {{command: '{command}'}}}}\n"
    )
    deployment = deploy("--slots", str(_SLOTS), "--catalog", str(tmp_path / "catalogue"))
    benchmarks = [{"provider_id": "noting", "id": "b"} for _ in range(50)]
    jobs = [deployment.submit(benchmarks, "http://127.0.0.1:9/v1") for _ in range(4)]
    documents = [deployment.ended(job_id) for job_id in jobs]
    assert [document["status"]["state"] for document in documents] == ["completed"] * 4
    assert sum(len(document["results"]["benchmarks"]) for document in documents) == 200

    together = most = 0
    for line in journal.read_text().split():
        together += 1 if line == "start" else -1
        most = max(most, together)
    assert journal.read_text().count("start") == 200
    assert 1 < most <= _SLOTS
    assert deployment.process is not None
    status = Path(f"/proc/{deployment.process.pid}/status").read_text()
    peak_kib = int(status.split("VmHWM:")[1].split()[0])
    assert peak_kib <= 150 * 1024
