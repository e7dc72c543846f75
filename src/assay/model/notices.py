"""Notices: what is told to those who asked to be notified of the changes of jobs and runs, as CloudEvents 1.0.

A notice is named after the version that its change gave the job, so whoever records one change twice makes the same notice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from assay.model.shapes import Failure, Flag, ListOf, Member, Object, Text
from assay.model.states import JobState, Status
from assay.model.submission import TAGS, TEXT, http_url

CONTENT_TYPE: Final = "application/cloudevents+json"
"""Media type of the structured JSON mode (CloudEvents' HTTP protocol binding, 3.2)."""

CREATED: Final = "assay.job.created"
DELETED: Final = "assay.job.deleted"
TEST: Final = "assay.webhook.test"
JOB_TYPES: Final = (CREATED, *(f"assay.job.{state}" for state in JobState), DELETED)
RUN_TYPES: Final = tuple(f"assay.run.{status}" for status in Status)
PATTERNS: Final = ("assay.job.*", "assay.run.*", *JOB_TYPES, *RUN_TYPES)
"""What a subscription may ask for."""

JOBS: Final = "/api/v1/evaluations/jobs"


class Notice(msgspec.Struct, frozen=True):
    """One change that is told. `at` is in microseconds since 1970; `subject` names the job, or its run, in the API."""

    id: str
    type: str
    at: int
    subject: str
    data: dict[str, Any]


class Subscription(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody wants to be told, and where. Empty lists: no matter.

    `secret_ref` names the secret that signs; the secret itself is never kept.
    """

    url: str = ""
    events: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    secret_ref: str = ""
    description: str = ""
    paused: bool = False

    def wants(self, notice: Notice, tags: Iterable[str]) -> bool:
        """Say whether a notice about a job with these tags is wanted."""
        family = notice.type.rpartition(".")[0] + ".*"
        return (
            not self.paused
            and (not self.events or notice.type in self.events or family in self.events)
            and (not self.names or notice.data.get("name") in self.names)
            and (not self.tags or not set(self.tags).isdisjoint(tags))
        )


def cloud_event(notice: Notice, source: str, time: str) -> bytes:
    """Return a notice in the structured JSON mode. `time` is the RFC 3339 text of the notice's."""
    event = {
        "specversion": "1.0",
        "id": notice.id,
        "source": source,
        "type": notice.type,
        "subject": notice.subject,
        "time": time,
        "datacontenttype": "application/json",
        "data": notice.data,
    }
    return msgspec.json.encode(event)


def of_job(job: Mapping[str, Any], kind: str, state: str, at: int, version: int, **more: Any) -> Notice:
    """Return the notice of a change of a job, of which `job` holds id, tenant, owner, name, model and collection."""
    data = {**_job(job), "state": state, **more}
    return Notice(f"{job['id']}-{version}", kind, at, f"{JOBS}/{job['id']}", data)


def of_run(job: Mapping[str, Any], run: Mapping[str, Any], status: str, at: int, version: int) -> Notice:
    """Return the notice of a change of a run, of which `run` holds id, index, provider_id, benchmark_id and attempts."""
    data = {
        **_job(job),
        "state": status,
        "run_id": run["id"],
        "index": run["index"],
        "provider_id": run["provider_id"],
        "benchmark_id": run["benchmark_id"],
        "attempts": run["attempts"],
    }
    subject = f"{JOBS}/{job['id']}/benchmarks/{run['index']}"
    return Notice(f"{job['id']}-{version}-{run['index']}", f"assay.run.{status}", at, subject, data)


def trial(webhook_id: str, name: str, at: int) -> Notice:
    """Return the notice that says nothing but that it has arrived."""
    return Notice(name, TEST, at, f"/api/v1/webhooks/{webhook_id}", {"webhook_id": webhook_id})


def _job(job: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "job_id": job["id"],
        "name": job["name"],
        "tenant": job["tenant"],
        "owner": job["owner"],
        "model": job["model"],
        "collection": job["collection"],
    }


def _sendable(url: str) -> bool:
    return http_url(url) and not any(character.isspace() for character in url)


def _alone(url: str) -> bool:
    """A URL without user info, which would be kept and shown."""
    return "@" not in url.split("//", 1)[-1].split("/", 1)[0]


def _secret_name(value: str) -> bool:
    return "/" not in value and ":" not in value


def _no_user_info(body: dict[str, Any]) -> list[Failure]:
    if _alone(body.get("url", "")):
        return []
    return [Failure("url", "url", "url", "url must not hold a user name or password; receivers check the signature instead")]


def _by_name(body: dict[str, Any]) -> list[Failure]:
    if _secret_name(body.get("secret_ref", "")):
        return []
    text = "secret_ref must be the name of a secret in the server's secrets folder"
    return [Failure("secret_ref", "secret_ref", "secret", text)]


WEBHOOK: Final = Object(
    (
        Member("url", Text(most=2000, checks=(("url", _sendable),), format="uri"), required=True),
        Member("events", ListOf(Text(one_of=PATTERNS, empty=False), most=len(PATTERNS))),
        Member("names", ListOf(TEXT, most=100)),
        Member("tags", replace(TAGS, most=100)),
        Member("secret_ref", Text(most=255)),
        Member("description", Text(most=1000)),
        Member("paused", Flag()),
    ),
    rules=(_no_user_info, _by_name),
)
"""A webhook as it is posted. `events`: types, `assay.job.*`, `assay.run.*`; `names` and `tags`: of jobs, one of them."""
