"""An adapter made with eval-hub-sdk that writes its results to MLflow as the SDK does, with an artifact of some size.

The parameter `note` names a file that is told the whole environment; `size` is how large the artifact is, in bytes.
"""

import json
import os
import sys
from pathlib import Path

from evalhub.adapter import (
    DefaultCallbacks,
    EvaluationResult,
    FrameworkAdapter,
    JobCallbacks,
    JobResults,
    JobSpec,
)
from evalhub.adapter.mlflow import MlflowArtifact


class TrackingAdapter(FrameworkAdapter):  # type: ignore[misc]  # the SDK is not typed for us
    """Scores everything with 0.75."""

    def run_benchmark_job(self, config: JobSpec, callbacks: JobCallbacks) -> JobResults:
        if note := config.parameters.get("note"):
            Path(note).write_text(json.dumps({"environment": dict(os.environ), "job": config.model_dump(mode="json")}))
        return JobResults(
            id=config.id,
            benchmark_id=config.benchmark_id,
            benchmark_index=config.benchmark_index,
            model_name=config.model.name,
            results=[EvaluationResult(metric_name="acc", metric_value=0.75)],
            num_examples_evaluated=4,
            duration_seconds=1.0,
        )


def main() -> int:
    adapter = TrackingAdapter()
    callbacks = DefaultCallbacks.from_adapter(adapter)
    results = adapter.run_benchmark_job(adapter.job_spec, callbacks)
    content = b"x" * int(adapter.job_spec.parameters.get("size", 10))
    artifacts = [MlflowArtifact("samples/all.txt", content, "text/plain")]
    results.mlflow_run_id = callbacks.mlflow.save(results, adapter.job_spec, artifacts)
    callbacks.report_results(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
