"""Evaluation jobs, providers and artifacts, as a server offers them under `/api/v1/evaluations`.

Documents are the dictionaries of the EvalHub contract, as they came: members that this client does not know
are kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from assay.client.errors import ClientError, ServerError
from assay.client.events import Event, follow
from assay.client.http import Http
from assay.model.states import TERMINAL_JOBS

if TYPE_CHECKING:
    from pathlib import Path

Document = dict[str, Any]
Documents = list[Document]

_JOBS = "/api/v1/evaluations/jobs"
_STREAM = "/api/v1/evaluations/stream"
_PROVIDERS = "/api/v1/evaluations/providers"
_PAGE = 200


class Seen(NamedTuple):
    """A job as it was at one moment; `etag` names that version."""

    job: Document
    etag: str


class Evaluations:
    """Everything a user does with evaluations. All methods raise ClientError (see `assay.client.errors`)."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def submit(self, submission: Mapping[str, Any], idempotency_key: str | None = None) -> Document:
        """Submit a job and return it as accepted. The same key makes a repeated submission the same job."""
        headers = {"Idempotency-Key": idempotency_key or os.urandom(16).hex()}
        return object_of(self.http.request("POST", _JOBS, json=dict(submission), headers=headers).json())

    def get(self, job_id: str) -> Document:
        """Return a job."""
        return self.look(job_id).job

    def look(self, job_id: str) -> Seen:
        """Return a job with the version that it is in."""
        answer = self.http.request("GET", _job(job_id))
        return Seen(object_of(answer.json()), answer.headers.get("etag", ""))

    def queue(self, limit: int = 50, job_id: str | None = None) -> Document:
        """Return what waits, in the order in which it will start; of one job only, if named."""
        query: dict[str, Any] = {"limit": limit} | ({"job_id": job_id} if job_id else {})
        return object_of(self.http.request("GET", f"/api/v1/queue?{urlencode(query)}").json())

    def wait_for_change(self, job_id: str, etag: str, wait_s: float = 10.0) -> Seen | None:
        """Return the job as soon as it differs from the version `etag`, or None after `wait_s` seconds
        without change.
        """
        headers = {"Prefer": f"wait={max(1, round(wait_s))}"}
        if etag:
            headers["If-None-Match"] = etag
        answer = self.http.request("GET", _job(job_id), headers=headers, timeout_s=wait_s + self.http.timeout_s)
        if answer.status == 304:
            return None
        return Seen(object_of(answer.json()), answer.headers.get("etag", ""))

    def watch(
        self, job_id: str | None = None, after: int | None = None, *, away: Callable[[ClientError], None] = lambda _: None
    ) -> Iterator[Event]:
        """Yield what happens to a job, from its beginning (or after the event `after`) to its end; without an id what
        happens to all jobs, from now on, without an end.

        A server that goes away for a while is waited for, and nothing is missed; `away` is told of it.
        """
        return follow(self.http, f"{_job(job_id)}/stream" if job_id else _STREAM, after, away=away)

    def newest(self) -> Document | None:
        """Return the job that was submitted last, or None where there is none."""
        items = self.list(limit=1)["items"]
        return items[0] if items else None

    def list(
        self,
        *,
        limit: int = 50,
        offset: int = 0,
        status: str | None = None,
        name: str | None = None,
        tags: str | None = None,
    ) -> Document:
        """Return a page of jobs, newest first: `items`, `total_count`, `limit`, and `next` where there is
        more.

        `status` and `name` take several values joined by a comma (any of them); `tags` joined by a comma
        means all of them.
        """
        query = {"limit": limit, "offset": offset, "status": status, "name": name, "tags": tags}
        return list_of(self.http.request("GET", _JOBS, query=query).json())

    def iterate(self, *, status: str | None = None, name: str | None = None, tags: str | None = None) -> Iterator[Document]:
        """Yield every job that matches, newest first, page by page."""
        offset, seen = 0, set[str]()
        while True:
            page = self.list(limit=_PAGE, offset=offset, status=status, name=name, tags=tags)
            for job in page["items"]:
                # A job submitted meanwhile shifts the pages: what moved over is not told twice.
                if (job_id := identity(job)) not in seen:
                    seen.add(job_id)
                    yield job
            offset += len(page["items"])
            if not page["items"] or offset >= page.get("total_count", 0):
                return

    def cancel(self, job_id: str) -> None:
        """Cancel a job; one that is cancelled already stays so. Raises ServerError (409) if it has ended
        otherwise.
        """
        self.http.request("DELETE", _job(job_id))

    def delete(self, job_id: str, *, hard: bool = True) -> None:
        """Delete a job, its logs and artifacts for good; without `hard` only cancel it."""
        self.http.request("DELETE", _job(job_id), query={"hard_delete": hard})

    def logs(
        self,
        job_id: str,
        index: int | None = None,
        *,
        tail: int = 1000,
        timestamps: bool = False,
        follow: bool = False,
    ) -> Iterator[bytes]:
        """Yield the log text of a job, or of its benchmark `index`, as it arrives; with `follow` until the
        job has ended.

        `tail` bounds the lines of each benchmark; -1 is all.
        """
        path = _job(job_id) + ("" if index is None else f"/benchmarks/{index}") + "/logs"
        query = {"tail_lines": tail, "timestamps": timestamps or None, "follow": follow or None}
        waiting = None if follow else self.http.timeout_s
        with self.http.stream("GET", path, query=query, headers={"Accept": "text/plain"}, timeout_s=waiting) as answer:
            yield from answer.chunks

    def artifacts(self, job_id: str, index: int) -> Documents:
        """Return the artifacts of the benchmark `index`: `name`, `digest`, `size` in bytes, `media_type`."""
        items: Documents = list_of(self.http.request("GET", _artifacts(job_id, index)).json())["items"]
        return items

    def download(self, job_id: str, index: int, artifact: Document, to: Path) -> None:
        """Write an artifact, as `artifacts` names it, to the file `to`: whole and with the right digest, or
        not at all.

        Raises OSError where the file cannot be written, ServerError also for content that does not match its
        digest.
        """
        import hashlib

        path = f"{_artifacts(job_id, index)}/{quote(str(artifact['name']), safe='')}"
        partial = to.with_name(f".{to.name}.{os.urandom(6).hex()}.part")
        digest = hashlib.sha256()
        try:
            with (
                self.http.stream("GET", path, headers={"Accept": "*/*"}, timeout_s=self.http.timeout_s) as answer,
                partial.open("wb") as file,
            ):
                for chunk in answer.chunks:
                    digest.update(chunk)
                    file.write(chunk)
            said = str(artifact.get("digest", ""))
            if said.startswith("sha256:") and said != f"sha256:{digest.hexdigest()}":
                text = f"The artifact {artifact['name']} arrived damaged (its digest is not {said}). Try again."
                raise ServerError(answer.status, "digest_mismatch", text)
            os.replace(partial, to)
        finally:
            partial.unlink(missing_ok=True)

    def providers(self, *, name: str | None = None, tags: str | None = None, benchmarks: bool = True) -> Documents:
        """Return all providers; without `benchmarks` their lists of benchmarks stay empty."""
        query = {"limit": 0, "name": name, "tags": tags, "benchmarks": benchmarks}
        items: Documents = list_of(self.http.request("GET", _PROVIDERS, query=query).json())["items"]
        return items

    def provider(self, provider_id: str) -> Document:
        """Return a provider with its benchmarks."""
        answer = self.http.request("GET", f"{_PROVIDERS}/{quote(provider_id, safe='')}")
        return object_of(answer.json())


def identity(job: Document) -> str:
    """Return the id of a job document."""
    return str(job.get("resource", {}).get("id", ""))


def state(job: Document) -> str:
    """Return the state of a job document."""
    return str(job.get("status", {}).get("state", ""))


def ended(job: Document) -> bool:
    """Say whether a job is in a state that it will not leave."""
    return state(job) in TERMINAL_JOBS


def _job(job_id: str) -> str:
    return f"{_JOBS}/{quote(job_id, safe='')}"


def _artifacts(job_id: str, index: int) -> str:
    return f"{_job(job_id)}/benchmarks/{index}/artifacts"


def object_of(value: Any) -> Document:
    """Return an answer that must be an object. Raises ServerError."""
    if not isinstance(value, dict):
        raise ServerError(200, "unexpected_answer", "What answers there is not an Assay server: an object was expected.")
    return value


def list_of(value: Any) -> Document:
    """Return an answer that must be a page with `items`. Raises ServerError."""
    page = object_of(value)
    if not isinstance(page.get("items"), list):
        raise ServerError(200, "unexpected_answer", "What answers there is not an Assay server: a list was expected.")
    return page
