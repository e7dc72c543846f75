"""An adapter that uses MLflow's own library (it runs with the Python of MLflow's environment) and the standard library.

It writes a run with a metric and an artifact, tries to delete the experiment, and reports what came of that.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException


def main() -> int:
    job = json.loads(Path(os.environ["EVALHUB_JOB_SPEC_PATH"]).read_text())
    experiment = mlflow.set_experiment(job["experiment_name"])
    with mlflow.start_run() as run:
        mlflow.log_metric("acc", 0.75)
        mlflow.log_text("what it said", "answers/first.txt")
        read_back = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/answers/first.txt")
    try:
        mlflow.delete_experiment(experiment.experiment_id)
        deleted = "yes"
    except MlflowException as refusal:
        deleted = str(refusal)
    event = {
        "provider_id": job["provider_id"],
        "id": job["benchmark_id"],
        "benchmark_index": job["benchmark_index"],
        "status": "completed",
        "metrics": {"acc": 0.75},
        "additional_info": {"read_back": read_back, "deleted": deleted},
        "mlflow_run_id": run.info.run_id,
    }
    url = f"{job['callback_url']}/api/v1/evaluations/jobs/{job['id']}/events"
    body = json.dumps({"benchmark_status_event": event}).encode()
    urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=30).close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
