"""What becomes of jobs and runs, counted as it is committed (see `store.changes`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric

from assay.model.states import TERMINAL_JOBS, TERMINAL_STATUSES, JobState, Status
from assay.server.metrics.series import OTEL_BOUNDS, Distribution, Tallies, counter, edges_of, histogram
from assay.store.changes import Change, JobMoved, RunMoved

_DOUBLING = tuple(2**n for n in range(14))
"""Bounds of durations: 1 s to a little over two hours."""
_SECONDS = edges_of(_DOUBLING, OTEL_BOUNDS)
_FAILURES = (JobState.FAILED, JobState.PARTIALLY_FAILED)
_RUNTIMES = {"process": "local"}
"""Runtimes that EvalHub calls otherwise."""


class _Jobs:
    """The jobs of one tenant, first provider and collection."""

    __slots__ = ("failures", "moves", "seconds")

    def __init__(self) -> None:
        self.moves: dict[JobState, int] = {}
        self.failures = 0
        self.seconds = Distribution(_SECONDS)

    def count(self, change: JobMoved) -> None:
        state = change.state
        self.moves[state] = self.moves.get(state, 0) + 1
        # An adapter's late report may overrule a failure; the job has ended before, and ends only once.
        if state in TERMINAL_JOBS and change.before not in TERMINAL_JOBS:
            self.seconds.add(change.age_s)
            self.failures += state in _FAILURES


class _Runs:
    """The runs of one tenant, provider and benchmark."""

    __slots__ = ("ends", "seconds")

    def __init__(self) -> None:
        self.ends: dict[Status, int] = {}
        self.seconds = Distribution(_SECONDS)


class _Count:
    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


class Transitions:
    """Counts every change that this process commits, once."""

    def __init__(self) -> None:
        self._jobs, self._runs, self._acts = Tallies(_Jobs), Tallies(_Runs), Tallies(_Count)

    def told(self, changes: Iterable[Change]) -> None:
        """Count what was committed."""
        for change in changes:
            if isinstance(change, JobMoved):
                self._jobs.of((), (change.tenant, change.provider, change.collection)).count(change)
            elif not isinstance(change, RunMoved):
                self._acts.of((change.action, change.runtime), (change.tenant,)).n += 1
            elif change.status in TERMINAL_STATUSES:
                runs = self._runs.of((), (change.tenant, change.provider, change.benchmark))
                runs.ends[change.status] = runs.ends.get(change.status, 0) + 1
                if change.took_s is not None:
                    runs.seconds.add(change.took_s)

    def collect(self) -> Iterator[Metric]:
        """Return the families of series."""
        yield from self._of_jobs()
        yield from self._of_benchmarks()
        yield counter(
            "evalhub_evaluation_job_actions",
            "What users did with jobs.",
            ("action", "runtime", "tenant"),
            (((action, _RUNTIMES.get(runtime, runtime), *chosen), t.n) for (action, runtime), chosen, t in self._acts),
        )

    def _of_jobs(self) -> Iterator[Metric]:
        tallies = [(tenant, provider, collection, tally) for _, (tenant, provider, collection), tally in self._jobs]
        moves = [
            (state, tenant, provider, collection, n)
            for tenant, provider, collection, tally in tallies
            for state, n in list(tally.moves.items())
        ]
        yield counter(
            "evalhub_evaluation_jobs",
            "Jobs that went to a state.",
            ("status", "provider", "collection"),
            (((state, provider, collection), n) for state, _, provider, collection, n in moves),
        )
        yield counter(
            "evalhub_eval_job_state_transitions",
            "Jobs that went to a state, by tenant.",
            ("status", "provider", "collection", "tenant"),
            (((state, provider, collection, tenant), n) for state, tenant, provider, collection, n in moves),
        )
        yield counter(
            "evalhub_evaluation_job_completions",
            "Jobs that ended, by tenant.",
            ("state", "tenant"),
            (((state, tenant), n) for state, tenant, _, _, n in moves if state in TERMINAL_JOBS),
        )
        yield counter(
            "evalhub_evaluation_errors",
            "Jobs that ended with failed benchmarks.",
            ("error_type", "provider"),
            ((("job_failed", provider), tally.failures) for _, provider, _, tally in tallies if tally.failures),
        )
        ended = [(t, p, c, tally.seconds) for t, p, c, tally in tallies if any(tally.seconds.counts)]
        yield histogram(
            "evalhub_evaluation_job_duration_seconds",
            "Time from a job's creation to its end.",
            ("provider", "collection"),
            _DOUBLING,
            (((provider, collection), seconds) for _, provider, collection, seconds in ended),
        )
        yield histogram(
            "evalhub_eval_job_duration_seconds",
            "Time from a job's creation to its end, by tenant.",
            ("provider", "collection", "tenant"),
            OTEL_BOUNDS,
            (((provider, collection, tenant), seconds) for tenant, provider, collection, seconds in ended),
        )

    def _of_benchmarks(self) -> Iterator[Metric]:
        tallies = [(tenant, provider, benchmark, tally) for _, (tenant, provider, benchmark), tally in self._runs]
        ends = [
            ((provider, benchmark, status), tenant, n)
            for tenant, provider, benchmark, tally in tallies
            for status, n in list(tally.ends.items())
        ]
        yield counter(
            "evalhub_benchmark_completions",
            "Benchmarks that ended.",
            ("provider", "benchmark_name", "status"),
            ((labels, n) for labels, _, n in ends),
        )
        yield counter(
            "evalhub_eval_benchmark_completions",
            "Benchmarks that ended, by tenant.",
            ("provider", "benchmark_name", "status", "tenant"),
            (((*labels, tenant), n) for labels, tenant, n in ends),
        )
        yield histogram(
            "evalhub_benchmark_duration_seconds",
            "Time from a benchmark's start to its end.",
            ("provider", "benchmark_name"),
            _DOUBLING,
            (((p, b), tally.seconds) for _, p, b, tally in tallies if any(tally.seconds.counts)),
        )
