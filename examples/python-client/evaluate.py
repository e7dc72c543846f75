"""Submit an evaluation, follow it, and read its results, with the Python client that ships with Assay.

    python evaluate.py --server http://127.0.0.1:8080 --model-url http://127.0.0.1:8400/v1 --model-name practice

Prints a line for every change, then each metric, the errored samples and where the samples were written. Exit code 0 if the
job completed, else 1. A server that asks for an API key gets that in ASSAY_API_KEY.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from assay.client import ClientError, Evaluations, Http
from assay.client.evaluations import ended, identity, state


def main() -> int:
    """Run one evaluation from end to end."""
    parser = argparse.ArgumentParser(description="Evaluate a model with Assay.")
    parser.add_argument("--server", default="http://127.0.0.1:8080")
    parser.add_argument("--model-url", default="http://127.0.0.1:8400/v1")
    parser.add_argument("--model-name", default="practice")
    parser.add_argument("--samples", type=Path, help="folder for the artifacts (default: a new temporary one)")
    arguments = parser.parse_args()

    evaluations = Evaluations(Http(arguments.server, key=os.environ.get("ASSAY_API_KEY")))
    try:
        # `submit` sends an Idempotency-Key, so a request that is repeated over a broken connection makes one job, not two.
        job = evaluations.submit(
            {
                "name": "from-python",
                "tags": ["example"],
                "model": {"url": arguments.model_url, "name": arguments.model_name},
                "benchmarks": [
                    {"provider_id": "practice", "id": "arithmetic", "parameters": {"num_examples": 20}},
                    {"provider_id": "practice", "id": "cloze", "parameters": {"num_examples": 20}, "weight": 2},
                ],
            }
        )
        job_id = identity(job)
        print(f"submitted {job_id}")
        follow(evaluations, job_id)
        return report(evaluations, job_id, arguments.samples or Path(tempfile.mkdtemp(prefix="assay-example-")))
    except ClientError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def follow(evaluations: Evaluations, job_id: str) -> None:
    """Print the job whenever it changes, until it has ended. The server answers as soon as there is something new."""
    seen = evaluations.look(job_id)
    while not ended(seen.job):
        rows = [f"{row['id']} {row['status']}" for row in seen.job["status"]["benchmarks"]]
        print(f"{state(seen.job)}: {', '.join(rows)}")
        seen = evaluations.wait_for_change(job_id, seen.etag) or seen


def report(evaluations: Evaluations, job_id: str, folder: Path) -> int:
    """Print what was measured, and fetch the samples."""
    job = evaluations.get(job_id)
    for row in job["status"]["benchmarks"]:
        if "error_message" in row:
            print(f"{row['id']} failed: {row['error_message']['message']}")
    for row in job["results"].get("benchmarks", []):
        metrics, test = row["metrics"], row.get("test")
        verdict = f", {'pass' if test['pass'] else 'fail'} at {test['threshold']}" if test else ""
        print(f"{row['provider_id']}/{row['id']}: {json.dumps(metrics)}{verdict}")
        index = row["benchmark_index"]
        for artifact in evaluations.artifacts(job_id, index):
            target = folder / f"{index}-{artifact['name']}"
            folder.mkdir(parents=True, exist_ok=True)
            evaluations.download(job_id, index, artifact, target)
            print(f"  wrote {target} ({artifact['size']} bytes)")
    if test := job["results"].get("test"):
        print(f"job {state(job)}: score {test['score']:.4f}, {'pass' if test['pass'] else 'fail'}")
    return 0 if state(job) == "completed" else 1


if __name__ == "__main__":
    sys.exit(main())
