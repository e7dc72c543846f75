"""Started by the peer: runs the plain `lm_eval` command and reports its result, with the standard library alone.

Arguments: the folder to run in, the environment as JSON, the command.
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path


def main(folder: str, environment: str, *command: str) -> None:
    """Run the command and post one completed event."""
    with open(os.environ["EVALHUB_JOB_SPEC_PATH"], encoding="utf-8") as file:
        spec = json.load(file)
    subprocess.run(command, cwd=folder, env=json.loads(environment), check=True)
    output = Path(command[command.index("--output_path") + 1])
    newest = max(output.rglob("results_*.json"), key=lambda path: path.stat().st_mtime)
    (task,) = json.loads(newest.read_text())["results"].values()
    metrics = {name.split(",")[0]: value for name, value in task.items() if isinstance(value, float)}
    event = {
        "provider_id": spec["provider_id"],
        "id": spec["benchmark_id"],
        "benchmark_index": spec["benchmark_index"],
        "status": "completed",
        "metrics": metrics,
    }
    url = f"{spec['callback_url']}/api/v1/evaluations/jobs/{spec['id']}/events"
    body = json.dumps({"benchmark_status_event": event}).encode()
    urllib.request.urlopen(urllib.request.Request(url, body), timeout=10).close()


main(*sys.argv[1:])
