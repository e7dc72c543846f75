"""The API against its own description: cases made from it, and the checks that every answer must pass."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from assay.model.offering import POD_NAMES
from tests.server.acting import KEY, Worker
from tests.server.client import Api
from tests.server.standing import ENDS, existing, name_benchmarks, open_job

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
EXACT = {"createProvider", "createCollection", "listJobs", "listBenchmarks", "exportJobs"}
"""Operations whose description says exactly what is taken: all valid data must be."""
STRICT = {*EXACT, "registerWorker", "leaseRuns", "heartbeat"}
"""Operations that take nothing but what their description allows."""
CHANGES_OPEN_JOBS = {"reportBenchmark", "cancelBenchmark", "deleteJob"}
"""Operations that an ended job refuses: most of their cases are about one that waits."""
CONSTANT = {"metrics", "openapi", "docs", "health"}
"""Operations that take nothing but headers: a few cases are enough."""
_TOO_LARGE = 413
_SETTINGS: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@schemathesis.check
def refuses_invalid_data(ctx: Any, response: Any, case: Any) -> bool | None:
    """Invalid data are refused, be it for their size.

    What is sent may be valid although the case was meant not to be: an empty value of a query is as if it were not given, a
    body that is null as if it were empty, and what was made invalid may not be part of the body in the end.
    """
    raw = case.operation.schema.raw_schema
    described = case.operation.definition.raw.get("requestBody")
    blank = any(value == "" for _, value in parse_qsl(urlsplit(response.request.url).query, keep_blank_values=True))
    if case.body is None or blank or response.status_code == _TOO_LARGE:
        return None
    if described and not case.query:
        (content,) = described["content"].values()
        if Draft202012Validator({**content["schema"], "components": raw["components"]}).is_valid(case.body):
            return None
    refused: bool | None = negative_data_rejection(ctx, response, case)
    return refused


def description(api: Api) -> dict[str, Any]:
    """Return the document that the server serves, made strict: an answer may hold nothing that it does not name."""
    return strict(api.get("/openapi.yaml", accept="application/json").json)


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document in which the objects of answers are closed. Clients must not rely on that, so it is not served."""
    document = copy.deepcopy(document)
    answered = _referred(document, [op["responses"] for ops in document["paths"].values() for op in ops.values()])
    for name in answered - _referred(
        document, [op.get("requestBody") for ops in document["paths"].values() for op in ops.values()]
    ):
        for part in _objects(document["components"]["schemas"][name]):
            part.setdefault("additionalProperties", False)
    return document


def _referred(document: dict[str, Any], roots: list[Any]) -> set[str]:
    found: set[str] = set()
    waiting = roots
    while waiting:
        names = {ref.rpartition("/")[2] for ref in _references(waiting.pop())} - found
        found |= names
        waiting += [document["components"]["schemas"][name] for name in names]
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from _references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def _objects(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if isinstance(part.get("properties"), dict):
            yield part
        for inner in part.values():
            yield from _objects(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _objects(inner)


def load(api: Api, document: dict[str, Any]) -> Any:
    """Return the API as `document` describes it."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=api.url)
    schema.config.generation.update(allow_x00=False, with_security_parameters=False)  # no text may hold NUL
    return schema


class Fuzzer:
    """Sends cases to every operation, and counts which answers came."""

    def __init__(self, api: Api, document: dict[str, Any] | None = None) -> None:
        self.api = api
        self.schema = load(api, document or description(api))
        self.answers: Counter[tuple[str, int]] = Counter()
        self.cases = 0
        self._known: dict[str, str] = {}
        self._ends = itertools.cycle(ENDS)

    def ask(self, operation: Any, mode: GenerationMode, examples: int, seed_of_run: int) -> None:
        """Send up to `examples` cases to an operation. Raises what the checks found."""
        name = operation.definition.raw["operationId"]
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
            mode = GenerationMode.POSITIVE  # nothing that a request could get wrong
        checks = list(CHECKS)
        if mode is GenerationMode.NEGATIVE and name in STRICT:
            checks.append(refuses_invalid_data)
        elif mode is GenerationMode.POSITIVE and name in EXACT:
            checks.append(positive_data_acceptance)
        examples = min(examples, 3) if name in CONSTANT else examples

        @seed(seed_of_run)
        @settings(max_examples=examples, phases=[Phase.generate, Phase.shrink], **_SETTINGS)
        # The choice comes first: what is drawn after a large case is nearly always 0.
        @given(choice=st.integers(0, 99), case=operation.as_strategy(generation_mode=mode))
        def one(choice: int, case: Any) -> None:
            self._settle(case, name, choice)
            self.cases += 1
            reply = case.call(timeout=60)
            self.answers[name, reply.status_code] += 1
            case.validate_response(reply, checks=checks)

        one()

    def follow(self, examples: int, steps: int, seed_of_run: int) -> None:
        """Walk along the links of the description: make things, and use the ids that came back. Raises as `ask` does."""
        fuzzer, found = self, []

        class Walk(self.schema.as_state_machine()):  # type: ignore[misc]
            def before_call(self, case: Any) -> None:
                case.headers = _headers_of(case, tenant=False, worker=True)
                _not_for_ever(case)
                if isinstance(case.body, dict):
                    name_benchmarks(case.body)
                    if "free" in case.body:
                        case.body["wait_s"] = 0

            def get_call_kwargs(self, case: Any) -> dict[str, Any]:
                return {"timeout": 60}

            def validate_response(self, response: Any, case: Any, **_: Any) -> None:
                fuzzer.cases += 1
                fuzzer.answers[case.operation.definition.raw["operationId"], response.status_code] += 1
                try:
                    case.validate_response(response, checks=CHECKS)
                except FailureGroup as failure:
                    found.append(failure)

        seed(seed_of_run)(Walk)
        # A walk cannot be repeated, since its ids are new ones. So failures are collected, and it ends where it is repeated.
        with contextlib.suppress(Flaky):
            Walk.run(
                settings=settings(max_examples=examples, stateful_step_count=steps, phases=[Phase.generate], **_SETTINGS)
            )
        if found:
            raise found[0]

    def _settle(self, case: Any, name: str, choice: int) -> None:
        """Let most cases be about something that exists, as a tenant's that has it."""
        if choice % 4 and case.path_parameters:
            known = self.existing() if name.startswith(("delete", "cancel")) or choice % 8 == 1 else self._kept()
            if name in CHANGES_OPEN_JOBS and choice % 3:
                known = {**known, **open_job(self.api)}
            case.path_parameters = {key: known.get(key, value) for key, value in case.path_parameters.items()}
            if choice % 3 and isinstance(case.body, dict) and isinstance(case.body.get("incarnation"), str):
                case.body["incarnation"] = known["incarnation"]
        case.headers = _headers_of(case, tenant=not choice % 5, worker=choice % 10 > 0)
        _not_for_ever(case)
        if choice % 3 == 1 and "run_id" in (case.path_parameters or {}):
            self._hold(case)
        if isinstance(case.body, dict):
            if name == "leaseRuns" and isinstance(case.body.get("wait_s", 0), int | float):
                case.body["wait_s"] = 0
            if choice % 3:
                name_benchmarks(case.body)
            spell_once(case.body)

    def _hold(self, case: Any) -> None:
        """Let a case be about a run that a worker holds, under the fence of its lease."""
        held = Worker(self.api).take(self.api)
        case.path_parameters = {**case.path_parameters, "run_id": held.run_id}
        if isinstance(case.body, dict) and "fence" in case.body:
            case.body["fence"] = held.fence
            if isinstance(case.body.get("outcome"), str):
                case.body["outcome"] = "completed"
        if case.query and "fence" in case.query:
            case.query["fence"] = held.fence

    def _kept(self) -> dict[str, str]:
        self._known = self._known or self.existing()
        return self._known

    def existing(self) -> dict[str, str]:
        """Return ids of things that exist, new ones each time, since a case may delete or end them, and a job in another
        state."""
        self._known = existing(self.api, next(self._ends))
        return self._known


def _headers_of(case: Any, *, tenant: bool, worker: bool) -> dict[str, Any]:
    """Return the headers of a case; perhaps without a tenant of its own, and with the key of workers where that is asked."""
    kept = {key: value for key, value in (case.headers or {}).items() if tenant or key.lower() != "x-tenant"}
    asked = worker and {"key": ["workers:work"]} in case.operation.definition.raw.get("security", ())
    return {**kept, "Authorization": f"Bearer {KEY}"} if asked else kept


def _not_for_ever(case: Any) -> None:
    """Let a case that would be told what happens from now on have only what has happened."""
    if case.path.endswith("/stream"):
        case.query = {**(case.query or {}), "follow": "false"}


def spell_once(body: dict[str, Any]) -> None:
    """Leave of members that have two spellings the first: two that differ are refused, which no description says."""
    runtime = body.get("runtime")
    pod = runtime.get("k8s") if isinstance(runtime, dict) else None
    for name, other in POD_NAMES.items():
        if isinstance(pod, dict) and name in pod:
            pod.pop(other, None)
