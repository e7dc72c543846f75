"""The route table: every operation of the API, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assay.model import notices, offering, protocol, submission
from assay.model.access import Cost
from assay.model.errors import (
    BadQueryValue,
    BodyTooLarge,
    BodyTooSlow,
    CredentialInBody,
    DoesNotExist,
    EmptyCollection,
    EngineMissing,
    ExperimentTrackingOff,
    FolderUnavailable,
    ForeignBenchmark,
    IdempotencyMismatch,
    InvalidJson,
    InvalidPatchOperation,
    JobIsTerminal,
    LocalCodeRefused,
    ModelUrlRequired,
    NotAdministrator,
    NotFound,
    NotGrantable,
    NothingToRerun,
    NotOwner,
    PatchNotAllowed,
    PreflightFailed,
    ProtocolMismatch,
    QueryMismatch,
    QueryValueNotAllowed,
    ReservedUser,
    ShaIsReadOnly,
    StaleFence,
    StoreUnavailable,
    TooMany,
    TooManyBenchmarks,
    TooManyJobs,
    TooManyWatchers,
    UnknownEvent,
    UnknownQuery,
    UnknownWorker,
    ValidationFailed,
    WebhookPaused,
    WebhookRefused,
    WorkerInUse,
)
from assay.model.keys import REQUEST as KEY_REQUEST
from assay.model.states import WorkerState
from assay.scheduler.reruns import RERUN
from assay.server import answers, cleanup, docs, examples, health, keys, queue
from assay.server.evalhub import artifacts, benchmarks, events, exports, history, jobs, logs, stream
from assay.server.evalhub.resources import COLLECTIONS, PROVIDERS, SORTS, Face
from assay.server.routes import Header, Query, Route, Scope, Table
from assay.server.webhooks import deliveries
from assay.server.webhooks import resources as webhooks
from assay.server.workers import blobs, fleet, leases, runs

_BYTES = "application/octet-stream"
_TEXT = "text/plain"
_BODY = (InvalidJson, ValidationFailed, BodyTooLarge, BodyTooSlow, StoreUnavailable)
_WORK = (InvalidJson, BodyTooLarge, BodyTooSlow, StoreUnavailable)
_PAGE = (
    Query("limit", "integer", "items on a page; 0 for all"),
    Query("offset", "integer", "items to pass over"),
)
_ETAG = Header("ETag", "changes whenever the document does")
_WARNING = Header(
    "Warning", "members of the body that were ignored, and which known ones they may be meant for", always=False
)
_NAME = Header("Content-Disposition", "the name of the file")
_FILTERS = (
    *(
        Query(name, "string", "exact; `a,b` or `a|b` for one of several, `!a` for all but one")
        for name in ("status", "name", "owner", "experiment_id", "model", "collection_id")
    ),
    Query("tags", "string", "`a,b` for jobs with both tags, `a|b` for either, `!a` for jobs without it"),
    Query("created_after", "string", "an RFC 3339 time", format="date-time"),
    Query("created_before", "string", "an RFC 3339 time", format="date-time"),
)
_LOG_QUERY = (
    Query("tail_lines", "integer", "the last lines, 1 to 10000; -1 for all; default 1000", least=-1, most=10_000),
    Query("timestamps", "boolean", "put the time before each line"),
    Query("since_seconds", "integer", "only lines of the last so many seconds", least=1),
)
_STREAM_QUERY = (
    Query("last_event_id", "integer", "as the header, for those who cannot set headers; the header counts more"),
    Query("follow", "boolean", "false: end with what has happened until now"),
)
_STREAM_ERRORS = (UnknownEvent, BadQueryValue, UnknownQuery, TooManyWatchers)
_LAST_EVENT_ID = Header("Last-Event-ID", "the last event that was seen: the stream goes on after it; 0: from the start")
_FENCE = Query("fence", "integer", "the fence of the run's lease")
_SORTS = tuple(sign + name for name in SORTS for sign in ("", "-"))
_VALUES = {"scope": ("system", "tenant"), "sort_by": _SORTS}
_KINDS_OF_PARAMETERS = {"limit": "integer", "offset": "integer", "benchmarks": "boolean"}
_PURPOSES = {
    "limit": "items on a page; 0 for all",
    "offset": "items to pass over",
    "benchmarks": "false leaves each provider's benchmarks out",
    "scope": "system or tenant",
    "sort_by": "name, created_at, updated_at, pinned_order or run_count; a leading - turns the order round",
}
_JOBS = "/api/v1/evaluations/jobs"
_PROVIDERS = "/api/v1/evaluations/providers"
_COLLECTIONS = "/api/v1/evaluations/collections"
_BENCHMARK = _JOBS + "/{job_id}/benchmarks/{benchmark_index}"
_WORKER = "/api/v1/workers/{worker}"
_RUN = "/api/v1/runs/{run_id}"
_KEYS = "/api/v1/keys"
_WEBHOOKS = "/api/v1/webhooks"
_WEBHOOK = _WEBHOOKS + "/{webhook_id}"

_SHAPES = {"provider": offering.PROVIDER, "collection": offering.COLLECTION}
_ANSWERS = {
    "provider": (answers.PROVIDER, answers.PROVIDERS),
    "collection": (answers.COLLECTION, answers.COLLECTIONS),
}


def _list_query(parameters: Sequence[str]) -> tuple[Query, ...]:
    return tuple(
        Query(name, _KINDS_OF_PARAMETERS.get(name, "string"), _PURPOSES.get(name, "as for jobs"), _VALUES.get(name, ()))
        for name in parameters
    )


def _resource_routes(face: Face, path: str) -> tuple[Route, ...]:
    """Return the routes of providers or of collections."""
    kind, one = face.kind, path + f"/{{{face.kind}_id}}"
    name, body, write = kind.capitalize(), _SHAPES[kind], Scope.CATALOGUE_WRITE
    one_answer, many, example = *_ANSWERS[kind], examples.OF_RESOURCE[kind]
    change = (*_BODY, NotFound, face.read_only, NotOwner, LocalCodeRefused)
    patch = (InvalidPatchOperation, PatchNotAllowed)
    clone = Route(
        f"clone{name}",
        "POST",
        one + "/clones",
        face.clone,
        f"Copy a {kind}; members of the body replace those of the copy.",
        scope=write,
        body=replace(body, partial=True),
        body_required=False,
        example=examples.CLONE,
        answers={201: one_answer},
        answer_headers=(_WARNING,),
        makes=f"{kind}_id",
        errors=(*_BODY, NotFound, ReservedUser, LocalCodeRefused),
    )
    return (
        Route(
            f"list{name}s",
            "GET",
            path,
            face.page,
            f"List {kind}s: the catalogue's by id, then your own, newest first.",
            scope=Scope.CATALOGUE_READ,
            cost=Cost.LIST,
            query=_list_query(face.parameters),
            answers={200: many},
            errors=(BadQueryValue, QueryValueNotAllowed, UnknownQuery, QueryMismatch),
        ),
        Route(
            f"create{name}",
            "POST",
            path,
            face.create,
            f"Make a {kind} of your own.",
            scope=write,
            body=body,
            example=example,
            answers={201: one_answer},
            answer_headers=(_WARNING,),
            makes=f"{kind}_id",
            errors=(*_BODY, ReservedUser, LocalCodeRefused),
        ),
        Route(
            f"get{name}",
            "GET",
            one,
            face.get,
            f"Read a {kind}.",
            scope=Scope.CATALOGUE_READ,
            answers={200: one_answer},
            errors=(NotFound,),
        ),
        Route(
            f"replace{name}",
            "PUT",
            one,
            face.replace,
            f"Replace a {kind} of your own.",
            scope=write,
            body=body,
            example=example,
            answers={200: one_answer},
            answer_headers=(_WARNING,),
            errors=change,
        ),
        Route(
            f"patch{name}",
            "PATCH",
            one,
            face.patch,
            f"Change parts of a {kind}: RFC 6902 operations, or a merge patch.",
            scope=write,
            body=face.rules,
            example=examples.PATCH,
            answers={200: one_answer},
            errors=(*change, *patch),
        ),
        Route(
            f"delete{name}",
            "DELETE",
            one,
            face.delete,
            f"Delete a {kind} of your own. Jobs keep what they took from it.",
            scope=write,
            answers={204: ""},
            errors=(NotFound, face.read_only, NotOwner, StoreUnavailable),
        ),
        *((clone,) if kind == "collection" else ()),
    )


def _fleet_routes() -> tuple[Route, ...]:
    """Return the routes by which workers are seen and directed."""
    directions = {
        "drain": (WorkerState.DRAINING, "Let a worker take no more runs, and end once it holds none."),
        "pause": (WorkerState.PAUSED, "Let a worker take no more runs until it is resumed; what it holds goes on."),
        "resume": (WorkerState.ACTIVE, "Let a worker take runs again."),
    }
    return (
        Route("listWorkers", "GET", "/api/v1/workers", fleet.page, "List the workers, by name.",
              scope=Scope.WORKERS_READ, cost=Cost.LIST, tag="workers",
              answers={200: answers.WORKERS}, errors=(UnknownQuery,)),
        Route("getWorker", "GET", _WORKER, fleet.show, "Read what a worker has, does and may do.",
              scope=Scope.WORKERS_READ, tag="workers",
              answers={200: answers.WORKER_WITH_RUNS}, errors=(NotFound,)),
        *(
            Route(f"{verb}Worker", "POST", f"{_WORKER}/{verb}", fleet.directed(state), summary, scope=Scope.WORKERS_MANAGE,
                  tag="workers", answers={200: answers.WORKER_WITH_RUNS}, errors=(NotFound, StoreUnavailable))
            for verb, (state, summary) in directions.items()
        ),
        Route("forgetWorker", "DELETE", _WORKER, fleet.forget, "Forget a worker that has ended or fallen silent.",
              scope=Scope.WORKERS_MANAGE, tag="workers", answers={204: ""},
              errors=(NotFound, WorkerInUse, StoreUnavailable)),
    )  # fmt: skip


ROUTES = (
    Route(
        "getJob", "GET", _JOBS + "/{job_id}", jobs.get,
        "Read a job. With If-None-Match and `Prefer: wait=N`: as soon as it changes, else 304 after N seconds.",
        headers=(Header("If-None-Match", "the ETag of the document that is known"), Header("Prefer", "`wait=N`, seconds")),
        answers={200: answers.JOB, 304: ""}, answer_headers=(_ETAG,), errors=(NotFound,),
    ),
    Route(
        "reportBenchmark", "POST", _JOBS + "/{job_id}/events", events.report,
        "Report on a benchmark of a job; what adapters call.",
        scope=Scope.RUNS_REPORT, body=submission.EVENT, example=examples.EVENT, answers={204: ""},
        errors=(*_BODY, NotFound, JobIsTerminal, StaleFence, ForeignBenchmark),
    ),
    Route(
        "submitJob", "POST", _JOBS, jobs.create,
        "Submit an evaluation. An Idempotency-Key header makes a repeated request answer with the job of the first.",
        scope=Scope.JOBS_WRITE, cost=Cost.SUBMIT, body=submission.JOB, example=examples.JOB, answers={202: answers.JOB},
        answer_headers=(_WARNING,), makes="job_id",
        headers=(Header("Idempotency-Key", "names the submission, so that it can be repeated"),),
        errors=(
            *_BODY, NotFound, DoesNotExist, ModelUrlRequired, ShaIsReadOnly, ExperimentTrackingOff, EmptyCollection,
            PreflightFailed, EngineMissing, CredentialInBody, ReservedUser, IdempotencyMismatch, LocalCodeRefused,
            TooManyBenchmarks, TooManyJobs,
        ),
    ),
    Route(
        "listJobs", "GET", _JOBS, jobs.page, "List jobs, newest first.", cost=Cost.LIST,
        query=(*_PAGE, *_FILTERS, Query("fields", "string", "`summary` leaves out all but ids, times, states, scores",
                                        one_of=("summary",))),
        answers={200: answers.JOBS}, errors=(BadQueryValue, UnknownQuery, QueryValueNotAllowed),
    ),
    Route(
        "deleteJob", "DELETE", _JOBS + "/{job_id}", jobs.delete,
        "Cancel a job; with hard_delete=true delete it and everything that belongs to it.",
        scope=Scope.JOBS_WRITE, query=(Query("hard_delete", "boolean", "delete for good"),), answers={204: ""},
        errors=(BadQueryValue, NotFound, NotOwner, JobIsTerminal, StoreUnavailable),
    ),
    Route(
        "getJobLogs", "GET", _JOBS + "/{job_id}/logs", logs.of_job, "Read the logs of all benchmarks of a job.",
        query=_LOG_QUERY, answers={200: _TEXT}, errors=(BadQueryValue, NotFound),
    ),
    Route(
        "getBenchmarkLogs", "GET", _BENCHMARK + "/logs", logs.of_benchmark, "Read or follow the log of one benchmark.",
        cost=Cost.STREAM,
        query=(*_LOG_QUERY, Query("follow", "boolean", "go on until the benchmark has ended")),
        answers={200: _TEXT}, errors=(BadQueryValue, NotFound),
    ),
    Route("getHistory", "GET", _JOBS + "/{job_id}/history", history.page, "Read what has happened to a job, in order.",
          cost=Cost.LIST,
          query=(Query("after", "integer", "events after this sequence number"),
                 Query("limit", "integer", "at most 1000", least=1)),
          answers={200: answers.HISTORY}, errors=(BadQueryValue, UnknownQuery, NotFound)),
    Route("streamJob", "GET", _JOBS + "/{job_id}/stream", stream.of_job,
          "Watch a job: its history, then every event as it happens, until the job has ended. Also over WebSocket.",
          query=_STREAM_QUERY, headers=(_LAST_EVENT_ID,), live=True, answers={200: "text/event-stream"},
          errors=(*_STREAM_ERRORS, NotFound)),
    Route("stream", "GET", "/api/v1/evaluations/stream", stream.of_tenant,
          "Watch all jobs of the tenant: every event as it happens, or from the Last-Event-ID on. Also over WebSocket.",
          query=_STREAM_QUERY, headers=(_LAST_EVENT_ID,), live=True, answers={200: "text/event-stream"},
          errors=_STREAM_ERRORS),
    Route("rerunJob", "POST", _JOBS + "/{job_id}/rerun", benchmarks.rerun,
          "Submit a job again, from the same plans: all its benchmarks, or only those that failed.",
          scope=Scope.JOBS_WRITE, cost=Cost.SUBMIT, body=RERUN, body_required=False, example=examples.RERUN,
          answers={202: answers.JOB}, answer_headers=(_WARNING,), makes="job_id",
          errors=(*_BODY, NotFound, NothingToRerun, ReservedUser, TooManyJobs)),
    Route("cancelBenchmark", "DELETE", _BENCHMARK, benchmarks.cancel, "Cancel one benchmark of a job; the others go on.",
          scope=Scope.JOBS_WRITE, answers={204: ""}, errors=(NotFound, NotOwner, JobIsTerminal, StoreUnavailable)),
    Route("exportJob", "GET", _JOBS + "/{job_id}/results.csv", exports.of_job, "Read the results of a job as CSV.",
          answers={200: "text/csv"}, answer_headers=(_NAME,), errors=(NotFound,)),
    Route("exportJobs", "GET", "/api/v1/evaluations/results.csv", exports.of_jobs,
          "Read the results of all jobs that the filters select, as CSV.",
          cost=Cost.LIST,
          query=_FILTERS, answers={200: "text/csv"}, answer_headers=(_NAME,), errors=(BadQueryValue, UnknownQuery)),
    Route("listBenchmarks", "GET", "/api/v1/evaluations/benchmarks", benchmarks.page, "List benchmarks of all providers.",
          scope=Scope.CATALOGUE_READ, cost=Cost.LIST,
          query=_list_query(benchmarks.LIST_PARAMETERS), answers={200: answers.BENCHMARKS},
          errors=(BadQueryValue, UnknownQuery)),
    Route("listArtifacts", "GET", _BENCHMARK + "/artifacts", artifacts.page, "List the artifacts of a benchmark.",
          answers={200: answers.ARTIFACTS}, errors=(NotFound,)),
    Route(
        "getArtifact", "GET", _BENCHMARK + "/artifacts/{name}", artifacts.get, "Download an artifact of a benchmark.",
        answers={200: "*/*"}, answer_headers=(_ETAG, _NAME), errors=(NotFound,),
    ),
    *_resource_routes(PROVIDERS, _PROVIDERS),
    *_resource_routes(COLLECTIONS, _COLLECTIONS),
    Route("getQueue", "GET", "/api/v1/queue", queue.page,
          "Read what waits in the queue, in the order in which it will start: its place, what it waits for, until when.",
          scope=Scope.QUEUE_READ, cost=Cost.LIST, tag="queue",
          query=(Query("limit", "integer", "at most 1000", least=1),
                 Query("offset", "integer", "runs to pass over"), Query("job_id", "string", "only this job's")),
          answers={200: answers.QUEUE}, errors=(BadQueryValue, UnknownQuery)),
    Route("createWebhook", "POST", _WEBHOOKS, webhooks.create, "Have changes of jobs and runs sent to a URL.",
          scope=Scope.WEBHOOKS_MANAGE, tag="notifications", body=notices.WEBHOOK, example=examples.WEBHOOK,
          answers={201: answers.WEBHOOK}, answer_headers=(_WARNING,), makes="webhook_id",
          errors=(*_BODY, WebhookRefused, TooMany, ReservedUser)),
    Route("listWebhooks", "GET", _WEBHOOKS, webhooks.page, "List your webhooks, newest first.",
          scope=Scope.WEBHOOKS_MANAGE, cost=Cost.LIST, tag="notifications",
          query=_PAGE, answers={200: answers.WEBHOOKS}, errors=(BadQueryValue, UnknownQuery)),
    Route("getWebhook", "GET", _WEBHOOK, webhooks.get, "Read a webhook.",
          scope=Scope.WEBHOOKS_MANAGE, tag="notifications",
          answers={200: answers.WEBHOOK}, errors=(NotFound,)),
    Route("patchWebhook", "PATCH", _WEBHOOK, webhooks.change,
          "Change members of a webhook (RFC 7386); `paused` holds back what it would be sent.",
          scope=Scope.WEBHOOKS_MANAGE, tag="notifications", body=replace(notices.WEBHOOK, partial=True),
          example=examples.WEBHOOK_CHANGE, answers={200: answers.WEBHOOK}, answer_headers=(_WARNING,),
          errors=(*_BODY, WebhookRefused, NotFound, NotOwner)),
    Route("deleteWebhook", "DELETE", _WEBHOOK, webhooks.delete, "Delete a webhook, and what waits for it.",
          scope=Scope.WEBHOOKS_MANAGE, tag="notifications", answers={204: ""},
          errors=(NotFound, NotOwner, StoreUnavailable)),
    Route("testWebhook", "POST", _WEBHOOK + "/test", deliveries.test, "Send a webhook a notice to try it out, once.",
          scope=Scope.WEBHOOKS_MANAGE, tag="notifications", answers={202: answers.DELIVERY},
          errors=(NotFound, NotOwner, WebhookPaused, StoreUnavailable)),
    Route("listDeliveries", "GET", _WEBHOOK + "/deliveries", deliveries.page,
          "List what a webhook was sent of late, newest first, and what became of it.",
          scope=Scope.WEBHOOKS_MANAGE, cost=Cost.LIST, tag="notifications",
          query=(Query("before", "integer", "deliveries with a lower number"),
                 Query("limit", "integer", "at most 500", least=1)),
          answers={200: answers.DELIVERIES}, errors=(BadQueryValue, UnknownQuery, NotFound)),
    Route("health", "GET", "/api/v1/health", health.health, "Say whether the server works.",
          scope=Scope.OPEN, cost=Cost.FREE, tag="service", kept=health.kept_health,
          answers={200: answers.HEALTH, 503: answers.HEALTH}),
    Route("metrics", "GET", "/metrics", health.metrics, "Scrape metrics, in Prometheus' text format.",
          scope=Scope.METRICS_READ, tag="service", answers={200: _TEXT}),
    Route("usage", "GET", "/api/v1/usage", health.usage, "Say how much room everything takes.",
          scope=Scope.METRICS_READ, tag="service", answers={200: answers.USAGE}, errors=(StoreUnavailable,)),
    Route("cleanup", "POST", "/api/v1/cleanup", cleanup.cleanup,
          "Delete what the settings do not ask to keep any longer, in the background; answer with what goes.",
          scope=Scope.SERVER_MANAGE, tag="service", query=(Query("dry_run", "boolean", "only say what would go"),),
          answers={200: answers.CLEANUP, 202: answers.CLEANUP},
          errors=(BadQueryValue, UnknownQuery, NotAdministrator, StoreUnavailable)),
    Route("openapi", "GET", "/openapi.yaml", docs.openapi, "This document, as YAML, or JSON where that is accepted.",
          scope=Scope.OPEN, tag="service", answers={200: ("application/yaml", "application/json")}),
    Route("docs", "GET", "/docs", docs.page, "The API's documentation, as a page.",
          scope=Scope.OPEN, tag="service", answers={200: "text/html"}),
    Route("createKey", "POST", _KEYS, keys.create, "Make an API key. Its text is in this answer and nowhere else.",
          scope=Scope.KEYS_MANAGE, tag="keys", body=KEY_REQUEST, example=examples.KEY, answers={201: answers.NEW_KEY},
          answer_headers=(_WARNING,), errors=(*_BODY, ReservedUser, NotGrantable)),
    Route("listKeys", "GET", _KEYS, keys.page, "List API keys, newest first, without their texts.",
          scope=Scope.KEYS_MANAGE, cost=Cost.LIST, tag="keys", query=_PAGE, answers={200: answers.KEYS},
          errors=(BadQueryValue, UnknownQuery)),
    Route("getKey", "GET", _KEYS + "/{key_id}", keys.get, "Read what is known of an API key.",
          scope=Scope.KEYS_MANAGE, tag="keys", answers={200: answers.KEY}, errors=(NotFound,)),
    Route("revokeKey", "DELETE", _KEYS + "/{key_id}", keys.revoke, "Revoke an API key, for good.",
          scope=Scope.KEYS_MANAGE, tag="keys", answers={204: ""}, errors=(NotFound, StoreUnavailable)),
    Route("registerWorker", "POST", "/api/v1/workers", leases.register, "Enter a worker.",
          scope=Scope.WORK, cost=Cost.FREE, tag="workers", body=protocol.Registration, example=examples.REGISTRATION,
          answers={200: protocol.Registered}, errors=(*_WORK, ProtocolMismatch)),
    *_fleet_routes(),
    Route("getBlob", "GET", "/api/v1/blobs/{digest}", blobs.get,
          "Download a file of a run by its digest; with a Range header a part of it.",
          scope=Scope.WORK, cost=Cost.FREE, tag="workers", headers=(Header("Range", "`bytes=N-`: from the byte N on"),),
          answers={200: _BYTES, 206: _BYTES}, answer_headers=(_ETAG,), errors=(NotFound,)),
    Route("leaseRuns", "POST", _WORKER + "/lease", leases.lease, "Wait for runs to carry out.",
          scope=Scope.WORK, cost=Cost.FREE, tag="workers", body=protocol.LeaseRequest, example=examples.LEASE,
          answers={200: protocol.LeaseAnswer}, errors=(*_WORK, UnknownWorker)),
    Route("heartbeat", "POST", _WORKER + "/heartbeat", leases.heartbeat, "Renew a worker's leases.",
          scope=Scope.WORK, cost=Cost.FREE, tag="workers", body=protocol.Heartbeat, example=examples.HEARTBEAT,
          answers={200: protocol.HeartbeatAnswer}, errors=(*_WORK, UnknownWorker)),
    Route("startRun", "POST", _RUN + "/start", runs.start, "The run's process has started.",
          scope=Scope.WORK, cost=Cost.FREE, tag="workers", body=protocol.Start, example=examples.START,
          answers={204: ""}, errors=(*_WORK, StaleFence)),
    Route("endRun", "POST", _RUN + "/end", runs.end, "An attempt has ended; its worker may ask for another run.",
          scope=Scope.WORK, cost=Cost.FREE, tag="workers", body=protocol.Ending, example=examples.ENDING,
          answers={200: protocol.LeaseAnswer, 204: ""}, errors=(*_WORK, StaleFence)),
    Route("appendLog", "POST", _RUN + "/log", runs.log, "Append to the log of an attempt.",
          scope=Scope.WORK, cost=Cost.FREE, tag="workers",
          query=(_FENCE, Query("offset", "integer", "where in the log the body begins")),
          body=_BYTES, answers={200: answers.LOG_SIZE}, errors=(*_WORK, BadQueryValue, StaleFence, FolderUnavailable)),
    Route("putArtifact", "PUT", _RUN + "/artifacts/{name}", runs.artifact, "Store an artifact of an attempt.",
          scope=Scope.WORK, cost=Cost.FREE, tag="workers", query=(_FENCE,), body=_BYTES, body_required=False,
          answers={201: protocol.ArtifactRef},
          errors=(BadQueryValue, StaleFence, StoreUnavailable, FolderUnavailable)),
)  # fmt: skip


def table() -> Table:
    """Return the table of all routes."""
    return Table(ROUTES)
