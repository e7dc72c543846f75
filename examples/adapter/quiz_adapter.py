"""An adapter: a program that carries a benchmark out for Assay, or for EvalHub, unchanged.

It is started once for each run. Its job is in a file, its model and its reports go through the URLs named there, so it
needs no key and no address of its own. Needs `pip install 'eval-hub-sdk[adapter]'` where it runs.
"""

import json
import sys
import time
import urllib.error
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
    MessageInfo,
    read_model_auth_key,
)

QUESTIONS = (
    ("What is 7 plus 5?", "12"),
    ("What is 3 plus 4?", "7"),
    ("What is 9 minus 2?", "7"),
    ("What is 6 times 3?", "18"),
    ("What is 8 plus 8?", "16"),
    ("What is 5 times 5?", "25"),
    ("What is 12 minus 7?", "5"),
    ("What is 17 times 19?", "323"),
)


class QuizAdapter(FrameworkAdapter):
    """Asks the questions and counts the right answers."""

    def run_benchmark_job(self, config: JobSpec, callbacks: JobCallbacks) -> JobResults:
        """Return accuracy over the questions that were answered, and the share that was."""
        began = time.monotonic()
        callbacks.report_status(JobStatusUpdate(status=JobStatus.RUNNING, phase=JobPhase.RUNNING_EVALUATION))
        questions = QUESTIONS[: config.num_examples]
        right = answered = 0
        for question, expected in questions:
            try:
                answer = ask(config, question)
            except urllib.error.URLError as error:
                print(f"{question}: no answer ({error})")
                continue
            answered += 1
            right += answer == expected
            print(f"{question} {answer} ({'right' if answer == expected else f'wrong, it is {expected}'})")
        if not answered:
            raise RuntimeError("the model answered none of the questions")
        return JobResults(
            id=config.id,
            benchmark_id=config.benchmark_id,
            benchmark_index=config.benchmark_index,
            model_name=config.model.name,
            results=[
                EvaluationResult(metric_name="accuracy", metric_value=right / answered, num_samples=answered),
                EvaluationResult(metric_name="answered", metric_value=answered / len(questions)),
            ],
            num_examples_evaluated=answered,
            duration_seconds=time.monotonic() - began,
        )


def ask(config: JobSpec, question: str) -> str:
    """Return the model's answer. Retries are not needed: Assay's gateway, which the URL leads to, makes them."""
    body = {
        "model": config.model.name,
        "messages": [{"role": "user", "content": f"{config.parameters.get('prefix', '')}{question}"}],
        "max_tokens": 16,
        "temperature": 0,
    }
    headers = {"Content-Type": "application/json"}
    if key := read_model_auth_key("api-key"):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(f"{config.model.url}/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as response:
        content = json.load(response)["choices"][0]["message"]["content"]
    return (content or "").strip()


def main() -> int:
    """Carry out the job of this process and report how it went."""
    adapter = QuizAdapter()
    callbacks = DefaultCallbacks.from_adapter(adapter)
    try:
        results = adapter.run_benchmark_job(adapter.job_spec, callbacks)
    except Exception as error:
        message = MessageInfo(message=str(error), message_code="quiz_failed")
        callbacks.report_status(JobStatusUpdate(status=JobStatus.FAILED, error_message=message))
        return 1
    callbacks.report_results(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
