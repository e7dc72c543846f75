"""An adapter made with eval-hub-sdk as its documentation says: asks the model a few questions and reports a score.

The parameter `fail` makes it raise; `note` names a file that is told what the adapter saw of its credentials.
"""

import json
import sys
import time
import urllib.request

from evalhub.adapter import (
    DefaultCallbacks,
    EvaluationResult,
    FrameworkAdapter,
    JobCallbacks,
    JobPhase,
    JobResults,
    JobSpec,
    JobStatus,
    JobStatusUpdate,
)
from evalhub.adapter.auth import read_model_auth_key, resolve_model_credentials
from evalhub.adapter.models import MessageInfo


class ArithmeticAdapter(FrameworkAdapter):  # type: ignore[misc]  # the SDK is not typed for us
    """Scores how often the model answers at all."""

    def run_benchmark_job(self, config: JobSpec, callbacks: JobCallbacks) -> JobResults:
        began = time.monotonic()
        callbacks.report_status(JobStatusUpdate(status=JobStatus.RUNNING, phase=JobPhase.INITIALIZING))
        key = resolve_model_credentials().api_key
        if note := config.parameters.get("note"):
            seen = {"key": key, "again": read_model_auth_key("api-key"), "url": config.model.url}
            base = str(self.local_jobs_base_path)
            with open(note, "w", encoding="utf-8") as file:
                json.dump(seen | {"callback": config.callback_url, "base": base}, file)
        if config.parameters.get("fail"):
            raise RuntimeError("the data set is missing")
        callbacks.report_status(JobStatusUpdate(status=JobStatus.RUNNING, phase=JobPhase.RUNNING_EVALUATION, progress=0.5))
        questions = [f"What is {i} + {i}?" for i in range(config.num_examples or 2)]
        answers = [self._ask(config, key, question) for question in questions]
        score = sum(bool(answer) for answer in answers) / len(answers)
        return JobResults(
            id=config.id,
            benchmark_id=config.benchmark_id,
            benchmark_index=config.benchmark_index,
            model_name=config.model.name,
            results=[EvaluationResult(metric_name="answered", metric_value=score)],
            num_examples_evaluated=len(answers),
            duration_seconds=time.monotonic() - began,
        )

    def _ask(self, config: JobSpec, key: str | None, question: str) -> str:
        body = {"model": config.model.name, "messages": [{"role": "user", "content": question}], "max_tokens": 4}
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        request = urllib.request.Request(f"{config.model.url}/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return str(json.load(response)["choices"][0]["message"]["content"])


def main() -> int:
    adapter = ArithmeticAdapter()
    callbacks = DefaultCallbacks.from_adapter(adapter)
    try:
        callbacks.report_results(adapter.run_benchmark_job(adapter.job_spec, callbacks))
    except Exception as error:
        message = MessageInfo(message=str(error), message_code="evaluation_failed")
        callbacks.report_status(JobStatusUpdate(status=JobStatus.FAILED, error_message=message))
        return 1
    print("EVALUATION COMPLETE")
    return 0


if __name__ == "__main__":
    sys.exit(main())
