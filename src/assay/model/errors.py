"""The errors of Assay: one tree, each with a stable code, an HTTP status and a sentence that says what to do next.

The docstring of a class is the template of its message; its keyword arguments fill the braces. `retry_after` is the policy
of the error: None is permanent (the same call fails again), a number of seconds is temporary. Codes that EvalHub clients
know keep the EvalHub name and wording.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

_LONGEST = 20_000
"""Most characters of what was sent, or of an explanation, that a message repeats."""


def _cut(value: Any) -> Any:
    return value[:_LONGEST] + "…" if isinstance(value, str) and len(value) > _LONGEST else value


class AssayError(Exception):
    """An internal server error occurred: '{error}'."""

    code: ClassVar[str] = "internal_server_error"
    status: ClassVar[int] = 500
    retry_after: float | None = None
    headers: ClassVar[Mapping[str, str]] = {}
    """Further headers of the answer."""

    def __init__(self, *, after_s: float | None = None, **details: Any) -> None:
        """`after_s`: seconds until the same call may succeed, where that is not the same for all errors of the kind."""
        self.details = details
        if after_s is not None:
            self.retry_after = after_s
        shown = {name: _cut(value) for name, value in details.items()}
        super().__init__((type(self).__doc__ or "").format(**shown))

    @property
    def message(self) -> str:
        """The sentence for the user."""
        return str(self.args[0])


class BadRequest(AssayError):
    """{error}"""

    code, status = "bad_request", 400


class InvalidJson(BadRequest):
    """The request JSON is invalid: '{error}'. Please check the request and try again."""

    code = "invalid_json_request"


class ValidationFailed(BadRequest):
    """The request validation failed: '{error}'. Please check the request and try again."""

    code = "request_validation_failed"


class BodyTooLarge(AssayError):
    """The request body exceeds the maximum allowed size of {limit} bytes."""

    code, status = "request_body_too_large", 413


class BodyTooSlow(AssayError):
    """The request body did not arrive within {seconds} seconds. Send it faster, or in smaller parts."""

    code, status = "request_body_timeout", 408


class MissingPathParameter(BadRequest):
    """The path parameter '{name}' is required."""

    code = "missing_path_parameter"


class BadQueryValue(BadRequest):
    """The query parameter '{name}' is not a valid {kind}: '{value}'."""

    code = "query_parameter_invalid"


class QueryValueNotAllowed(BadRequest):
    """The query parameter '{name}' is not valid. Allowed values are: '{values}'."""

    code = "query_parameter_value_invalid"


class UnknownQuery(BadRequest):
    """The parameter '{name}' is not a valid query parameter. Allowed parameters are: {allowed}."""

    code = "query_bad_parameter"


class QueryMismatch(BadRequest):
    """The query parameters '{names}' are mutually exclusive."""

    code = "query_parameter_mismatch"


class NotFound(AssayError):
    """The {kind} resource '{id}' was not found."""

    code, status = "resource_not_found", 404


class DoesNotExist(BadRequest):
    """The {kind} with id '{id}' does not exist."""

    code = "resource_does_not_exist"


class JobIsTerminal(AssayError):
    """The job {id} can not be {wanted} because it is '{state}'."""

    code, status = "job_can_not_be_updated", 409


class MethodNotAllowed(AssayError):
    """The HTTP method {method} is not allowed for the API {path}."""

    code, status = "method_not_allowed", 405


class ModelUrlRequired(BadRequest):
    """The model URL is required when not all benchmarks have pre-recorded data."""

    code = "model_url_required"


class ShaIsReadOnly(BadRequest):
    """The field 'resolved_sha' is read-only and must not be set on create."""

    code = "resolved_sha_read_only"


class ExperimentTrackingOff(BadRequest):
    """MLflow is required for experiment tracking. Please configure MLflow in the service configuration and try again."""

    code = "mlflow_required_for_experiment"


class MlflowFailed(BadRequest):
    """The MLflow request failed: '{error}'. Please check the MLflow configuration and try again."""

    code = "mlflow_request_failed"


class EngineMissing(BadRequest):
    """The engine '{engine}', which provider '{provider}' needs, is not installed. Run `assay engines install {engine}` \
on the machine of the worker and submit again."""

    code = "engine_not_installed"


class PreflightFailed(BadRequest):
    """{field}: {problem}"""

    code = "preflight_failed"


class CredentialInBody(BadRequest):
    """{field} looks like a credential. Put the key into a file and name it in model.auth.secret_ref instead."""

    code = "credential_in_request"


class IdempotencyMismatch(AssayError):
    """The Idempotency-Key '{key}' was used before with another request body. Use a new key for a new job."""

    code, status = "idempotency_key_reused", 422


class StaleFence(AssayError):
    """The lease on run {run} has passed to someone else (fence {fence} is stale). Stop the run and drop its results."""

    code, status = "stale_fence", 409


class ForeignBenchmark(AssayError):
    """A run may report on its own benchmark only, and '{id}' (index {index}) of the job is another's."""

    code, status = "foreign_benchmark", 403


class UnknownWorker(AssayError):
    """The worker '{worker}' is not registered, or registered again since. Register and lease anew."""

    code, status = "unknown_worker", 409


class WorkerInUse(AssayError):
    """The worker '{worker}' cannot be forgotten: it {why}. Drain it (`assay workers drain {worker}`) or end it, wait until \
{until}, and try again."""

    code, status = "worker_in_use", 409


class ProtocolMismatch(AssayError):
    """The worker '{worker}' (Assay {version}) speaks version {theirs} of the workers' protocol, and this server speaks \
{ours}. Install Assay {server_version}, which the server has, on the worker's machine and start the worker again."""

    code, status = "worker_protocol_mismatch", 409


class Unauthorised(AssayError):
    """This call needs {needed}. {remedy}"""

    code, status = "unauthorized", 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="assay"'}


class InvalidKey(Unauthorised):
    """The API key {prefix} does not count here: {problem}. Ask whoever runs the server for a new one."""

    code = "invalid_key"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="assay", error="invalid_token"'}


class ScopeMissing(AssayError):
    """This call needs the scope {scope}, which the API key {prefix} does not have (roles: {roles}). Use a key with a role \
that grants it."""

    code, status = "scope_missing", 403


class KeyMismatch(AssayError):
    """The header {header} says '{sent}', but the API key {prefix} is of the {what} '{held}'. Leave the header out, or \
use a key of that {what}."""

    code, status = "key_mismatch", 403


class KeyOfOneTenant(AssayError):
    """This call concerns all tenants, and the API key {prefix} is of the tenant '{tenant}'. Use a key of the tenant *."""

    code, status = "key_of_one_tenant", 403


class NotGrantable(AssayError):
    """{field}: you may not give away {what}, which your own key does not have. Ask an administrator of all tenants."""

    code, status = "not_grantable", 403


class FirstKeyMustManage(AssayError):
    """The first API key must be able to make others, else nobody could. Make one with the role admin first."""

    code, status = "first_key_must_manage", 409


class AddressNotAllowed(AssayError):
    """Requests from {address} are not taken {where}. Call from an address that is allowed, or have {remedy} changed."""

    code, status = "address_not_allowed", 403


class AddressBanned(AssayError):
    """Too many wrong API keys came from {address}. Wait {seconds} seconds, then use a key that is right."""

    code, status = "address_banned", 429
    retry_after = 60.0


class RateLimited(AssayError):
    """Too many {cost} calls. The next may come in {seconds} seconds; {burst} may come at once, and {rate} a second after \
that."""

    code, status = "rate_limited", 429
    retry_after = 1.0


class OriginNotAllowed(AssayError):
    """Pages from '{origin}' may change nothing here. Open the page from this machine, or call the API from a program."""

    code, status = "origin_not_allowed", 403


class UnknownEvent(BadRequest):
    """The Last-Event-ID '{value}' is not the id of an event here. Send the id of the last event that you have got, 0 for \
all of them, or none."""

    code = "last_event_id_invalid"


class TooManyWatchers(AssayError):
    """The server has {limit} watchers of live events, and may not have more. Try again later, or read the history."""

    code, status = "too_many_watchers", 503
    retry_after = 10.0


class NoWebSocket(AssayError):
    """There are no live events at {path}: a WebSocket can be opened at the paths that end in /stream."""

    code, status = "no_websocket", 404


class PlainNotFound(AssayError):
    """404 page not found"""

    code, status = "page_not_found", 404


class StoreUnavailable(AssayError):
    """The database is not available: {error}. Nothing was lost; {remedy}, then repeat the request."""

    code, status = "store_unavailable", 503
    retry_after = 5.0


class FolderUnavailable(AssayError):
    """The data folder cannot be written: {error}. Nothing was lost; {remedy}, then repeat the request."""

    code, status = "folder_unavailable", 503
    retry_after = 5.0


class StoreUnusable(AssayError):
    """The database {path} cannot be used: {error}. {remedy}"""

    code, status = "store_unusable", 503


class SettingInvalid(AssayError):
    """{name} ({origin}): {problem}"""

    code, status = "setting_invalid", 400


class CatalogueInvalid(AssayError):
    """The catalogue file {path} is not valid: {problem}"""

    code, status = "catalogue_invalid", 400


class QuotasInvalid(AssayError):
    """The quotas in {path} are not valid: {problem}"""

    code, status = "quotas_invalid", 400


class CannotListen(AssayError):
    """{problem}"""

    code, status = "cannot_listen", 400


class ExtraMissing(AssayError):
    """{feature} needs an extra of Assay that is not installed. Run `pip install './assay[{extra}]'` beside the checkout."""

    code, status = "extra_missing", 400


class EmptyCollection(BadRequest):
    """The collection {id} does not have any benchmarks."""

    code = "collection_empty"


class InvalidPatchOperation(BadRequest):
    """The patch operation '{op}' is not valid. Allowed operations are: replace, add, remove."""

    code = "invalid_patch_operation"


class PatchNotAllowed(BadRequest):
    """The operation '{op}' is not allowed for the path '{path}'."""

    code = "unallowed_patch"


class ReadOnlyProvider(BadRequest):
    """Provider '{id}' cannot be modified or deleted."""

    code = "read_only_provider"


class ReadOnlyCollection(BadRequest):
    """Collection '{id}' cannot be modified or deleted."""

    code = "read_only_collection"


class ReservedUser(BadRequest):
    """The user '{user}' is reserved for the catalogue. Send another X-User."""

    code = "reserved_user"


class NotOwner(AssayError):
    """The {kind} {id} belongs to '{owner}'. Only its owner and administrators may change it."""

    code, status = "not_owner", 403


class NotAdministrator(AssayError):
    """Only administrators may do this here: the users whom the setting 'admins' names. Ask one of them."""

    code, status = "not_administrator", 403


class LocalCodeRefused(AssayError):
    """{field} makes the worker's machine run code, which only administrators may ask for here. Leave it out, or ask one."""

    code, status = "local_code_refused", 403


class TooManyBenchmarks(BadRequest):
    """The job has {count} benchmarks, and a job may have {limit}. Divide it into several jobs."""

    code = "too_many_benchmarks"


class TooManyJobs(AssayError):
    """The tenant has {limit} jobs that have not ended, and may not have more. Wait for one to end, or cancel one."""

    code, status = "too_many_jobs", 429
    retry_after = 30.0


class TooMany(BadRequest):
    """The tenant has {limit} resources of the kind {kind}, and may not have more. Delete one that is no longer needed."""

    code = "too_many_resources"


class WebhookRefused(BadRequest):
    """{field}: {problem}"""

    code = "webhook_refused"


class WebhookPaused(AssayError):
    """The webhook {id} is paused. Resume it with a PATCH of {{"paused": false}}, then test it."""

    code, status = "webhook_paused", 409


class NothingToRerun(BadRequest):
    """The job {id} has no failed or cancelled benchmark. Send {{"benchmarks": "all"}} to run all of them again."""

    code = "nothing_to_rerun"


class BackupFailed(AssayError):
    """The backup was not made: {problem}. {remedy}"""

    code, status = "backup_failed", 400


class BackupDamaged(AssayError):
    """The backup {path} is not whole: {problem}. {remedy}"""

    code, status = "backup_damaged", 400


class RestoreRefused(AssayError):
    """Nothing was restored: {problem}. {remedy}"""

    code, status = "restore_refused", 400
