"""Keeps samples without an answer out of the scores.

lm_eval scores every document of a task. Here a document with a failed request is kept from the task's
filters, contributes to no metric, and is counted; everything else is filtered and scored by the library as
always. Both changes are made on the task object, so aggregation, standard errors and groups see an ordinary,
smaller task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from .model import Failed

Document = tuple[str, int]
"""Task name and document number."""


class SampleProgress:
    """Counts finished samples: a sample is done when all requests made for it are."""

    def __init__(self, report: Callable[[int, int, str], None]) -> None:
        self._report = report
        self._open: Counter[Document] = Counter()
        self._total = 0
        self._done = 0

    def expect(self, instances: list[Any]) -> None:
        """Take on the samples of a task."""
        before = len(self._open)
        for instance in instances:
            self._open[instance.task_name, instance.doc_id] += instance.repeats or 1
        self._total += len(self._open) - before
        if instances:
            self._report(self._done, self._total, instances[0].task_name)

    def finished(self, instance: Any) -> None:
        """One request of `instance` has its answer, or has failed."""
        document = (instance.task_name, instance.doc_id)
        self._open[document] -= 1
        if self._open[document] == 0:
            self._done += 1
            self._report(self._done, self._total, instance.task_name)


def isolate(task: Any, progress: SampleProgress) -> None:
    """Change `task` so that samples with a failed request are counted but not scored, and so that
    `progress` knows its samples.
    """
    build, apply, score = task.build_all_requests, task.apply_filters, task.process_results

    def build_all_requests(**options: Any) -> None:
        build(**options)
        progress.expect(task._instances)

    def apply_filters() -> Any:
        everything = task._instances
        failed = failures(task)
        task._instances = [instance for instance in everything if instance.doc_id not in failed]
        try:
            applied = apply() if task._instances else None
        finally:
            task._instances = everything
        for instance in everything:
            if instance.doc_id in failed:
                instance.filtered_resps = dict.fromkeys(filter_names(task), failed[instance.doc_id])
        return applied

    def process_results(doc: Any, results: Any) -> Any:
        return {} if any(isinstance(result, Failed) for result in results) else score(doc, results)

    task.build_all_requests = build_all_requests
    task.apply_filters = apply_filters
    task.process_results = process_results


def failures(task: Any) -> dict[int, Failed]:
    """Return the first failure of every document of `task` that has one, by document number."""
    found: dict[int, Failed] = {}
    for instance in task._instances:
        for answer in instance.resps:
            if isinstance(answer, Failed):
                found.setdefault(instance.doc_id, answer)
    return found


def planned(task: Any) -> int:
    """Return how many documents of `task` the run evaluates."""
    return len({instance.doc_id for instance in task._instances})


def filter_names(task: Any) -> list[str]:
    """Return the names of the task's filters in their order; the first is the one its plain metrics belong
    to.
    """
    return [ensemble.name for ensemble in getattr(task, "_filters", None) or []] or ["none"]
