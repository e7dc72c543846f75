"""The adapter of the record's jobs: sleeps, then reports the metrics that its parameters name, fails or dies.

A program of its own: `python adapter.py`, started by a worker.
"""

import datetime
import http.client
import json
import os
import time
from typing import Any
from urllib.parse import urlsplit

_CARD = {
    "aggregate_results": {},
    "autograder_bias": {},
    "capture_completeness": 0.08,
    "confidence_intervals": {},
    "custom": {},
    "k8s_pod_labels": {},
    "k8s_resource_limits": {},
    "key_packages": {},
    "os_info": "Linux-6.x",
    "per_task_results": {},
    "python_version": "3.11",
    "scorer_ids": [],
}


def main() -> None:
    """Carry out the job that EVALHUB_JOB_SPEC_PATH names."""
    with open(os.environ["EVALHUB_JOB_SPEC_PATH"], encoding="utf-8") as opened:
        spec: dict[str, Any] = json.load(opened)
    parameters = spec["parameters"]
    for number in range(10):
        print("line", number, flush=True)  # noqa: T201 - what a program prints is its log
    _report(spec, status="running", phase="running_evaluation")
    if parameters.get("crash"):
        os._exit(3)
    time.sleep(parameters.get("sleep", 0))
    if parameters.get("fail"):
        message = {"message": "asked to fail", "message_code": "tiny_failed", "message_origin": "adapter"}
        _report(spec, status="failed", error_message=message)
        return
    _report(
        spec,
        status="completed",
        metrics={"acc": parameters.get("acc", 0.8), "latency": 0.25},
        artifacts={"evalhub.env_card": _CARD},
        completed_at=datetime.datetime.now(datetime.UTC).isoformat(),
    )


def _report(spec: dict[str, Any], **members: Any) -> None:
    about = {"provider_id": spec["provider_id"], "id": spec["benchmark_id"], "benchmark_index": spec["benchmark_index"]}
    target = urlsplit(spec["callback_url"])
    connection = http.client.HTTPConnection(target.hostname or "", target.port)
    path = f"{target.path}/api/v1/evaluations/jobs/{spec['id']}/events"
    connection.request("POST", path, json.dumps({"benchmark_status_event": {**about, **members}}))
    connection.getresponse().read()


if __name__ == "__main__":
    main()
