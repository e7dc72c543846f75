"""The contract's error gallery as data: one change to a valid body, and what is answered.

Source: the error gallery recorded from EvalHub server 1.0.2. Rows whose text is the parser's own are matched by code alone.
Where Assay refuses what the peer takes, the row says why.
"""

from __future__ import annotations

import copy
from typing import Any

REMOVED = object()
TWENTY_ONE = [{"key": "k", "value": "v"}] * 21
OCI = {"oci_host": "h", "oci_repository": "r"}
GIT = {"url": "https://example.com/r.git", "ref": "main"}
REF = "benchmarks.0.test_data_ref"
NO_SOURCE = "test_data_ref: one of s3, pvc, git, or hf must be set"
TWO_SOURCES = "test_data_ref: exactly one of s3, pvc, git, or hf must be set"


def failed(*rules: tuple[str, str, str], root: str = "EvaluationJobConfig") -> str:
    """Return the text of failures, each (path, field, tag)."""
    lines = [
        f"Key: '{root}.{path}' Error:Field validation for '{name}' failed on the '{tag}' tag" for path, name, tag in rules
    ]
    return "\n".join(lines)


def one(path: str, tag: str = "required") -> str:
    """Return the text of one failure of the member at `path`."""
    return failed((path, path.rpartition(".")[2], tag))


MISSING = failed(
    ("name", "name", "required"), ("model", "model", "required"), ("benchmarks", "benchmarks", "minimum one benchmark")
)
NO_COLLECTION_ID = failed(("collection.id", "id", "required"), ("benchmarks", "benchmarks", "minimum one benchmark"))

Change = dict[str, Any]

ACCEPTED: list[Change] = [
    {"name": "  "},
    {"model.url": "file:///x"},
    {"model.parameters": {"a": 1}, "model.card_url": "x"},
    {"benchmarks.0.weight": 0},
    {"pass_criteria": {"threshold": 7}},
    {"pass_criteria": {"threshold": 0}},
    {REF: {"hf": {"repo_id": "o/d"}}},
    {REF: {"type": "pre_recorded_data", "pvc": {"claim_name": "c"}}},
    {REF: {"type": "pre_recorded_data", "pvc": {"claim_name": "c"}}, "model.url": REMOVED},
    {"hardware_config": {}},
    {"hardware_config": {"cpu": {"request": "1"}}},
    {"queue": {"name": "q"}},
    {"exports": {}},
    {"exports": {"oci": {"coordinates": OCI}}},
    {"custom": {"a": 1}},
    {"unknown_field": 1},
    {"NAME": "Upper"},
    {"tags": []},
    {"tags": ["a" * 128]},
    {"description": None, "tags": None, "custom": None, "experiment": None, "collection": None, "queue": None},
    {"benchmarks.0.parameters": None, "benchmarks.0.weight": None, "benchmarks.0.primary_score": None},
    {"model.auth": None, "pass_criteria": None, "exports": None, "hardware_config": None},
]

INVALID: list[tuple[Change, str]] = [
    ({"name": REMOVED}, one("name")),
    ({"name": ""}, one("name")),
    ({"name": None}, one("name")),
    ({"model": REMOVED}, one("model")),
    ({"model": {}}, one("model.name")),
    ({"model.name": ""}, one("model.name")),
    ({"model.name": "  "}, one("model.name", "notblank")),
    ({"model.url": "not a url"}, one("model.url", "url")),
    *(
        ({"model.url": url}, one("model.url", "url"))
        for url in (
            "http://",
            "http:///v1",
            "http://a host/v1",
            "https://:80/v1",
            "http://h:x",
            "http://[::1",
            "//h/v1",
            "v1",
        )
    ),
    ({"model.auth": {}}, one("model.auth.secret_ref")),
    ({"model.auth": {"secret_ref": " "}}, one("model.auth.secret_ref", "notblank")),
    ({"tags": ["a,b"]}, one("tags[0]", "tagname")),
    ({"tags": ["a|b"]}, one("tags[0]", "tagname")),
    ({"tags": [""]}, one("tags[0]", "tagname")),
    ({"tags": ["a" * 129]}, one("tags[0]", "tagname")),
    ({"tags": ["ok", "a,b"]}, one("tags[1]", "tagname")),
    ({"benchmarks": REMOVED}, one("benchmarks", "minimum one benchmark")),
    ({"benchmarks": []}, one("benchmarks", "minimum one benchmark")),
    (
        {"benchmarks": [{}]},
        failed(("benchmarks[0].Ref.id", "id", "required"), ("benchmarks[0].provider_id", "provider_id", "required")),
    ),
    ({"benchmarks.0.id": ""}, one("benchmarks[0].Ref.id")),
    ({"benchmarks.0.weight": -1}, one("benchmarks[0].weight", "min")),
    ({"benchmarks.0.primary_score": {}}, one("benchmarks[0].primary_score.metric")),
    ({"benchmarks.0.pass_criteria": {}}, one("benchmarks[0].pass_criteria.threshold")),
    ({"pass_criteria": {}}, one("pass_criteria.threshold")),
    ({"collection": {"id": "c"}}, one("benchmarks", "benchmarks or collection")),
    ({"collection": {"id": ""}, "benchmarks": REMOVED}, NO_COLLECTION_ID),
    ({"collection": {}, "benchmarks": REMOVED}, NO_COLLECTION_ID),
    (
        {"collection": {"id": "c", "benchmarks": [{"provider_id": "manual"}]}, "benchmarks": REMOVED},
        one("collection.benchmarks[0].Ref.id"),
    ),
    ({REF: {}}, NO_SOURCE),
    ({REF: {"type": "data_set"}}, NO_SOURCE),
    ({REF: {"type": "x"}}, NO_SOURCE),
    ({REF: {"type": "x", "pvc": {"claim_name": "c"}}}, "type must be one of: data_set, pre_recorded_data"),
    ({REF: {"type": "x", "s3": {}, "pvc": {}}}, TWO_SOURCES),
    ({REF: {"pvc": {}}}, one("benchmarks[0].test_data_ref.pvc.claim_name")),
    ({REF: {"pvc": {"claim_name": "Bad_Name"}}}, one("benchmarks[0].test_data_ref.pvc.claim_name", "rfc1123_dns_label")),
    (
        {REF: {"s3": {}}},
        failed(*((f"benchmarks[0].test_data_ref.s3.{name}", name, "required") for name in ("bucket", "key", "secret_ref"))),
    ),
    ({REF: {"s3": {"bucket": "b", "key": "k"}}}, one("benchmarks[0].test_data_ref.s3.secret_ref")),
    ({REF: {"s3": {"bucket": "b", "key": "k", "secret_ref": "s"}, "pvc": {"claim_name": "c"}}}, TWO_SOURCES),
    ({REF: {"hf": {}}}, one("benchmarks[0].test_data_ref.hf.repo_id", "notblank")),
    ({REF: {"hf": {"repo_id": "  "}}}, one("benchmarks[0].test_data_ref.hf.repo_id", "notblank")),
    (
        {REF: {"hf": {"repo_id": "o/d", "secret_ref": "Bad_"}}},
        one("benchmarks[0].test_data_ref.hf.secret_ref", "rfc1123_dns_label"),
    ),
    ({REF: {"hf": {"repo_id": "o/d"}, "git": GIT}}, TWO_SOURCES),
    (
        {REF: {"git": {}}},
        failed(*((f"benchmarks[0].test_data_ref.git.{name}", name, "required") for name in ("url", "ref"))),
    ),
    ({REF: {"git": {"url": GIT["url"]}}}, one("benchmarks[0].test_data_ref.git.ref")),
    ({REF: {"git": GIT | {"url": "ssh://example.com/r.git"}}}, one("benchmarks[0].test_data_ref.git.url", "http_url")),
    *(
        ({REF: {"git": GIT | {"url": f"http://{host}/r.git"}}}, one("benchmarks[0].test_data_ref.git.url", "git_clone_url"))
        for host in (
            "localhost",
            "10.0.0.1",
            "svc.ns.svc.cluster.local",
            "metadata",
            "[::1]",
            "169.254.169.254",
            "127.1",
            "x.svc",
        )
    ),
    (
        {REF: {"git": GIT | {"url": "http://example.com/r.git", "secret_ref": "s"}}},
        "git url with credentials must use https scheme",
    ),
    # The peer stores and shows the password.
    (
        {REF: {"git": GIT | {"url": "https://u:p@example.com/r.git"}}},
        one("benchmarks[0].test_data_ref.git.url", "git_clone_url"),
    ),
    # The peer lets it fail on the cluster.
    (
        {REF: {"pvc": {"claim_name": "ok", "sub_path": "/../x"}}},
        one("benchmarks[0].test_data_ref.pvc.sub_path", "relative_path"),
    ),
    (
        {"hardware_config": {"hardware_profile_name": "Bad_"}},
        one("hardware_config.hardware_profile_name", "rfc1123_dns_label"),
    ),
    (
        {"hardware_config": {"hardware_profile_name": "p", "cpu": {"request": "1"}}},
        "hardware_config: hardware_profile_name cannot be combined with queue, cpu, memory, or gpu",
    ),
    *(
        ({"hardware_config": {"cpu": {"request": amount}}}, one("hardware_config.cpu.request", "quantity"))
        for amount in ("zzz", "-1", "1.2.3", "1 Gi", "1gi", "Gi")
    ),
    (
        {"benchmarks.0.hardware_config": {"memory": {"limit": "lots"}}},
        one("benchmarks[0].hardware_config.memory.limit", "quantity"),
    ),
    ({"hardware_config": {"gpu": {"count": -1}}}, one("hardware_config.gpu.count", "min")),
    ({"benchmarks.0.timeout_seconds": -1}, one("benchmarks[0].timeout_seconds", "min")),
    ({"hardware_config": {"queue": {}}}, one("hardware_config.queue.name")),
    ({"hardware_config": {"queue": {"kind": "x", "name": "q"}}}, "kind must be one of: kueue"),
    ({"hardware_config": {"queue": {"name": "Q"}}}, one("hardware_config.queue.name", "rfc1123_dns_label")),
    ({"hardware_config": {"queue": {"name": " q "}}}, one("hardware_config.queue.name", "rfc1123_dns_label")),
    ({"queue": {"kind": "x", "name": "q"}}, "kind must be one of: kueue"),
    ({"queue": {}}, one("queue.name")),
    ({"exports": {"oci": {}}}, one("exports.oci.coordinates")),
    ({"exports": {"oci": {"coordinates": {"oci_host": "h"}}}}, one("exports.oci.coordinates.oci_repository")),
    ({"exports": {"oci": {"coordinates": OCI, "k8s": {}}}}, one("exports.oci.k8s.connection")),
    ({"exports": {"oci": {"coordinates": OCI, "signing": {}}}}, one("exports.oci.signing.type")),
    ({"exports": {"oci": {"coordinates": OCI, "signing": {"type": "x"}}}}, "type must be one of: key-pair"),
    ({"experiment": {}}, one("experiment.name", "notblank")),
    ({"experiment": {"name": " "}}, one("experiment.name", "notblank")),
    (
        {"experiment": {"name": "e", "tags": [{"key": "", "value": ""}]}},
        failed(("experiment.tags[0].key", "key", "required"), ("experiment.tags[0].value", "value", "required")),
    ),
    ({"experiment": {"name": "e", "tags": TWENTY_ONE}}, one("experiment.tags", "max")),
    ({"experiment": {"name": "e", "tags": [{"key": "k" * 251, "value": "v"}]}}, one("experiment.tags[0].key", "max")),
]

REFUSED: list[tuple[Change, int, str, str]] = [
    ({"benchmarks.0.id": "nope"}, 400, "resource_does_not_exist", "The benchmark with id 'nope' does not exist."),
    ({"benchmarks.0.provider_id": "nope"}, 404, "resource_not_found", "The provider resource 'nope' was not found."),
    (
        {"collection": {"id": "nope"}, "benchmarks": REMOVED},
        404,
        "resource_not_found",
        "The collection resource 'nope' was not found.",
    ),
    (
        {"model.url": ""},
        400,
        "model_url_required",
        "The model URL is required when not all benchmarks have pre-recorded data.",
    ),
    (
        {REF: {"type": "data_set", "pvc": {"claim_name": "c"}}, "model.url": REMOVED},
        400,
        "model_url_required",
        "The model URL is required when not all benchmarks have pre-recorded data.",
    ),
    (
        {REF: {"git": GIT, "resolved_sha": "abcdef1"}},
        400,
        "resolved_sha_read_only",
        "The field 'resolved_sha' is read-only and must not be set on create.",
    ),
    (
        {"experiment": {"name": "e"}},
        400,
        "mlflow_required_for_experiment",
        "MLflow is required for experiment tracking. Please configure MLflow in the service configuration and try again.",
    ),
]

WRONG_TYPES: list[Change] = [
    {"name": 5},
    {"benchmarks": {}},
    {"tags": "a"},
    {"tags": [1]},
    {"benchmarks.0.weight": "1"},
    {"model": "m"},
    {"benchmarks.0.pass_criteria": {"threshold": "0.5"}},
    {"custom": []},
    {"benchmarks.0.parameters": "x"},
    {"benchmarks.0.primary_score": {"metric": "m", "lower_is_better": "yes"}},
    {"exports": {"oci": {"coordinates": OCI | {"annotations": {"a": 1}}}}},
    {"hardware_config": {"gpu": {"count": 1.5}}},
]


def changed(base: dict[str, Any], change: Change) -> dict[str, Any]:
    """Return a copy of `base` with the members at dotted paths replaced, or removed."""
    body = copy.deepcopy(base)
    for path, value in change.items():
        *parents, last = path.split(".")
        at: Any = body
        for step in parents:
            at = at[int(step)] if isinstance(at, list) else at[step]
        if value is REMOVED:
            del at[last]
        else:
            at[last] = value
    return body


def label(change: Any) -> str:
    """Return a short name of a case."""
    return str(change).replace(str(REMOVED), "removed")[:60] if isinstance(change, dict) else ""
