"""What the API answers with: the shapes of its documents, for its description.

Each is put together from the shape that reads the same thing, so that the two cannot say different things.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from assay.model import notices, offering, submission
from assay.model.forecast import WAITS_FOR
from assay.model.results import ORIGINS
from assay.model.shapes import Failure, Flag, Free, Integer, ListOf, Member, Number, Object, Shape, Text, TextMap
from assay.model.states import JobState, RunState, Status, WorkerState


@dataclass(frozen=True)
class Named:
    """A shape that the API's description keeps under a name of its own."""

    name: str
    shape: Object

    def read(self, value: Any, path: str, failures: list[Failure]) -> Any:
        """Read as the shape does."""
        return self.shape.read(value, path, failures)

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        """Return the reference to it."""
        return {"$ref": f"#/components/schemas/{self.name}"}


_COUNT: Final = Integer(least=0)
_TEXT: Final = submission.TEXT
_TIME: Final = submission.TIME
_MESSAGE: Final = Object(
    (
        Member("message", _TEXT, required=True),
        Member("message_code", _TEXT, required=True),
        Member("message_origin", Text(one_of=sorted(ORIGINS)), required=True),
    )
)
_RESOURCE: Final = (
    Member("id", _TEXT, required=True),
    Member("tenant", _TEXT),
    Member("created_at", _TIME, required=True),
    Member("updated_at", _TIME, required=True),
    Member("owner", _TEXT),
)
_BENCHMARK: Final = (
    Member("id", _TEXT, required=True),
    Member("provider_id", _TEXT, required=True),
    Member("benchmark_index", _COUNT, required=True),
)
_STATUS: Final = Object(
    (
        Member("state", Text(one_of=list(JobState)), required=True),
        Member("message", _MESSAGE, required=True),
        Member(
            "benchmarks",
            ListOf(
                Object(
                    (
                        *_BENCHMARK,
                        Member("status", Text(one_of=list(Status)), required=True),
                        Member("phase", Text(one_of=submission.PHASES)),
                        Member("error_message", _MESSAGE),
                        Member("warning_message", _MESSAGE),
                        Member("started_at", _TIME),
                        Member("completed_at", _TIME),
                        Member(
                            "progress",
                            Object((Member("done", _COUNT, required=True), Member("total", _COUNT, required=True))),
                        ),
                        Member("attempts", _COUNT),
                    )
                )
            ),
            required=True,
        ),
    )
)
_JOB_TEST: Final = Object(
    (
        Member("score", Number(), required=True),
        Member("threshold", Number(), required=True),
        Member("pass", Flag(), required=True),
        Member("excluded", ListOf(_COUNT)),
    )
)
_BENCHMARK_TEST: Final = Object(
    (
        Member("primary_score", Number(), required=True),
        Member("primary_score_metric", _TEXT, required=True),
        Member("threshold", Number(), required=True),
        Member("pass", Flag(), required=True),
    )
)
_CARD: Final = Object(
    (
        Member("status", Object((Member("state", _TEXT, required=True), Member("message", _MESSAGE))), required=True),
        Member(
            "evaluation_card",
            Object(tuple(Member(name, _TEXT) for name in ("oci_digest", "oci_reference", "run_id"))),
        ),
    )
)
_RESULTS: Final = Object(
    (
        Member("test", _JOB_TEST),
        Member("mlflow_experiment_url", _TEXT),
        Member("oci", _CARD),
        Member("mlflow", _CARD),
        Member(
            "benchmarks",
            ListOf(
                Object(
                    (
                        *_BENCHMARK,
                        Member("metrics", Free()),
                        Member("metrics_schema", submission.METRICS_SCHEMA),
                        Member("additional_info", Free()),
                        Member("artifacts", Free()),
                        Member("mlflow_run_id", _TEXT),
                        Member("logs_path", _TEXT),
                        Member("test", _BENCHMARK_TEST),
                    )
                )
            ),
        ),
    )
)
_COLLECTION_OF_JOB: Final = Object(
    (*submission.COLLECTION_REFERENCE.members, Member("collection_updated_at", _TIME, required=True))
)


def _with(members: tuple[Member, ...], shape: Object, **replaced: Shape) -> Object:
    """Return a document: `members`, then those of the shape that was read."""
    read = (Member(m.name, replaced.get(m.name, m.shape), m.required, always=m.always) for m in shape.members)
    return Object((*members, *read))


_RESOURCE_OF_JOB: Final = Object((*_RESOURCE, Member("mlflow_experiment_id", _TEXT)))
JOB: Final = Named(
    "Job",
    _with(
        (
            Member("resource", _RESOURCE_OF_JOB, required=True),
            Member("status", _STATUS, required=True),
            Member("results", _RESULTS, required=True),
            Member("rerun_of", _TEXT),
        ),
        submission.JOB,
        collection=_COLLECTION_OF_JOB,
    ),
)
JOB_SUMMARY: Final = Named(
    "JobSummary",
    Object(
        (
            Member("resource", _RESOURCE_OF_JOB, required=True),
            Member("status", Object((Member("state", Text(one_of=list(JobState)), required=True),)), required=True),
            Member("results", Object((Member("test", _JOB_TEST, required=True),))),
            Member("name", _TEXT, required=True),
            Member("model", Object((Member("name", _TEXT, required=True),)), required=True),
            Member("collection", Object((Member("id", _TEXT, required=True),))),
        )
    ),
)
"""What `fields=summary` shows of a job."""
PROVIDER: Final = Named("Provider", _with((Member("resource", Object(_RESOURCE), required=True),), offering.PROVIDER))
COLLECTION: Final = Named(
    "Collection",
    _with(
        (
            Member("resource", Object(_RESOURCE), required=True),
            Member("derived_from", _TEXT),
            Member("pinned_order", _COUNT),
            Member("status", Object((Member("run_count", _COUNT),))),
        ),
        offering.COLLECTION,
    ),
)
BENCHMARK: Final = Named("Benchmark", _with((Member("provider_id", _TEXT, required=True),), offering.BENCHMARK_ENTRY))
_LINK: Final = Object((Member("href", Text(format="uri-reference"), required=True),))


@dataclass(frozen=True)
class Either:
    """One of several shapes."""

    shapes: tuple[Named, ...]

    def read(self, value: Any, path: str, failures: list[Failure]) -> Any:
        """Read as the first shape does."""
        return self.shapes[0].read(value, path, failures)

    def schema(self, *, written: bool = False) -> dict[str, Any]:
        """Return the JSON Schema of a value of any of them."""
        return {"anyOf": [shape.schema(written=written) for shape in self.shapes]}


def page_of(name: str, item: Shape) -> Named:
    """Return a page of documents."""
    members = (
        Member("first", _LINK, required=True),
        Member("next", _LINK),
        Member("limit", _COUNT, required=True),
        Member("total_count", _COUNT, required=True),
        Member("items", ListOf(item), required=True),
    )
    return Named(name, Object(members))


JOBS: Final = page_of("JobPage", Either((JOB, JOB_SUMMARY)))
PROVIDERS: Final = page_of("ProviderPage", PROVIDER)
COLLECTIONS: Final = page_of("CollectionPage", COLLECTION)
BENCHMARKS: Final = page_of("BenchmarkPage", BENCHMARK)
HISTORY: Final = Named(
    "History",
    Object(
        (
            Member(
                "items",
                ListOf(
                    Object(
                        (
                            Member("seq", _COUNT, required=True),
                            Member("at", _TIME, required=True),
                            Member("type", _TEXT, required=True),
                            Member("data", Free(), required=True),
                            Member("job_id", _TEXT, required=True),
                            Member("run_id", _TEXT),
                        )
                    )
                ),
                required=True,
            ),
            Member("next", _LINK),
        )
    ),
)
WEBHOOK: Final = Named(
    "Webhook",
    Object(
        (
            Member("resource", Object(_RESOURCE), required=True),
            *(member for member in notices.WEBHOOK.members if member.name != "paused"),
            Member("paused", Flag(), required=True),
        )
    ),
)
WEBHOOKS: Final = page_of("WebhookPage", WEBHOOK)
DELIVERY: Final = Named(
    "Delivery",
    Object(
        (
            Member("number", _COUNT, required=True),
            Member("id", _TEXT, required=True),
            Member("type", _TEXT, required=True),
            Member("state", Text(one_of=("pending", "delivered", "failed")), required=True),
            Member("attempts", _COUNT, required=True),
            Member("created_at", _TIME, required=True),
            Member("job_id", _TEXT),
            Member("status", _COUNT),
            Member("message", _TEXT),
            Member("ended_at", _TIME),
            Member("next_attempt_at", _TIME),
        )
    ),
)
DELIVERIES: Final = Named("Deliveries", Object((Member("items", ListOf(DELIVERY), required=True), Member("next", _LINK))))
ARTIFACTS: Final = Named(
    "Artifacts",
    Object(
        (
            Member(
                "items",
                ListOf(
                    Object(
                        (
                            Member("name", _TEXT, required=True),
                            Member("digest", _TEXT, required=True),
                            Member("size", _COUNT, required=True),
                            Member("media_type", _TEXT),
                        )
                    )
                ),
                required=True,
            ),
        )
    ),
)
HEALTH: Final = Named(
    "Health",
    Object(
        (
            Member("status", Text(one_of=("healthy", "unhealthy")), required=True),
            Member("timestamp", _TIME, required=True),
            Member("build", _TEXT, required=True),
            Member("git_hash", _TEXT),
            Member("checks", Object((Member("store", _TEXT, required=True), Member("redis", _TEXT))), required=True),
            Member("pid", _COUNT),
        )
    ),
)
QUEUE: Final = Named(
    "Queue",
    Object(
        (
            Member(
                "items",
                ListOf(
                    Object(
                        (
                            Member("position", _COUNT),
                            Member("job_id", _TEXT, required=True),
                            Member("benchmark_index", _COUNT, required=True),
                            Member("provider_id", _TEXT, required=True),
                            Member("benchmark_id", _TEXT, required=True),
                            Member("owner", _TEXT, required=True),
                            Member("priority", Integer(), required=True),
                            Member("attempt", _COUNT, required=True),
                            Member("queued_at", _TIME, required=True),
                            Member(
                                "waits_for",
                                Object(
                                    (
                                        Member("reason", Text(one_of=WAITS_FOR), required=True),
                                        Member("message", _TEXT, required=True),
                                    )
                                ),
                                required=True,
                            ),
                            Member("expected_start_at", _TIME),
                        )
                    )
                ),
                required=True,
            ),
            Member("total_count", _COUNT, required=True),
            Member("queued", _COUNT, required=True),
            Member(
                "slots",
                Object(tuple(Member(name, _COUNT, required=True) for name in ("total", "used", "workers"))),
                required=True,
            ),
        )
    ),
)
_KEY: Final = (
    Member("id", _TEXT, required=True),
    Member("name", _TEXT, required=True),
    Member("tenant", _TEXT, required=True),
    Member("user", _TEXT, required=True),
    Member("roles", ListOf(_TEXT), required=True),
    Member("addresses", ListOf(_TEXT), required=True),
    Member("created_at", _TIME, required=True),
    Member("expires_at", _TIME),
    Member("last_used_at", _TIME),
    Member("revoked_at", _TIME),
    Member("state", Text(one_of=("active", "expired", "revoked")), required=True),
)
KEY: Final = Named("Key", Object(_KEY))
NEW_KEY: Final = Named("NewKey", Object((*_KEY, Member("key", _TEXT, required=True))))
KEYS: Final = page_of("KeyPage", KEY)
USAGE: Final = Named(
    "Usage",
    Object(
        (
            Member("measured_at", _TIME, required=True),
            *(Member(f"{part}_bytes", _COUNT, required=True) for part in ("database", "blobs", "logs", "free")),
        )
    ),
)
CLEANUP: Final = Named(
    "Cleanup",
    Object(
        (
            Member("dry_run", Flag(), required=True),
            Member("tenants", Free(), required=True),
            *(Member(name, _COUNT, required=True) for name in ("jobs", "logs", "log_bytes", "events", "workers")),
        )
    ),
)
_WORKER: Final = (
    Member("name", _TEXT, required=True),
    Member("state", Text(one_of=list(WorkerState)), required=True),
    Member("alive", Flag(), required=True),
    Member("seen_at", _TIME, required=True),
    Member("registered_at", _TIME, required=True),
    *(Member(name, _COUNT, required=True) for name in ("slots", "held", "cpus", "memory")),
    Member(
        "gpus",
        ListOf(Object((Member("id", _TEXT, required=True), Member("name", _TEXT, always=True), Member("memory", _COUNT)))),
        required=True,
    ),
    Member("labels", TextMap(), required=True),
    Member("engines", TextMap(), required=True),
    Member("version", _TEXT, always=True),
    Member("protocol", _COUNT, required=True),
)
WORKERS: Final = Named("Workers", Object((Member("items", ListOf(Object(_WORKER)), required=True),)))
WORKER_WITH_RUNS: Final = Named(
    "Worker",
    Object(
        (
            *_WORKER,
            Member(
                "runs",
                ListOf(
                    Object(
                        (
                            *(Member(name, _TEXT, required=True) for name in ("run_id", "job_id", "provider_id", "id")),
                            Member("state", Text(one_of=list(RunState)), required=True),
                            Member("phase", _TEXT, always=True),
                            *(
                                Member(name, _COUNT, required=True)
                                for name in ("benchmark_index", "attempt", "done", "total")
                            ),
                        )
                    )
                ),
                required=True,
            ),
        )
    ),
)
LOG_SIZE: Final = Named("LogSize", Object((Member("size", _COUNT, required=True),)))
ERROR: Final = Named(
    "Error",
    Object(tuple(Member(name, _TEXT, required=True) for name in ("message_code", "message", "trace", "detail"))),
)
DOCUMENTS: Final = (
    JOB, JOB_SUMMARY, JOBS, PROVIDER, PROVIDERS, COLLECTION, COLLECTIONS, BENCHMARK, BENCHMARKS, HISTORY, ARTIFACTS, HEALTH,
    USAGE, CLEANUP, QUEUE, WORKERS, WORKER_WITH_RUNS, KEY, NEW_KEY, KEYS, LOG_SIZE, ERROR, WEBHOOK, WEBHOOKS, DELIVERY,
    DELIVERIES,
)  # fmt: skip
"""All of them."""
