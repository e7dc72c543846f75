"""The filters of a list of jobs."""

from __future__ import annotations

import datetime

from assay.model.errors import BadQueryValue
from assay.model.ids import first_id
from assay.model.submission import rfc3339
from assay.server.evalhub.queries import Parameters
from assay.store.pages import JobFilter

_SCALARS = {
    "status": "state",
    "name": "name",
    "owner": "owner",
    "experiment_id": "experiment",
    "model": "model",
    "collection_id": "collection",
}
PARAMETERS = (
    "status",
    "name",
    "tags",
    "owner",
    "experiment_id",
    "model",
    "collection_id",
    "created_after",
    "created_before",
)


def job_filter(parameters: Parameters, tenant: str) -> JobFilter:
    """Return the filter that a request asks for. Raises BadQueryValue."""
    matches = {column: match for name, column in _SCALARS.items() if (match := parameters.scalar(name))}
    if tags := parameters.listed("tags"):
        matches["tag"] = tags
    since, before = _moment(parameters, "created_after"), _moment(parameters, "created_before")
    return JobFilter(tenant, matches, since, before)


def _moment(parameters: Parameters, name: str) -> str:
    """Return the identifier before which, or from which on, the jobs of a moment lie; empty if not asked for."""
    value = parameters.text(name).replace(" ", "+")  # a plus sign that was not encoded
    if not value:
        return ""
    if not rfc3339(value):
        raise BadQueryValue(name=name, kind="RFC 3339 time", value=value)
    try:
        at = datetime.datetime.fromisoformat(value.upper())
        return first_id(at.timestamp())
    except (ValueError, OverflowError):
        raise BadQueryValue(name=name, kind="RFC 3339 time", value=value) from None
