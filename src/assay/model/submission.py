"""The body of a submission and of a status event, as the EvalHub contract has them."""

from __future__ import annotations

import datetime
import ipaddress
import re
from typing import Any, Final
from urllib.parse import urlsplit

from assay.model.addresses import leads_outward
from assay.model.placement import RESOURCES
from assay.model.shapes import Failure, Flag, Free, Integer, ListOf, Member, Number, Object, Text, TextMap

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_TAG: Final = re.compile(r"[^,|]{1,128}")
_SHA: Final = re.compile(r"[0-9a-fA-F]{7,40}")
_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NUMERIC_HOST: Final = re.compile(r"(.*\.)?(\d+|0[xX][0-9a-fA-F]*)", re.ASCII)
"""What resolvers read as an IPv4 address, in whatever notation (127.1, 0x7f000001)."""
_HOST: Final = re.compile(r"[a-z0-9._-]+", re.ASCII)
_QUANTITY_TEXT: Final = re.compile(r"\+?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?", re.ASCII)
_WEB: Final = ("http", "https")
_BLOCKED_HOSTS: Final = {"localhost", "localhost.localdomain", "metadata", "metadata.google.internal"}
_BLOCKED_ENDS: Final = (".cluster.local", ".svc", ".local", ".localhost")


def tag_name(value: str) -> bool:
    """A tag: 1 to 128 characters without comma and vertical bar, which filters use."""
    return bool(_TAG.fullmatch(value))


def absolute_url(value: str) -> bool:
    """An absolute URL with a scheme, without control characters (which `urlsplit` would pass over); one of the web has a
    host, and no host has blanks."""
    if _CONTROL.search(value) or value != value.strip():
        return False
    try:
        parts = urlsplit(value)
        reached = bool(parts.hostname) if parts.scheme in _WEB else bool(parts.netloc or parts.path)
        return bool(parts.scheme) and reached and not re.search(r"\s", parts.netloc) and parts.port != -1
    except ValueError:
        return False


def http_url(value: str) -> bool:
    """An http or https URL with a host."""
    return absolute_url(value) and urlsplit(value).scheme in _WEB


def public_git_url(value: str) -> bool:
    """An http(s) URL whose host is not, by its name or literal address, an inner one; user info is refused."""
    if not http_url(value):
        return False
    parts = urlsplit(value)
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.username or parts.password or host in _BLOCKED_HOSTS or host.endswith(_BLOCKED_ENDS):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # A name in another script may be mapped to an inner one by the resolver; its punycode form is what is checked.
        bracketed = "[" in parts.netloc  # an address of a kind that nobody has defined yet
        return bool(_HOST.fullmatch(host)) and not bracketed and not _NUMERIC_HOST.fullmatch(host)
    return leads_outward(address)


def rfc3339(value: str) -> bool:
    """A time with an offset, RFC 3339. Leap seconds are refused, as clients cannot parse them."""
    parts = _RFC3339.fullmatch(value)
    if not parts:
        return False
    try:
        datetime.date.fromisoformat(parts[1])
    except ValueError:
        return False
    return True


def quantity(value: str) -> bool:
    """An amount of CPU or memory as Kubernetes writes it (`500m`, `2`, `1.5Gi`), 0 or more."""
    return bool(_QUANTITY_TEXT.fullmatch(value))


def resolved_sha(value: object) -> bool:
    """A git commit: 7 to 40 hexadecimal digits."""
    return isinstance(value, str) and bool(_SHA.fullmatch(value))


TEXT: Final = Text()
NAME: Final = Text(checks=(("rfc1123_dns_label", lambda v: bool(_LABEL.fullmatch(v))),), pattern=_LABEL.pattern)
_NOT_BLANK: Final = ("notblank", lambda value: bool(value.strip()))
# What is blank to Python, and so to eval-hub-sdk, is a little more than what is to the regular expressions of JSON Schema.
_FILLED: Final = Text(checks=(_NOT_BLANK,), pattern=r"[\s\S]*[^\s\x1c-\x1f\x85][\s\S]*")
QUANTITY: Final = Text(checks=(("quantity", quantity),), pattern=_QUANTITY_TEXT.pattern)
TIME: Final = Text(checks=(("datetime", rfc3339),), format="date-time")
TAGS: Final = ListOf(Text(checks=(("tagname", tag_name),), pattern=_TAG.pattern), most=1000)
PRIMARY_SCORE: Final = Object((Member("metric", TEXT, required=True), Member("lower_is_better", Flag())))
PASS_CRITERIA: Final = Object((Member("threshold", Number(), required=True, zero=True),))


_SOURCES: Final = ("s3", "pvc", "git", "hf")


def _one_source(value: dict[str, Any]) -> list[Failure]:
    sources = [name for name in _SOURCES if name in value]
    if len(sources) > 1:
        text = "test_data_ref: exactly one of s3, pvc, git, or hf must be set"
        return [Failure(sources[0], sources[0], "excluded_with", text)]
    if not sources:
        text = "test_data_ref: one of s3, pvc, git, or hf must be set"
        return [Failure("s3", "s3", "required_without_all", text)]
    return []


def _https_with_secret(value: dict[str, Any]) -> list[Failure]:
    if value.get("secret_ref") and urlsplit(value.get("url", "")).scheme == "http":
        return [Failure("url", "url", "git_http_with_secret", "git url with credentials must use https scheme")]
    return []


def _no_way_up(value: dict[str, Any]) -> list[Failure]:
    if ".." in value.get("sub_path", "").split("/"):
        return [Failure("sub_path", "sub_path", "relative_path")]
    return []


TEST_DATA: Final = Object(
    (
        Member("type", Text(one_of=("data_set", "pre_recorded_data"))),
        Member("resolved_sha", TEXT),
        Member(
            "s3",
            Object(
                (
                    Member("bucket", TEXT, required=True),
                    Member("key", TEXT, required=True),
                    Member("secret_ref", TEXT, required=True),
                )
            ),
        ),
        Member("pvc", Object((Member("claim_name", NAME, required=True), Member("sub_path", TEXT)), (_no_way_up,))),
        Member(
            "git",
            Object(
                (
                    Member(
                        "url",
                        Text(checks=(("http_url", http_url), ("git_clone_url", public_git_url)), format="uri"),
                        required=True,
                    ),
                    Member("ref", TEXT, required=True),
                    Member("sub_path", TEXT),
                    Member("secret_ref", NAME),
                ),
                (_https_with_secret, _no_way_up),
            ),
        ),
        Member(
            "hf",
            Object(
                (
                    Member("repo_id", _FILLED, required=True, missing="notblank"),
                    Member("revision", TEXT),
                    Member("sub_path", TEXT),
                    Member("secret_ref", NAME),
                ),
                (_no_way_up,),
            ),
        ),
    ),
    choice=_one_source,
    condition={"oneOf": [{"required": [source], "properties": {source: {"type": "object"}}} for source in _SOURCES]},
)

QUEUE: Final = Object((Member("kind", Text(one_of=("kueue",)), default="kueue"), Member("name", NAME, required=True)))
_AMOUNT: Final = Object((Member("request", QUANTITY), Member("limit", QUANTITY)))


def _profile_or_parts(value: dict[str, Any]) -> list[Failure]:
    if value.get("hardware_profile_name") and any(value.get(part) for part in ("queue", "cpu", "memory", "gpu")):
        text = "hardware_config: hardware_profile_name cannot be combined with queue, cpu, memory, or gpu"
        return [Failure("hardware_profile_name", "hardware_profile_name", "hardware_config_exclusive", text)]
    return []


HARDWARE: Final = Object(
    (
        Member("hardware_profile_name", NAME),
        Member("queue", QUEUE),
        Member("cpu", _AMOUNT),
        Member("memory", _AMOUNT),
        Member("gpu", Object((Member("name", TEXT), Member("count", Integer(least=0))))),
    ),
    (_profile_or_parts,),
)

LIMITS: Final = (
    Member("timeout_seconds", Number(least=0)),
    Member("stale_seconds", Number(least=0)),
    Member("resources", RESOURCES),
)
"""Our own: the longest time of a run, how long it may show no sign of life, and what it asks of its worker. A benchmark's
count before its job's."""

BENCHMARK: Final = Object(
    (
        Member("id", TEXT, required=True, label="Ref.id"),
        Member("provider_id", TEXT, required=True),
        Member("weight", Number(least=0), zero=True),
        Member("primary_score", PRIMARY_SCORE),
        Member("pass_criteria", PASS_CRITERIA),
        Member("hardware_config", HARDWARE),
        Member("parameters", Free()),
        Member("test_data_ref", TEST_DATA),
        *LIMITS,
    )
)

MOST_BENCHMARKS: Final = 1000
"""Of one job or collection. Each becomes a run."""
COLLECTION_REFERENCE: Final = Object(
    (Member("id", TEXT, required=True), Member("benchmarks", ListOf(BENCHMARK, most=MOST_BENCHMARKS)))
)

MODEL: Final = Object(
    (
        Member("url", Text(checks=(("url", absolute_url),), format="uri"), always=True),
        # eval-hub-sdk cannot read a job in which one of these is blank, nor any list with that job.
        Member("name", _FILLED, required=True),
        Member("auth", Object((Member("secret_ref", _FILLED, required=True),))),
        Member("parameters", Free()),
        Member("card_url", TEXT),
    )
)


def _benchmarks_or_collection(value: dict[str, Any]) -> list[Failure]:
    has_collection = bool(value.get("collection", {}).get("id"))
    if not has_collection and not value.get("benchmarks"):
        return [Failure("benchmarks", "benchmarks", "minimum one benchmark")]
    if has_collection and value.get("benchmarks"):
        return [Failure("benchmarks", "benchmarks", "benchmarks or collection")]
    return []


JOB: Final = Object(
    (
        Member("name", TEXT, required=True),
        Member("description", TEXT),
        Member("tags", TAGS),
        Member("model", MODEL, required=True),
        Member("pass_criteria", PASS_CRITERIA),
        Member("benchmarks", ListOf(BENCHMARK, most=MOST_BENCHMARKS)),
        Member("collection", COLLECTION_REFERENCE),
        Member(
            "experiment",
            Object(
                (
                    Member("name", _FILLED, required=True, missing="notblank"),
                    Member(
                        "tags",
                        ListOf(
                            Object(
                                (
                                    Member("key", Text(most=250), required=True),
                                    Member("value", Text(most=5000), required=True),
                                )
                            ),
                            most=20,
                        ),
                    ),
                    Member("artifact_location", TEXT),
                )
            ),
        ),
        Member("custom", Free()),
        Member(
            "exports",
            Object(
                (
                    Member(
                        "oci",
                        Object(
                            (
                                Member(
                                    "coordinates",
                                    Object(
                                        (
                                            Member("oci_host", TEXT, required=True),
                                            Member("oci_repository", TEXT, required=True),
                                            Member("oci_tag", TEXT),
                                            Member("oci_subject", TEXT),
                                            Member("annotations", TextMap()),
                                        )
                                    ),
                                    required=True,
                                ),
                                Member("k8s", Object((Member("connection", TEXT, required=True),))),
                                Member(
                                    "signing",
                                    Object(
                                        (
                                            Member("type", Text(one_of=("key-pair",)), required=True),
                                            Member("secret_ref", _FILLED),
                                        )
                                    ),
                                ),
                            )
                        ),
                    ),
                )
            ),
        ),
        Member("hardware_config", HARDWARE),
        Member("queue", QUEUE),
        *LIMITS,
        Member("priority", Integer()),
    ),
    (_benchmarks_or_collection,),
    condition={
        "oneOf": [
            {"required": ["benchmarks"], "properties": {"benchmarks": {"type": "array", "minItems": 1}}},
            {"required": ["collection"], "properties": {"collection": {"type": "object"}}},
        ]
    },
)
"""`EvaluationJobConfig`, with Assay's own members `timeout_seconds`, `stale_seconds`, `resources` and `priority`."""

MESSAGE: Final = Object(
    (
        Member("message", Text(printed=True), required=True),
        Member("message_code", TEXT, required=True),
        Member("message_origin", TEXT),
    )
)
_METRIC_TYPES: Final = ("numeric", "categorical", "array_ordered", "array_unordered", "time_series")
METRICS_SCHEMA: Final = ListOf(
    Object((Member("name", TEXT, required=True), Member("type", Text(one_of=_METRIC_TYPES), required=True)))
)


def _schema_matches(value: dict[str, Any]) -> list[Failure]:
    names = [entry.get("name", "") for entry in value.get("metrics_schema", [])]
    failures = []
    if len(names) != len(set(names)):
        failures.append(Failure("metrics_schema", "metrics_schema", "metrics_schema_duplicate_name"))
    failures += [
        Failure(f"metrics_schema[{i}].name", f"metrics_schema[{i}].name", "metrics_schema_name_not_in_metrics")
        for i, name in enumerate(names)
        if name and name not in value.get("metrics", {})
    ]
    return failures


PHASES: Final = (
    "initializing",
    "loading_data",
    "running_evaluation",
    "post_processing",
    "persisting_artifacts",
    "completed",
)

EVENT: Final = Object(
    (
        Member(
            "benchmark_status_event",
            Object(
                (
                    Member("provider_id", TEXT, required=True),
                    Member("id", TEXT, required=True),
                    Member("benchmark_index", Integer(), always=True),
                    Member("status", Text(one_of=("pending", "running", "completed", "failed")), required=True),
                    Member("phase", Text(one_of=PHASES)),
                    Member("metrics", Free()),
                    Member("metrics_schema", METRICS_SCHEMA),
                    Member("additional_info", Free()),
                    Member("artifacts", Free()),
                    Member("error_message", MESSAGE),
                    Member("warning_message", MESSAGE),
                    Member("started_at", TIME),
                    Member("completed_at", TIME),
                    Member("mlflow_run_id", TEXT),
                    Member("logs_path", TEXT),
                    Member("job_meta", Free()),
                ),
                (_schema_matches,),
            ),
            required=True,
        ),
    )
)
"""`StatusEvent`."""
